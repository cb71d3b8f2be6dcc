"""What a list of next items costs: `python -m eval.lists runs/NAME/adapter --out docs/measured/lists.json`.

Over catalogs of made-up titles of growing length, and over the adapter's own, in float32: paths extended, tokens read
and CPU seconds of our search at its default budget, with item scores beside the model's, alone and many at once; memory
of the trie; and beside it beam search of transformers, held to the trie by `prefix_allowed_tokens_fn`, and with --vllm
that of vLLM, which nothing holds to it. CPU seconds, because another process on the machine does not change them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.lists.measure import (
    CountingBackbone,
    Rival,
    counted,
    matmul_gflop_per_cpu_second,
    our_lists,
    rival_lists,
    trie_costs,
    with_scores,
)
from eval.lists.rivals import transformers_beams, vllm_beams
from eval.lists.titles import titles
from eval.results_file import trained, write_measurement
from genrec.cli import complain
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.progress import progress
from genrec.provenance import module_command
from prompts.adapter import AdapterCard
from prompts.base_files import fingerprint
from prompts.language_model import load_model
from prompts.layout import Layout
from prompts.templates import END
from serve.adapters import open_adapter
from serve.node_budget import NODES
from serve.search import ListRequest
from serve.served import Served
from serve.torch_engine import TorchEngine
from serve.weights import merged_folder

SIZES = (1_000, 10_000, 100_000, 1_000_000)
HISTORY, LIKELY = 20, 10  # titles that a made-up user has met, and that their question names


def made_up_items(layout: Layout, n: int, seed: int) -> list[tuple[str, tuple[int, ...]]]:
    """n items and their ids."""
    end = layout.tokens.literal(END)
    named = enumerate(progress(titles(n, seed), "writing titles", "title", total=n))
    return [(str(number), layout.tokens.data(title) + end) for number, title in named]


def made_up_lists(
    layout: Layout, items: Sequence[tuple[str, tuple[int, ...]]], users: int, k: int, seed: int
) -> list[ListRequest]:
    """Users who met HISTORY titles; the question names LIKELY others."""
    rng, lists = np.random.default_rng(seed), []
    yes, head = layout.tokens.literal(" yes\n"), layout.tokens.literal("Films that one viewer rated:\n")
    for _ in range(users):
        drawn = rng.choice(len(items), HISTORY + LIKELY, replace=False)
        met, likely = drawn[:HISTORY], drawn[HISTORY:]
        context = [*head, *(token for n in met for token in (*items[n][1], *yes))]
        context += layout.tokens.literal("Of these: ") + sum((items[n][1] for n in likely), ())
        context += layout.tokens.literal("\nNext:")
        lists.append(
            ListRequest(
                context, k, [items[n][0] for n in met], [items[n][0] for n in likely], node_budget=NODES
            )
        )
    return lists


def own_lists(one: Served, users: int, k: int, seed: int, nodes: int | None) -> list[ListRequest]:
    """What `genrec recommend` would ask for users drawn among those of the log."""
    known = sorted(one.data.lines.user_id.unique())
    drawn = np.random.default_rng(seed).choice(known, min(users, len(known)), replace=False)
    return [one.list_request(str(user), k, one.touched(str(user), one.item_task()), nodes) for user in drawn]


def catalogs(
    one: Served, engine: TorchEngine, backbone: CountingBackbone, rivals: dict[str, Rival], chosen: Any
) -> Iterator[dict[str, Any]]:
    """One record a catalog."""
    for size in chosen.sizes:
        items = made_up_items(one.layout, size, chosen.seed)
        trie, memory = trie_costs(items)
        lists = made_up_lists(one.layout, items, chosen.users, chosen.k, chosen.seed)
        yield {
            "catalog": "made-up titles", "trie": memory,
            "search": our_lists(engine, backbone, trie, lists),
            "search_with_scores": our_lists(engine, backbone, trie, with_scores(trie, lists, chosen.seed)),
            **{name: rival_lists(rival, trie, lists) for name, rival in rivals.items()},
        }  # fmt: skip
    trie, memory = trie_costs([(item, one.layout.item(item)) for item in one.layout.items])
    lists = own_lists(one, chosen.users, chosen.k, chosen.seed, NODES)
    every = own_lists(one, chosen.users, chosen.k, chosen.seed, None)
    yield {
        "catalog": one.data.name, "trie": memory,
        "search": our_lists(engine, backbone, trie, lists),
        "search_until_exact": our_lists(engine, backbone, trie, every),
        "search_with_scores": our_lists(engine, backbone, trie, with_scores(trie, lists, chosen.seed)),
        **{name: rival_lists(rival, trie, lists) for name, rival in rivals.items()},
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.lists", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--data", type=Path, help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="of catalogs of made-up titles")
    parser.add_argument("--users", type=int, default=3, help="lists of each catalog (%(default)s)")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vllm", action="store_true", help="measure vLLM's beam search too")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    chosen = parser.parse_args()
    try:
        card = AdapterCard.load(chosen.adapter)
        data = Prepared.load(chosen.data or Path("data", card.data["name"]))
        one = open_adapter(chosen.adapter, data, engine="torch", dtype="float32")
        assert isinstance(one.engine, TorchEngine)
        base = card.base["name"]
        folder = str(merged_folder(base, "float32", chosen.adapter, fingerprint(base)))
        plain: Any = load_model(folder, "float32", "sdpa")
        (end,) = one.layout.tokens.literal(END)
        rivals: dict[str, Rival] = {
            "transformers": lambda context, trie, k: transformers_beams(plain, context, trie, end, k)
        }
        if chosen.vllm:
            rivals["vllm"] = partial(_vllm_rival, _vllm(folder), end)
        backbone = counted(one.engine)
        records = []
        for record in catalogs(one, one.engine, backbone, rivals, chosen):
            records.append(record)
            print(record, flush=True)
    except UserError as error:
        return complain(error)
    body = sum(p.numel() for p in plain.parameters()) - plain.get_input_embeddings().weight.numel()
    measured = {
        "measures": "lists of next items", "users": chosen.users, "k": chosen.k, "seed": chosen.seed, "nodes": NODES,
        "engine": one.engine.name, "catalogs": records, "training": trained(card),
        "matmul_gflop_per_cpu_second": matmul_gflop_per_cpu_second(), "gflop_per_token": 2 * body / 1e9,
        "gflop_per_head_row": 2 * backbone.head.numel() / 1e9,
    }  # fmt: skip
    if chosen.out:
        write_measurement(measured, chosen.out, module_command("eval.lists"))
    return 0


def _vllm(folder: str) -> Any:
    from serve.vllm_engine import VllmEngine

    return VllmEngine(folder, "float32")._model


def _vllm_rival(llm: Any, end: int, context: Sequence[int], trie: Any, k: int) -> Any:
    return vllm_beams(llm, context, trie, end, k)


if __name__ == "__main__":
    sys.exit(main())
