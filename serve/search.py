"""The exact top items of a catalog by a language model's probability, without scoring them all.

An item's probability is the product of its tokens' along the catalog's trie, so it only falls along a path. Best-first
search with the k-th best finished item as its bound is therefore exact: when no open path is above the bound, no item
below one can be. Nothing is found that is not in the catalog.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from prompts.layout import Question
from prompts.trie import Node, Trie
from serve.engine import Engine, Request

WIDTH = 64  # open paths that go to the engine at once


class Found(NamedTuple):
    """items: (item_id, natural log-probability), best first. gap: 0 where exact; else how far the best open path lies
    above the last of `items` (infinite where fewer than k are finished). nodes: paths that were extended."""

    items: list[tuple[str, float]]
    exact: bool
    gap: float
    nodes: int


class Path(NamedTuple):
    ids: tuple[int, ...]
    node: Node
    logprob: float


@dataclass
class Search:
    """What is found and what is open. The two heaps hold (order, tie-break, ...)."""

    k: int
    gone: Counter[int]  # excluded items at or below a node, by id(node)
    exclude: Collection[str]
    finished: list[tuple[float, int, str]] = field(default_factory=list)  # the k best, worst first
    open: list[tuple[float, int, Path]] = field(default_factory=list)  # best first
    ties: "itertools.count[int]" = field(default_factory=itertools.count)

    def left(self, node: Node) -> int:
        """Items at or below that are not excluded."""
        return node.count - self.gone[id(node)]

    def bound(self) -> float:
        """What a path must be above to matter."""
        if len(self.finished) < self.k:
            return -np.inf
        return self.finished[0][0] if self.finished else np.inf

    def best_open(self) -> float:
        return -self.open[0][0] if self.open else -np.inf

    def reach(self, path: Path) -> None:
        """Keep a path: its items where it is an end, else as open, unless it cannot matter."""
        if path.logprob <= self.bound() or not self.left(path.node):
            return
        if not path.node.items:
            heapq.heappush(self.open, (-path.logprob, next(self.ties), path))
        for item in path.node.items:
            if item not in self.exclude:
                heapq.heappush(self.finished, (path.logprob, -next(self.ties), item))
                if len(self.finished) > self.k:
                    heapq.heappop(self.finished)

    def next_paths(self, most: int) -> list[Path]:
        paths: list[Path] = []
        while len(paths) < most and self.best_open() > self.bound():
            paths.append(heapq.heappop(self.open)[2])
        return paths


def top_items(
    engine: Engine,
    context: Sequence[int],
    trie: Trie,
    k: int,
    exclude: Collection[str] = (),
    node_budget: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """The k items of the trie that most probably continue the context, `exclude` (seen, unavailable) left out.

    node_budget: paths extended at most; stop: asked between batches of them. A search that stops for either says so
    (`Found.exact`, `Found.gap`).
    """
    search, nodes = Search(k, _excluded(trie, exclude), frozenset(exclude)), 0
    search.reach(Path((), trie.root, 0.0))
    while not stop() and (
        paths := search.next_paths(WIDTH if node_budget is None else min(WIDTH, node_budget - nodes))
    ):
        nodes += len(paths)
        steps = [_steps(search, path) for path in paths]
        questions = [Question(ids, tokens, "vocabulary") for step in steps for ids, tokens in step]
        scores = iter(engine.score([Request(context, questions)])[0])
        for path, step in zip(paths, steps, strict=True):
            _extend(search, path, [(tokens, next(scores)) for _, tokens in step])
    items = [(item, logprob) for logprob, _, item in sorted(search.finished, reverse=True)]
    exact = search.best_open() <= search.bound()
    return Found(items, exact, 0.0 if exact else search.best_open() - search.bound(), nodes)


Step = tuple[tuple[int, ...], tuple[int, ...]]  # token ids from the context's end, the tokens that may follow


def _steps(search: Search, path: Path) -> list[Step]:
    """The questions that extend a path: one, or, as long as there is no choice left, one a token to the item's end,
    which an engine answers together, for each is a prefix of the next."""
    steps, ids, node = [], path.ids, path.node
    while not node.items:
        tokens = tuple(t for t, child in node.children.items() if search.left(child))
        steps.append((ids, tokens))
        if len(tokens) > 1:
            break
        ids, node = (*ids, tokens[0]), node.children[tokens[0]]
    return steps


def _extend(search: Search, path: Path, scored: list[tuple[tuple[int, ...], np.ndarray]]) -> None:
    for tokens, logprobs in scored:
        ends = [
            Path((*path.ids, token), path.node.children[token], path.logprob + float(logprob))
            for token, logprob in zip(tokens, logprobs, strict=True)
        ]
        path = ends[0]
    for end in ends:
        search.reach(end)


def _excluded(trie: Trie, exclude: Collection[str]) -> Counter[int]:
    gone: Counter[int] = Counter()
    for item in frozenset(exclude):
        if item in trie:
            gone.update(id(node) for node in trie.path(trie.ids(item)))
    return gone
