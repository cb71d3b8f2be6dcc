"""What a user's other outcomes say of an item: kernel ridge regression over residuals, kept incrementally."""

import copy
from collections import ChainMap, Counter
from collections.abc import Mapping, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

TRACKED_ITEMS = 4096  # items whose pairwise agreement is kept: the first to gather MIN_COUNT outcomes
MIN_COUNT = 2
MET = 256  # latest residuals of a user that speak; the cost of a new fact grows with the cube of it
PAIR_PRIOR = 60.0  # pseudo-co-outcomes behind a pair's correlation
NOISE = 8.0  # a residual's variance of its own, in units of what items share
CONTENT = 0.15  # weight of shared categories in the kernel, beside the correlation of outcomes
CATEGORIES = 256  # the most common ones make the content kernel

# What is kept of two items i, j, side by side so that one look-up finds it: over the users who met both, the sum of
# their residuals' products and that of i's squared residuals; and how many users.
PRODUCTS, SQUARES, PAIRS = range(3)


class Weights(NamedTuple):
    """A user's solved system: what each item she met adds to an item that agrees with it."""

    slots: np.ndarray
    dual: np.ndarray


class Neighbours:
    """The kernel of two items: the correlation of their residuals over the users who met both, shrunk where those are
    few (Bell and Koren 2007), and the cosine of their categories, rare ones counting more. A user's residuals are
    explained by it as in a Gaussian process; `gain` is the posterior mean for one more item.
    """

    def __init__(self, categories: Mapping[str, Sequence[str]], tracked_items: int = TRACKED_ITEMS) -> None:
        self.tracked_items = tracked_items
        self.slots: dict[str, int] = {}
        self.history: MutableMapping[str, tuple[list[int], list[float]]] = {}  # per user: slots and residuals
        self.together = np.zeros((64, 64, 3), np.float32)  # [i, j]: PRODUCTS, SQUARES, PAIRS
        self.categories = categories
        common = Counter(c for chosen in categories.values() for c in chosen).most_common(CATEGORIES)
        self._column = {name: k for k, (name, _) in enumerate(common)}
        self._rarity = np.log(max(len(categories), 1) / np.array([n for _, n in common])) + 0.1
        self._contents = np.zeros((64, max(len(common), 1)))
        self._solved: dict[str, Weights] = {}  # until the next fact

    def gain(self, user_id: str, item_id: str) -> float:
        """Expected residual of this user on this item, 0 where nothing is known of her."""
        met = self.history.get(user_id)
        if met is None:
            return 0.0
        if user_id not in self._solved:
            self._solved[user_id] = self._solve(*met)
        slots, dual = self._solved[user_id]
        slot = self.slots.get(item_id)
        kernel = CONTENT * (self._contents[slots] @ self._content(item_id, slot))
        if slot is not None:
            kernel += self._agreement(slot, slots)
        return float(kernel @ dual)

    def learn(self, residuals: Sequence[tuple[str, str, float]], counts: Mapping[str, float]) -> None:
        """(user, item, residual) of one moment. counts: outcomes of each item so far, these included."""
        self._solved.clear()
        for user_id, item_id, residual in residuals:
            slot = self._slot(item_id, counts[item_id])
            if slot is None:
                continue
            met, grades = self.history.setdefault(user_id, ([], []))
            if met:
                self._pair(slot, residual, np.asarray(met), np.asarray(grades, np.float32))
            met.append(slot)
            grades.append(residual)

    def aside(self) -> "Neighbours":
        """A view on which `meet` adds to one user's history and to nothing else."""
        view = copy.copy(self)
        view.history, view._solved = ChainMap({}, self.history), {}
        return view

    def meet(self, user_id: str, item_id: str, residual: float) -> None:
        """A residual that says something of this user, but nothing of how items agree."""
        if (slot := self.slots.get(item_id)) is not None:
            met, grades = self.history.get(user_id, ([], []))
            self.history[user_id] = ([*met, slot], [*grades, residual])
            self._solved.pop(user_id, None)

    def _solve(self, met: list[int], grades: list[float]) -> Weights:
        slots = np.asarray(met[-MET:])
        contents = self._contents[slots]
        kernel = CONTENT * (contents @ contents.T) + self._agreement(slots[:, None], slots[None, :])
        np.fill_diagonal(kernel, 1 + CONTENT + NOISE)
        return Weights(slots, np.linalg.solve(kernel, np.asarray(grades[-MET:])))

    def _agreement(self, rows: int | np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Of one item with some, or of some with themselves: rows (m, 1), columns (1, m)."""
        found = (
            self.together.reshape(-1, 3).take(rows * len(self.together) + columns, axis=0).astype(np.float64)
        )
        products, squares, pairs = found[..., PRODUCTS], found[..., SQUARES], found[..., PAIRS]
        mirrored = (
            squares.T if squares.ndim == 2 else self.together[columns, rows, SQUARES].astype(np.float64)
        )
        kernel: np.ndarray = products / np.sqrt(squares * mirrored + 1e-4) * (pairs / (pairs + PAIR_PRIOR))
        return kernel

    def _pair(self, slot: int, residual: float, met: np.ndarray, grades: np.ndarray) -> None:
        added = np.ones((len(met), 3), np.float32)
        added[:, PRODUCTS] = np.float32(residual) * grades
        added[:, SQUARES] = np.float32(residual**2)
        self.together[slot, met] += added
        added[:, SQUARES] = grades**2
        self.together[met, slot] += added

    def _slot(self, item_id: str, count: float) -> int | None:
        """The item's row in the matrices; given out once it has MIN_COUNT outcomes, while there is room."""
        if item_id not in self.slots and len(self.slots) < self.tracked_items and count >= MIN_COUNT:
            slot = self.slots[item_id] = len(self.slots)
            self._grow(len(self.slots))
            self._contents[slot] = self._content(item_id, None)
        return self.slots.get(item_id)

    def restore(
        self,
        slot_items: Sequence[str],
        history: Mapping[str, tuple[list[int], list[float]]],
        together: np.ndarray,
    ) -> None:
        """Take up a state that was kept: items by slot, residuals by user, `together` of (items, items, 3)."""
        self.slots = {item: k for k, item in enumerate(slot_items)}
        self.history = dict(history)
        n = len(self.slots)
        self._grow(n)
        self.together[:n, :n] = together
        for item_id, slot in self.slots.items():
            self._contents[slot] = self._content(item_id, None)
        self._solved.clear()

    def _grow(self, n: int) -> None:
        """Room for n items."""
        while len(self.together) < n:
            more = len(self.together)
            self.together = np.pad(self.together, ((0, more), (0, more), (0, 0)))
            self._contents = np.pad(self._contents, ((0, more), (0, 0)))

    def _content(self, item_id: str, slot: int | None) -> np.ndarray:
        """Its categories as a vector of length 1 (0 without any)."""
        if slot is not None:
            return np.asarray(self._contents[slot])
        columns = [self._column[c] for c in self.categories.get(item_id, ()) if c in self._column]
        content = np.zeros(self._contents.shape[1])
        if columns:
            content[columns] = self._rarity[columns]
            content /= np.linalg.norm(content)
        return content
