"""The exact top items of a catalog by a language model's probability, without scoring them all.

An item's probability is the product of its tokens' along the catalog's trie, so it only falls along a path. Best-first
search with the k-th best finished item as its bound is therefore exact: when no open path is above the bound, no item
below one can be. Scores of items beside the model's are added to their log-probabilities, and the greatest one below a
prefix to its path's, so the bound holds for the sums too. A budget of paths ends a search earlier, and the list says
how far from exact it may be. No item is listed that is not in the catalog.

Many searches go on together: each round extends the best open paths of all of them in one call of the engine.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from prompts.layout import Question
from prompts.trie import Children, Node, Trie
from serve.engine import Engine, Request
from serve.frontier import FIRST_STRIDE, Frontier, Path

WIDTH = 64  # open paths of one search that are extended in one round
TOGETHER = 16  # searches that go on at once: an engine keeps the contexts of as many
WHOLE = 1 << 30  # as a stride: to the next choice, however far


class Found(NamedTuple):
    """items: (item_id, natural log-probability plus the item's score), best first. gap: 0 where exact; else how far the
    best open path lies above the last of `items` (infinite where fewer than k are finished). nodes: paths that were
    extended; one is counted once up to the next choice, in however many rounds it is read. completed: how many of the
    items were reached greedily after the node budget was spent."""

    items: list[tuple[str, float]]
    exact: bool
    gap: float
    nodes: int
    completed: int = 0


@dataclass(frozen=True)
class ListRequest:
    """One list: the k items that most probably continue a context."""

    # Token ids, the next-item question among them.
    context: Sequence[int]
    k: int
    # Items that are not to be listed: seen, unavailable.
    exclude: Collection[str] = ()
    # Items to score whole in the first round, such as those that the question names: a good bound from the start leaves
    # little to extend. What an exact search finds is the same.
    likely: Sequence[str] = ()
    # Paths extended at most; None for as many as it takes. Where fewer than k items are finished by then, the best open
    # paths are followed greedily until there are k, so that a list is never short.
    node_budget: int | None = None
    # (items,) by row of the trie, as Trie.by_row makes them: added to each item's log-probability.
    scores: np.ndarray | None = None


@dataclass
class Step:
    """A place in the trie at which the engine is asked what follows.

    children: what may follow that holds an item to be listed; greatest: the greatest score of such an item below each;
    followed: the steps behind this one that the same call of the engine answers, by child.
    """

    node: Node
    logprob: float
    children: Children
    greatest: np.ndarray
    stride: int
    followed: dict[int, "Step"] = field(default_factory=dict)


class Search:
    """One list in the making: `next_questions`, then `answered`, until there are no more questions."""

    def __init__(self, trie: Trie, request: ListRequest) -> None:
        self.trie, self.request = trie, request
        self.frontier = Frontier(trie, request.k, request.exclude, request.scores)
        self.nodes = 0
        self.within: int | None = None  # items finished when the completion began
        self._steps = list[Step]()
        self._greedy = list[Path]()  # paths that the completion follows
        self._likely = self._likely_rows()
        if len(trie):
            self.frontier.reopen(Path(trie.root, 0.0, FIRST_STRIDE))

    def next_questions(self) -> list[Question]:
        """What the engine is to be asked, behind the context; [] at the end."""
        paths = self._next_paths()
        self._steps = [step for path in paths for step in self._steps_from(path)]
        # Those that read on where there is no choice.
        begun = [path for path in paths if FIRST_STRIDE < path.stride < WHOLE]
        self.nodes += len(paths) - len(begun) + (len(self._likely) if paths else 0)
        self._likely = self._likely[:0]
        return [
            Question(self.trie.prefix(step.node), tuple(step.children.tokens.tolist()), "vocabulary")
            for step in self._steps
        ]

    def answered(self, logprobs: Sequence[np.ndarray]) -> None:
        """Take in one array of log-probabilities for each question."""
        for step, row in zip(self._steps, logprobs, strict=True):
            sums = step.logprob + row
            for child, after in step.followed.items():
                after.logprob = float(sums[child])
            left = np.ones(len(sums), dtype=bool)
            left[list(step.followed)] = False
            if self.within is not None and left.any():
                left[self._follow(step, sums, left)] = False
            self.frontier.reach(
                Children(*(part[left] for part in step.children)), step.node.depth + 1,
                sums[left], step.greatest[left], step.stride,
            )  # fmt: skip

    def found(self) -> Found:
        """The list as it stands."""
        for path in self._greedy:
            self.frontier.reopen(path)
        self._greedy = []
        best, bound = self.frontier.best_open(), self.frontier.bound()
        exact = best <= bound
        within = len(self.frontier) if self.within is None else self.within
        completed = len(self.frontier) - within
        return Found(self.frontier.items(), exact, 0.0 if exact else best - bound, self.nodes, completed)

    def _next_paths(self) -> list[Path]:
        budget = self.request.node_budget
        if self.within is None:
            left = WIDTH if budget is None else min(WIDTH, budget - self.nodes - len(self._likely))
            # What was begun within the budget is read up to the next choice.
            if paths := self.frontier.pop(left) if left > 0 else self.frontier.pop(WIDTH, begun_only=True):
                return paths
            self.within = len(self.frontier)
        paths, self._greedy = self._greedy, []
        if not paths and (short := self.request.k - len(self.frontier)) > 0:
            paths = [path._replace(stride=WHOLE) for path in self.frontier.pop(min(WIDTH, short))]
        return paths

    def _follow(self, step: Step, sums: np.ndarray, left: np.ndarray) -> list[int]:
        """In the completion: go on with the best child, unless it is a whole title; which child that is."""
        best = int(np.argmax(np.where(left, sums + step.greatest, -np.inf)))
        node = _child(step, best)
        if self.trie.length(node.start) == node.depth:
            return []
        self._greedy.append(Path(node, float(sums[best]), WHOLE))
        return [best]

    def _steps_from(self, path: Path) -> list[Step]:
        """One step, and those after it that lead to a likely item, or that leave no choice as far as the path's stride
        goes. The engine answers them together, for each begins with another."""
        steps = [self._step(path.node, path.logprob)]
        for step in steps:  # which grow
            sure = len(step.children.tokens) == 1
            read = step.node.depth + 1 - path.node.depth
            step.stride = 2 * path.stride if sure and path.stride < WHOLE else FIRST_STRIDE
            for n in range(1) if sure and read < path.stride else self._on_the_way(step):
                node = _child(step, n)
                if self.trie.length(node.start) > node.depth:
                    step.followed[n] = self._step(node, np.nan)
                    steps.append(step.followed[n])
        return steps

    def _step(self, node: Node, logprob: float) -> Step:
        children = self.trie.children(node)
        greatest = self.frontier.greatest(children)
        left = greatest > -np.inf
        return Step(node, logprob, Children(*(part[left] for part in children)), greatest[left], FIRST_STRIDE)

    def _on_the_way(self, step: Step) -> Sequence[int]:
        """The children below which a likely item lies."""
        if not len(self._likely):
            return ()
        at = np.searchsorted(self._likely, step.children.stop)
        return [int(n) for n in np.flatnonzero(at > np.searchsorted(self._likely, step.children.start))]

    def _likely_rows(self) -> np.ndarray:
        likely, budget = [i for i in self.request.likely if i in self.trie], self.request.node_budget
        return self.trie.rows(likely if budget is None else likely[: max(budget - 1, 0)])


def top_items(
    engine: Engine, trie: Trie, request: ListRequest, stop: Callable[[], bool] = lambda: False
) -> Found:
    """One list. stop: asked between rounds; once it is true nothing more is extended."""
    ((_, found),) = all_top_items(engine, trie, [request], stop)
    return found


def all_top_items(
    engine: Engine, trie: Trie, lists: Sequence[ListRequest], stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, Found]]:
    """Every list, with its number in `lists`, as soon as it is finished. stop: as in `top_items`, for all of them."""
    waiting, going = deque(enumerate(lists)), list[tuple[int, Search]]()
    while waiting or going:
        while waiting and len(going) < TOGETHER:
            number, one = waiting.popleft()
            going.append((number, Search(trie, one)))
        questions = [[] if stop() else search.next_questions() for _, search in going]
        asking = [(search, asked) for (_, search), asked in zip(going, questions, strict=True) if asked]
        requests = [Request(search.request.context, asked) for search, asked in asking]
        answers = engine.score(requests) if requests else []
        for (search, _), logprobs in zip(asking, answers, strict=True):
            search.answered(logprobs)
        finished = [one for one, asked in zip(going, questions, strict=True) if not asked]
        going = [one for one in going if one not in finished]
        for number, search in finished:
            yield number, search.found()


def _child(step: Step, n: int) -> Node:
    return Node(int(step.children.start[n]), int(step.children.stop[n]), step.node.depth + 1)
