"""The same prompts asked of an adapter in every way that it can be served: `python -m eval.parity ADAPTER`.

PEFT unmerged and merged (plain transformers, one prompt at a time), the packed torch engine, vLLM in this process, an
engine's own process, and that through the gateway by OpenAI's route. Prints how far each pair lies apart, writes it as
JSON, and exits with 1 where a way is not within the contract of PEFT's merged answers: log-odds 1e-3 apart at most in
float32, 0.1 in bfloat16, no order turned.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from eval.parity.drawn import DrawnPrompt, digest, draw
from eval.parity.gaps import TOLERANCE, gap, kept
from eval.parity.gateway import gateway_answers
from eval.parity.ways import (
    MERGED,
    ProcessAnswers,
    engine_answers,
    peft_answers,
    process_answers,
    vllm_installed,
)
from eval.results_file import trained, write_measurement
from genrec.cli import complain
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.provenance import module_command
from prompts.adapter import AdapterCard, histories_of
from prompts.base_files import fingerprint
from prompts.dtypes import DTYPES, runnable
from prompts.language_model import load_tokenizer
from serve.engines import open_engine
from serve.served import served
from serve.weights import merged_folder


def measure(adapter: Path, folder: Path, n: int, seed: int, dtypes: Sequence[str]) -> dict[str, Any]:
    """Everything but where, when and how it was run. folder: of the prepared data."""
    data = Prepared.load(folder)
    card = AdapterCard.load(adapter)
    base, mark = card.base["name"], fingerprint(card.base["name"])
    card.check_base(base, mark, adapter)
    prompts = _drawn(adapter, card, data, n, seed)
    result: dict[str, Any] = {
        "measures": "parity",
        "adapter": card.fingerprint(adapter),
        "training": trained(card),
        "data": data.name,
        "split": "test",
        "regime": card.regime,
        "seed": seed,
        "prompts": dict(Counter(prompt.task for prompt in prompts)),
        "users": len({prompt.user_id for prompt in prompts}),
        "tokens": sum(len(prompt.ids) for prompt in prompts),
        "prompts_sha256": digest(prompts),
        "reference": MERGED,
        "left_out": {} if vllm_installed() else {"vllm": "not installed; the process runs the torch engine"},
        "dtypes": {},
    }
    for dtype in dtypes:
        if runnable(dtype) != dtype:
            result["left_out"][dtype] = "this processor does not compute in it"
            continue
        result["dtypes"][dtype] = _in(dtype, base, mark, adapter, folder, prompts)
    return result


def _drawn(adapter: Path, card: AdapterCard, data: Prepared, n: int, seed: int) -> list[DrawnPrompt]:
    """Through the adapter as it is served, which refuses prompts that are no longer those it was trained on."""
    name = card.base["name"]
    one = served(adapter, card, data, load_tokenizer(name), open_engine("torch", name, "float32"))
    histories = histories_of(data, one.layout, card.history["tokens"], card.regime)
    return draw(data, one.layout, histories, card.regime, n, seed)


def _in(
    dtype: str, base: str, mark: str, adapter: Path, data: Path, prompts: Sequence[DrawnPrompt]
) -> dict[str, Any]:
    answers = peft_answers(base, dtype, adapter, prompts)
    answers["torch engine"] = engine_answers(open_engine("torch", base, dtype, adapter), prompts)
    untrained = engine_answers(open_engine("torch", base, dtype), prompts)
    kind = "vllm" if vllm_installed() else "torch"
    process = process_answers(kind, merged_folder(base, dtype, adapter, mark), dtype, prompts)
    answers[process.name] = process.alone
    answers[f"{kind} through the gateway"] = gateway_answers(kind, adapter, dtype, data, prompts)
    if vllm_installed():
        answers["vllm in process"] = engine_answers(open_engine("vllm", base, dtype, adapter), prompts)
    return compared(prompts, dtype, answers, untrained, process)


def compared(
    prompts: Sequence[DrawnPrompt],
    dtype: str,
    answers: dict[str, np.ndarray],
    untrained: np.ndarray,
    process: ProcessAnswers,
) -> dict[str, Any]:
    """answers: by way, each (n,) log-odds; untrained: the base model's."""
    tolerance = TOLERANCE[dtype]
    pairs = [
        {"a": a, "b": b, **gap(prompts, answers[a], answers[b], tolerance)}
        for a, b in combinations(answers, 2)
    ]
    beside = gap(prompts, process.alone, process.beside, tolerance)
    moved = np.abs(answers[MERGED] - untrained)
    tasks = np.array([prompt.task for prompt in prompts])
    against = [pair for pair in pairs if MERGED in (pair["a"], pair["b"])]
    chats = {"of": process.name, **beside, "chats": process.chats, "chats_without": process.chats_without}
    return {
        "tolerance": tolerance,
        "kept": kept([*against, beside], tolerance) and process.chats_without == 0,
        "pairs": pairs,
        "beside_chats": chats,
        "spread": {
            task: float(answers[MERGED][tasks == task].std()) for task in dict.fromkeys(tasks.tolist())
        },
        "against_base": {"mean": float(moved.mean()), "largest": float(moved.max())},
    }


def table(result: dict[str, Any]) -> str:
    asked = ", ".join(f"{n} {task}" for task, n in result["prompts"].items())
    lines = [f"{asked}: prompts of {result['users']} users, {result['tokens']:,} tokens"]
    lines += [f"left out: {what}: {why}" for what, why in result["left_out"].items()]
    for dtype, found in result["dtypes"].items():
        word = "kept" if found["kept"] else "BROKEN"
        lines += [
            "",
            f"{dtype}: contract {word}, {found['tolerance']:g} of log-odds from {result['reference']}",
        ]
        lines.append(f"{'largest':>10} {'mean':>10} {'flips':>6} {'beyond ties':>12} {'pairs':>6}")
        chats = found["beside_chats"]
        beside = {**chats, "a": chats["of"], "b": f"the same beside {chats['chats']} chats"}
        for pair in [*found["pairs"], beside]:
            numbers = f"{pair['largest']:10.2e} {pair['mean']:10.2e} {pair['flips']:6} "
            lines.append(
                f"{numbers}{pair['flips_beyond_ties']:12} {pair['pairs']:6}  {pair['a']} - {pair['b']}"
            )
        moved = found["against_base"]
        lines.append(f"{moved['largest']:10.2e} {moved['mean']:10.2e} {'':26}  adapter - base model")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("adapter", type=Path, help="an adapter's folder")
    parser.add_argument("--data", type=Path, help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument("--prompts", type=int, default=200, help="of all tasks together (%(default)s)")
    parser.add_argument(
        "--dtype", choices=tuple(DTYPES), help="one number format only (all that it computes in)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file (parity.json beside the adapter)")
    chosen = parser.parse_args(arguments)
    try:
        data = chosen.data or Path("data") / AdapterCard.load(chosen.adapter).data["name"]
        if chosen.dtype and runnable(chosen.dtype) != chosen.dtype:
            what = f"This processor does not compute in {chosen.dtype}"
            raise UserError(what, where="--dtype", cure="leave it out, or choose float32")
        dtypes = [chosen.dtype] if chosen.dtype else tuple(DTYPES)
        result = measure(chosen.adapter, data, chosen.prompts, chosen.seed, dtypes)
    except UserError as error:
        return complain(error)
    print(table(result))
    out = chosen.out or chosen.adapter.parent / "parity.json"
    write_measurement(result, out, module_command("eval.parity", arguments))
    print(f"\nwritten: {out}")
    return 0 if all(found["kept"] for found in result["dtypes"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
