"""One catalog: what a list costs by our search, alone and together, and by the beams of others."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from eval.lists.rivals import Beams
from prompts.attention import Packing
from prompts.layout import Question
from prompts.trie import Trie
from serve.backbone import Backbone, Layers
from serve.engine import Request
from serve.search import Found, ListRequest, all_top_items, top_items
from serve.torch_engine import TorchEngine

MATRIX = 2_048  # rows and columns of the products whose rate is the limit
CHANGES = 5  # of which the median is reported
Rival = Callable[[Sequence[int], Trie, int], Beams]


class CountingBackbone:
    """A backbone that counts the tokens that it reads and the passes that they take."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.dtype, self.head, self.limit = backbone.dtype, backbone.head, backbone.limit
        self.tokens = self.passes = 0

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, packing: Packing, past: Layers
    ) -> tuple[torch.Tensor, Layers]:
        self.tokens += ids.numel()
        self.passes += 1
        return self._backbone(ids, positions, packing, past)


@dataclass
class Cost:
    """cpu_seconds: of the whole process, all threads. tokens: that the model read; passes: that they took."""

    cpu_seconds: float = 0.0
    tokens: int = 0
    passes: int = 0


def counted(engine: TorchEngine) -> CountingBackbone:
    """Makes an engine count what it reads."""
    backbone = CountingBackbone(engine.backbone)
    engine.backbone = backbone
    return backbone


@contextmanager
def costs(backbone: CountingBackbone) -> Iterator[Cost]:
    """What the block costs, once it has ended."""
    cost, tokens, passes, start = Cost(), backbone.tokens, backbone.passes, time.process_time()
    yield cost
    cost.cpu_seconds = time.process_time() - start
    cost.tokens, cost.passes = backbone.tokens - tokens, backbone.passes - passes


def matmul_gflop_per_cpu_second() -> float:
    """The best of five products of two square float32 matrices, by CPU seconds: other work does not slow it down."""
    matrix, best = torch.randn(MATRIX, MATRIX), float("inf")
    for _ in range(5):
        start = time.process_time()
        matrix @ matrix
        best = min(best, time.process_time() - start)
    return 2 * MATRIX**3 / best / 1e9


def trie_costs(items: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[Trie, dict[str, Any]]:
    """A catalog's trie, what it takes, and what it costs to put one item into it and to take it out."""
    start = time.process_time()
    trie = Trie(items)
    built, changes = time.process_time() - start, []
    for n in range(CHANGES):
        start = time.process_time()
        *ids, end = items[n][1]
        trie.changed({f"new {n}": (*ids, 1, end)}).changed({}, [f"new {n}"])
        changes.append((time.process_time() - start) / 2)
    return trie, {
        "items": len(trie), "tokens": sum(len(ids) for _, ids in items), "bytes": trie.nbytes,
        "bytes_per_item": trie.nbytes / len(trie), "build_cpu_seconds": built,
        "one_change_cpu_seconds": float(np.median(changes)),
    }  # fmt: skip


def our_lists(
    engine: TorchEngine, backbone: CountingBackbone, trie: Trie, lists: Sequence[ListRequest]
) -> dict[str, Any]:
    """Each list by itself, its context read before; then all of them in one call, their contexts read too."""
    reading, alone, found = Cost(), Cost(), list[Found]()
    for request in lists:
        engine.cache.clear()
        with costs(backbone) as cost:
            engine.score([Request(request.context, [Question((), (0,), "vocabulary")])])
        _add(reading, cost)
        with costs(backbone) as cost:
            found.append(top_items(engine, trie, request))
        _add(alone, cost)
    engine.cache.clear()
    with costs(backbone) as together:
        again = dict(all_top_items(engine, trie, lists))
    n = len(lists)
    alike = sum(
        dict(again[number].items).keys() == dict(one.items).keys() for number, one in enumerate(found)
    )
    gaps = [one.gap for one in found if not one.exact]
    return {
        "lists": n, "exact": sum(one.exact for one in found), "same_items_together": alike,
        "mean_gap_of_others": float(np.mean(gaps)) if gaps else 0.0,
        "nodes": float(np.mean([one.nodes for one in found])),
        "completed": float(np.mean([one.completed for one in found])),
        "value_of_last": float(np.mean([one.items[-1][1] for one in found])),
        "context": _per_list(reading, n), "search": _per_list(alone, n), "together": _per_list(together, n),
    }  # fmt: skip


def rival_lists(rival: Rival, trie: Trie, lists: Sequence[ListRequest]) -> dict[str, Any]:
    """The same lists by a beam search, over a trie that holds no excluded item; its contexts are read in it."""
    seconds, found = 0.0, list[Beams]()
    for one in lists:
        left = trie.changed({}, one.exclude)
        start = time.process_time()
        found.append(rival(one.context, left, one.k))
        seconds += time.process_time() - start
    lasts = [beams.items[-1][1] for beams in found if beams.items]
    tokens = [beams.tokens for beams in found if beams.tokens is not None]
    return {
        "lists": len(lists), "cpu_seconds": seconds / len(lists),
        "tokens": float(np.mean(tokens)) if tokens else None,
        "items": float(np.mean([len(beams.items) for beams in found])),
        "invalid": float(np.mean([beams.invalid for beams in found])),
        "value_of_last": float(np.mean(lasts)) if lasts else None,
    }  # fmt: skip


def with_scores(trie: Trie, lists: Sequence[ListRequest], seed: int) -> list[ListRequest]:
    """The same lists with an item score: the log-share of a popularity that falls as 1 / rank, of a tenth of the items,
    and for the others that of the last of these."""
    rng = np.random.default_rng(seed)
    counted_items = max(len(trie) // 10, 1)
    shares = 1 / np.arange(1, counted_items + 1)
    scores = np.full(len(trie), np.log(shares[-1] / shares.sum()))
    scores[rng.permutation(len(trie))[:counted_items]] = np.log(shares / shares.sum())
    return [replace(one, scores=scores) for one in lists]


def _add(total: Cost, cost: Cost) -> None:
    total.cpu_seconds += cost.cpu_seconds
    total.tokens += cost.tokens
    total.passes += cost.passes


def _per_list(cost: Cost, n: int) -> dict[str, float]:
    return {
        "cpu_seconds": cost.cpu_seconds / n, "tokens": cost.tokens / n, "passes": cost.passes / n,
    }  # fmt: skip
