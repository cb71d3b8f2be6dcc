"""What one search over the catalog has finished and what is still open, and the bounds that follow from both."""

import heapq
import itertools
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from prompts.trie import Children, Node, Trie

FIRST_STRIDE = 2  # tokens that are read of a path when it is first extended


class Path(NamedTuple):
    """A prefix of titles with its log-probability. stride: how many tokens of it are read at once where nothing else
    may follow than one token after another."""

    node: Node
    logprob: float
    stride: int


class Siblings(NamedTuple):
    """Open paths that came of one extension, the best bound first: a heap holds one entry for all of them, because
    thousands may follow a short prefix and few are ever extended."""

    bounds: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    depth: int
    logprobs: np.ndarray
    stride: int

    def path(self, n: int) -> Path:
        node = Node(int(self.start[n]), int(self.stop[n]), self.depth)
        return Path(node, float(self.logprobs[n]), self.stride)


OpenPath = tuple[float, int, int, Siblings]


class Frontier:
    """The k best items so far, and open paths by bound: log-probability plus the greatest score of an item below."""

    def __init__(self, trie: Trie, k: int, exclude: Collection[str], scores: np.ndarray | None) -> None:
        self.trie, self.k = trie, k
        self._gone = trie.rows(frozenset(exclude))
        self._scores: np.ndarray | None = None
        if scores is not None:
            if scores.shape != (len(trie),):
                raise ValueError(f"{scores.shape} scores for a catalog of {len(trie)} items")
            self._scores = np.array(scores, np.float64)
            self._scores[self._gone] = -np.inf
        self._finished = list[tuple[float, int]]()  # (value, -row): a heap of the k best, worst first
        # Heaps of (-bound, tie-break, which sibling, siblings): paths that end in a choice, and begun ones, which have
        # been read in part up to the next choice.
        self._open, self._begun = list[OpenPath](), list[OpenPath]()
        self._ties = itertools.count()

    def __len__(self) -> int:
        """Items finished, k at most."""
        return len(self._finished)

    def items(self) -> list[tuple[str, float]]:
        """The items finished, best first."""
        return [(self.trie.item(-row), value) for value, row in sorted(self._finished, reverse=True)]

    def bound(self) -> float:
        """What a path's bound must be above to matter."""
        if len(self._finished) < self.k:
            return -np.inf
        return self._finished[0][0] if self._finished else np.inf

    def best_open(self) -> float:
        return max((-heap[0][0] for heap in (self._open, self._begun) if heap), default=-np.inf)

    def greatest(self, children: Children) -> np.ndarray:
        """(n,) the greatest score of an item below each child; -inf where all items there are excluded."""
        if self._scores is not None and len(children.start):
            first, last = children.start[0], children.stop[-1]
            return np.asarray(np.maximum.reduceat(self._scores[first:last], children.start - first))
        gone = np.searchsorted(self._gone, children.stop) - np.searchsorted(self._gone, children.start)
        return np.where(children.stop - children.start > gone, 0.0, -np.inf)

    def reach(
        self, children: Children, depth: int, logprobs: np.ndarray, greatest: np.ndarray, stride: int
    ) -> None:
        """Take in prefixes of `depth` tokens: their items where they are whole titles, else as open paths, unless they
        cannot matter. greatest: as `greatest` has it."""
        bounds = logprobs + greatest
        ends = self.trie.lengths(children.start) == depth
        for n in np.flatnonzero(ends)[np.argsort(-bounds[ends], kind="stable")]:
            if bounds[n] <= self.bound():
                break
            self._finish(int(children.start[n]), int(children.stop[n]), float(logprobs[n]))
        matter = np.flatnonzero(~ends & (bounds > self.bound()))
        best = matter[np.argsort(-bounds[matter], kind="stable")]
        if len(best):
            siblings = Siblings(
                bounds[best], children.start[best], children.stop[best], depth, logprobs[best], stride
            )
            self._push(siblings, 0)

    def reopen(self, path: Path) -> None:
        """Take back a path that was popped."""
        node = path.node
        one = Children(np.zeros(1, np.int64), np.array([node.start]), np.array([node.stop]))
        self.reach(one, node.depth, np.array([path.logprob]), self.greatest(one), path.stride)

    def pop(self, most: int, begun_only: bool = False) -> list[Path]:
        """The best open paths, of those that can still matter. begun_only: of those that have been read in part."""
        paths = list[Path]()
        while len(paths) < most:
            heaps = [heap for heap in ((self._begun,) if begun_only else (self._open, self._begun)) if heap]
            heap = min(heaps, key=lambda heap: heap[0][:2], default=list[OpenPath]())
            if not heap or -heap[0][0] <= self.bound():
                break
            _, _, n, siblings = heapq.heappop(heap)
            paths.append(siblings.path(n))
            if n + 1 < len(siblings.bounds):
                self._push(siblings, n + 1)
        return paths

    def _push(self, siblings: Siblings, n: int) -> None:
        heap = self._begun if siblings.stride > FIRST_STRIDE else self._open
        heapq.heappush(heap, (-float(siblings.bounds[n]), next(self._ties), n, siblings))

    def _finish(self, start: int, stop: int, logprob: float) -> None:
        for row in range(start, stop):
            if self._scores is not None:
                value = logprob + float(self._scores[row])
            else:
                gone = np.searchsorted(self._gone, row, "right") > np.searchsorted(self._gone, row)
                value = -np.inf if gone else logprob
            if value > self.bound():
                heapq.heappush(self._finished, (value, -row))
                if len(self._finished) > self.k:
                    heapq.heappop(self._finished)
