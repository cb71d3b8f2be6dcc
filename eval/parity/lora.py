"""What it costs to let vLLM apply an adapter by name instead of merging it: `python -m eval.parity.lora ADAPTER`.

Two engines in one process, the base with the adapter by name and the merged weights, are asked the same in turn: a
context that neither has read (cold), then the same one with other candidates (warm). Who begins changes each round.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.results_file import write_measurement
from genrec.cli import complain
from genrec.errors import UserError
from genrec.provenance import module_command
from prompts.adapter import AdapterCard
from prompts.base_files import fingerprint, locate
from prompts.dtypes import runnable
from prompts.language_model import load_tokenizer
from serve.bench.workload import Cell, Workload
from serve.engine import Request
from serve.vllm_engine import VllmEngine, load

BY_NAME, MERGED = "by name", "merged"


def measure(adapter: Path, cell: Cell, rounds: int, seed: int) -> dict[str, Any]:
    """Candidates a second of each, and how far their answers lie apart."""
    card = AdapterCard.load(adapter)
    base, dtype = card.base["name"], runnable(card.dtype)
    card.check_base(base, fingerprint(base), adapter)
    merged = load(base, dtype, adapter)  # first: it refuses where vLLM is not installed
    engines = {BY_NAME: VllmEngine(locate(base), dtype, by_name=adapter.resolve()), MERGED: merged}
    workload = Workload(len(load_tokenizer(base)), seed)
    rates: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    apart = []
    for engine in engines.values():
        engine.score(list(workload.pair(cell, rounds)))  # nobody's first time is measured
    for number in tqdm(range(rounds), desc="rounds", disable=None):
        for kind, request in zip(rates, workload.pair(cell, number), strict=True):
            order = sorted(engines, reverse=bool(number % 2))
            asked = {name: timed(engines[name], request) for name in order}
            rates[kind].append({name: cell.candidates / seconds for name, (seconds, _) in asked.items()})
            apart.append(np.abs(asked[BY_NAME][1] - asked[MERGED][1]).max())
    ratios = {kind: [r[BY_NAME] / r[MERGED] for r in found] for kind, found in rates.items()}
    return {
        "measures": "LoRA by name beside merged weights, vLLM in process", "engine": engines[MERGED].name,
        "candidates": cell.candidates, "context": cell.context, "seed": seed, "candidates_per_second": rates,
        "by_name_over_merged": {
            kind: {"median": float(np.median(found)), "least": min(found), "most": max(found)}
            for kind, found in ratios.items()
        },
        "log_odds_apart_at_most": float(max(apart)),
    }  # fmt: skip


def timed(engine: VllmEngine, request: Request) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    rows = np.array(engine.score([request])[0])
    return time.perf_counter() - start, rows[:, 0] - rows[:, 1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.parity.lora", description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--context", type=int, default=500, help="tokens (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    chosen = parser.parse_args()
    try:
        found = measure(chosen.adapter, Cell(chosen.candidates, chosen.context), chosen.rounds, chosen.seed)
    except UserError as error:
        return complain(error)
    if chosen.out:
        write_measurement(found, chosen.out, module_command("eval.parity.lora"))
    for kind, ratio in found["by_name_over_merged"].items():
        print(
            f"{kind}: by name {ratio['median']:.2f} of merged ({ratio['least']:.2f} to {ratio['most']:.2f})"
        )
    print(f"log-odds at most {found['log_odds_apart_at_most']:.3f} apart")
    return 0


if __name__ == "__main__":
    sys.exit(main())
