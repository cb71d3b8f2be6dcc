"""The exact search beside scoring every item of the catalog: `python -m eval.parity.catalog ADAPTER --users 20`.

In float32, for users of the log as of its end, what they have touched left out. Exits with 1 where the two name other
items, but for items whose log-probabilities lie within TOLERANCE of one another.
"""

import argparse
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.results_file import trained, write_measurement
from genrec.cli import complain
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.provenance import module_command
from prompts.adapter import AdapterCard
from prompts.layout import Question
from prompts.trie import Trie
from serve.adapters import open_adapter
from serve.engine import Engine, Request
from serve.served import Served

TOLERANCE = 1e-3  # of a title's log-probability
Scored = tuple[str, float]  # an item, its log-probability


def every_item(engine: Engine, context: Sequence[int], trie: Trie, left_out: Collection[str]) -> list[Scored]:
    """All items of the trie but those left out, with the product of their tokens' probabilities, best first."""
    items = [item for item in trie if item not in left_out]
    asked = [
        [Question(ids[:n], (token,), "vocabulary") for n, token in enumerate(ids)]
        for ids in (trie.ids(i) for i in items)
    ]
    scores = engine.score([Request(context, [q for questions in asked for q in questions])])[0]
    ends = np.cumsum([len(questions) for questions in asked])[:-1]
    sums = [
        float(np.sum(part)) for part in (scores[a:b] for a, b in zip([0, *ends], [*ends, None], strict=True))
    ]
    return sorted(zip(items, sums, strict=True), key=lambda pair: -pair[1])


def differ(
    found: Sequence[Scored], wanted: Sequence[Scored], truth: dict[str, float], tolerance: float
) -> str:
    """What is wrong with a list, "" where nothing is; items within the tolerance of one another may change places."""
    if len(found) != len(wanted) or len({item for item, _ in found}) != len(found):
        return f"{len(found)} items where {len(wanted)} were to be found"
    for (item, logprob), (_, expected) in zip(found, wanted, strict=True):
        if abs(logprob - expected) > tolerance or abs(truth[item] - logprob) > tolerance:
            return (
                f"{item} at {logprob:.5f}, where {truth[item]:.5f} is its own and {expected:.5f} its place's"
            )
    return ""


def measure(one: Served, users: int, k: int, seed: int) -> dict[str, Any]:
    """Searches and scores for so many users, drawn among those of the log."""
    rng = np.random.default_rng(seed)
    known = sorted(one.data.lines.user_id.unique())
    drawn = [str(user) for user in rng.choice(known, min(users, len(known)), replace=False)]
    wrong, nodes, gaps, seconds = list[str](), list[int](), list[float](), {"search": 0.0, "every item": 0.0}
    for user in tqdm(drawn, desc="every item", unit="user", disable=None):
        started = time.perf_counter()
        found = one.recommend(user, k, nodes=0)
        seconds["search"] += time.perf_counter() - started
        started = time.perf_counter()
        left_out = set(one.touched(user, one.item_task()))
        scored = every_item(one.engine, one.next_question(user), one.catalog.trie, left_out)
        seconds["every item"] += time.perf_counter() - started
        truth = dict(scored)
        if odd := differ(found.items, scored[:k], truth, TOLERANCE) or ("" if found.exact else "not exact"):
            wrong.append(f"{user}: {odd}")
        nodes.append(found.nodes)
        gaps += [abs(truth[item] - logprob) for item, logprob in found.items if item in truth]
    return {
        "measures": "exact search against every item", "data": one.data.name, "users": len(drawn), "k": k,
        "seed": seed, "items": len(one.catalog.trie), "engine": one.engine.name, "wrong": wrong,
        "log_probability_apart_at_most": max(gaps, default=0.0), "tolerance": TOLERANCE,
        "paths_extended": {"mean": float(np.mean(nodes)), "most": max(nodes)}, "seconds": seconds,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.parity.catalog", description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--data", type=Path, help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("torch", "vllm"), default="torch")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    chosen = parser.parse_args()
    try:
        card = AdapterCard.load(chosen.adapter)
        data = Prepared.load(chosen.data or Path("data", card.data["name"]))
        one = open_adapter(chosen.adapter, data, engine=chosen.engine, dtype="float32")
        found = {**measure(one, chosen.users, chosen.k, chosen.seed), "training": trained(card)}
    except UserError as error:
        return complain(error)
    if chosen.out:
        write_measurement(found, chosen.out, module_command("eval.parity.catalog"))
    for line in found["wrong"]:
        print(line)
    equal, paths = found["users"] - len(found["wrong"]), found["paths_extended"]["mean"]
    print(
        f"{found['users']} users, {found['items']:,} items: {equal} lists equal, log-probabilities "
        f"{found['log_probability_apart_at_most']:.1e} apart at most; {paths:.0f} paths a search"
    )
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
