"""The exact top items of a catalog by a language model's probability, without scoring them all.

An item's probability is the product of its tokens' along the catalog's trie, so it only falls along a path. Best-first
search with the k-th best finished item as its bound is therefore exact: when no open path is above the bound, no item
below one can be. A budget of paths ends it earlier, and the list says how far from exact it may be. Nothing is found
that is not in the catalog.
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
    above the last of `items` (infinite where fewer than k are finished). nodes: paths that were extended. completed:
    how many of the items were reached greedily after the node budget was spent."""

    items: list[tuple[str, float]]
    exact: bool
    gap: float
    nodes: int
    completed: int = 0


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
    likely: frozenset[int]  # nodes on the way to likely items, by id
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
    likely: Sequence[str] = (),
) -> Found:
    """The k items of the trie that most probably continue the context, `exclude` (seen, unavailable) left out.

    node_budget: paths extended at most; where fewer than k items are finished by then, the best open paths are followed
    greedily until there are k, so that a list is never short. stop: asked between batches of paths; nothing is extended
    once it is true. A search that ends for either says so (`Found.exact`, `Found.gap`). likely: items to score whole in
    the first batch, such as those that the question names: a good bound from the start leaves little to extend. What an
    exact search finds is the same.
    """
    likely = [item for item in likely if item in trie][
        : None if node_budget is None else max(node_budget - 1, 0)
    ]
    on_the_way = frozenset(id(node) for item in likely for node in trie.path(trie.ids(item)))
    search = Search(k, _excluded(trie, exclude), frozenset(exclude), on_the_way)
    search.reach(Path((), trie.root, 0.0))
    nodes = len(likely) if search.open else 0
    while not stop() and (
        paths := search.next_paths(WIDTH if node_budget is None else min(WIDTH, node_budget - nodes))
    ):
        nodes += len(paths)
        for ends in _extended(engine, context, search, paths):
            for end in ends:
                search.reach(end)
    within = len(search.finished)
    nodes += _complete(engine, context, search, stop)
    items = [(item, logprob) for logprob, _, item in sorted(search.finished, reverse=True)]
    exact = search.best_open() <= search.bound()
    gap = 0.0 if exact else search.best_open() - search.bound()
    return Found(items, exact, gap, nodes, len(items) - within)


def _complete(engine: Engine, context: Sequence[int], search: Search, stop: Callable[[], bool]) -> int:
    """Follow the best open paths greedily, each to an item, until k items are finished; how many paths it extended."""
    nodes = 0
    while search.open and len(search.finished) < search.k and not stop():
        paths = search.next_paths(min(WIDTH, search.k - len(search.finished)))
        while paths and not stop():
            nodes += len(paths)
            followed = []
            for ends in _extended(engine, context, search, paths):
                best = max(ends, key=lambda end: end.logprob)
                followed += [] if best.node.items else [best]
                for end in ends:
                    if end is not best or best.node.items:
                        search.reach(end)
            paths = followed
        for path in paths:
            search.reach(path)
    return nodes


Step = tuple[
    tuple[int, ...], Node, tuple[int, ...]
]  # ids from the context's end, where they lead, what may follow


def _asked(search: Search, path: Path) -> list[Step]:
    """What an engine is asked to extend a path: one step, and those after it as long as there is no choice left or the
    way leads to a likely item. It answers them together, for each begins with another."""
    steps, ways = list[Step](), [(path.ids, path.node)]
    for ids, node in ways:  # which grow
        if node.items:
            continue
        tokens = tuple(t for t, child in node.children.items() if search.left(child))
        steps.append((ids, node, tokens))
        sure = tokens if len(tokens) == 1 else [t for t in tokens if id(node.children[t]) in search.likely]
        ways += [((*ids, t), node.children[t]) for t in sure]
    return steps


def _extended(
    engine: Engine, context: Sequence[int], search: Search, paths: Sequence[Path]
) -> list[list[Path]]:
    """For each path where it leads: the ends of the steps that `_asked` takes from it, one at least."""
    asked = [_asked(search, path) for path in paths]
    questions = [Question(ids, tokens, "vocabulary") for steps in asked for ids, _, tokens in steps]
    scores = iter(engine.score([Request(context, questions)])[0])
    return [
        _ends(path, [(step, next(scores)) for step in steps])
        for path, steps in zip(paths, asked, strict=True)
    ]


def _ends(path: Path, scored: list[tuple[Step, np.ndarray]]) -> list[Path]:
    gone_through = {ids for (ids, _, _), _ in scored}
    reached, ends = {path.ids: path.logprob}, list[Path]()
    for (ids, node, tokens), logprobs in scored:
        for token, logprob in zip(tokens, logprobs, strict=True):
            end = Path((*ids, token), node.children[token], reached[ids] + float(logprob))
            if end.ids in gone_through:
                reached[end.ids] = end.logprob
            else:
                ends.append(end)
    return ends


def _excluded(trie: Trie, exclude: Collection[str]) -> Counter[int]:
    gone: Counter[int] = Counter()
    for item in frozenset(exclude):
        if item in trie:
            gone.update(id(node) for node in trie.path(trie.ids(item)))
    return gone
