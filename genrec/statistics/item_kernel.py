"""What a user's other outcomes say of an item: kernel ridge regression over residuals."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular

from genrec.statistics.ragged import padded, ranges

TRACKED_ITEMS = 4096  # items whose pairwise agreement is kept: the first to gather MIN_COUNT outcomes
MIN_COUNT = 2
MET = 256  # latest outcomes of a user that speak at least, where there are as many; less than twice as many speak
PAIR_PRIOR = 60.0  # pseudo-co-outcomes behind a pair's correlation
NOISE = 8.0  # a residual's variance of its own, in units of what items share
CONTENT = 0.15  # weight of shared categories in the kernel, beside the correlation of outcomes
CATEGORIES = 256  # the most common ones make the content kernel
BATCH = 2_000_000  # numbers of the systems that are solved at once
LEAST = NOISE / 4  # variance of an outcome given those before it; where all fits together it is above NOISE
# Of two items i, j over the users who met both: the sum of their residuals' products, that of i's squared residuals,
# and the number of pairs of outcomes.
PRODUCTS, SQUARES, PAIRS = range(3)
ROWS = 16  # of the kernel that are made at once
LARGE = 64  # outcomes from which a triangular system is solved on its own


class OutcomeRuns(NamedTuple):
    """Outcomes of users, one user after the other and each in order. slots: (n,) of their items, -1 where the item is
    not tracked. residuals: (n,). begin, length: (h,) which of them make a history."""

    slots: np.ndarray
    residuals: np.ndarray
    begin: np.ndarray
    length: np.ndarray


class ItemQuestions(NamedTuple):
    """q questions: (q,) the number of the history, how many of its outcomes speak, and the item's slot or -1; and the
    items' contents, (q, categories)."""

    history: np.ndarray
    known: np.ndarray
    slots: np.ndarray
    contents: sparse.csr_array


class ItemKernel:
    """The kernel of two items: the correlation of their residuals over the users who met both, shrunk where those are
    few (Bell and Koren 2007), and the cosine of their categories, rare ones counting more. A user's residuals are
    explained by it as in a Gaussian process; what is expected of one more item is the posterior mean.

    What users met is taken in by `learn`, and `refresh` makes the kernel of it; until then it changes nothing.
    """

    def __init__(self, categories: Mapping[str, Sequence[str]], tracked_items: int = TRACKED_ITEMS) -> None:
        self.tracked_items = tracked_items
        self.slots: dict[str, int] = {}
        self.categories = categories
        common = Counter(c for chosen in categories.values() for c in chosen).most_common(CATEGORIES)
        self._column = {name: k for k, (name, _) in enumerate(common)}
        self._rarity = np.log(max(len(categories), 1) / np.array([n for _, n in common])) + 0.1
        # Each (room, room), with room for more items than there are. See PRODUCTS.
        self.sums = np.zeros((3, 0, 0), np.float32)
        self.likeness = np.zeros((0, 0), np.float32)  # CONTENT times the cosine of their categories
        # What `refresh` makes of both. The last row and column, -1, are those of an item that is not tracked: zero.
        self.kernel = np.zeros((1, 1), np.float32)
        self.contents = np.zeros((1, max(len(common), 1)))  # of tracked items; the last row is the same

    def track(self, item_ids: Iterable[str]) -> None:
        """Give items a slot, while there is room."""
        new = [item for item in dict.fromkeys(item_ids) if item not in self.slots]
        new = new[: self.tracked_items - len(self.slots)]
        known, size = len(self.slots), len(self.slots) + len(new)
        self.slots |= {item: known + k for k, item in enumerate(new)}
        if size > len(self.likeness):
            room = min(2 * size, self.tracked_items)
            more = (0, room - len(self.likeness))
            self.sums, self.likeness = (
                np.pad(self.sums, ((0, 0), more, more)),
                np.pad(self.likeness, (more, more)),
            )
        self.contents = np.concatenate(
            [self.contents[:-1], self.contents_of(new).toarray(), np.zeros((1, self.contents.shape[1]))]
        )
        likeness = CONTENT * (self.contents[known:size] @ self.contents[:size].T)
        self.likeness[known:size, :size] = likeness
        self.likeness[:size, known:size] = likeness.T

    def refresh(self) -> None:
        """Make the kernel of what has been taken in."""
        size = len(self.slots)
        if len(self.kernel) != size + 1:
            self.kernel = np.zeros((size + 1, size + 1), np.float32)
        for start in range(0, size, ROWS):  # so few that they stay in the processor's cache
            rows = slice(start, min(start + ROWS, size))
            products, squares, pairs = self.sums[:, rows, :size]
            kernel = squares * self.sums[SQUARES, :size, rows].T
            kernel += 1e-4
            np.sqrt(kernel, out=kernel)
            np.divide(products, kernel, out=kernel)
            kernel *= pairs / (pairs + np.float32(PAIR_PRIOR))
            kernel += self.likeness[rows, :size]
            self.kernel[rows, :size] = kernel

    def learn(self, histories: OutcomeRuns, new: np.ndarray) -> None:
        """Take in what users met. new: (h,) how many outcomes at each history's end have not been taken in yet."""
        size = len(self.slots)
        users = np.repeat(np.arange(len(histories.length)), histories.length)
        rows = ranges(histories.begin, histories.length)
        is_new = ranges(np.zeros_like(new), histories.length) >= (histories.length - new)[users]
        slots, residuals = histories.slots[rows], histories.residuals[rows]
        late, early = (slots >= 0) & is_new, (slots >= 0) & ~is_new

        def matrix(chosen: np.ndarray, values: np.ndarray) -> sparse.csr_array:
            at = (users[chosen], slots[chosen])
            return sparse.csr_array((values[chosen], at), shape=(len(new), size))

        ones = np.ones(len(rows))
        diagonal = np.arange(size)
        for part, left, right in (
            (PRODUCTS, residuals, residuals),
            (SQUARES, residuals**2, ones),
            (PAIRS, ones, ones),
        ):
            late_left, late_right = matrix(late, left), matrix(late, right)
            early_left, early_right = matrix(early, left), matrix(early, right)
            for product in (late_left.T @ (early_right + late_right), early_left.T @ late_right):
                added = product.tocoo()
                self.sums[part, added.row, added.col] += added.data.astype(np.float32)
            # An outcome makes no pair with itself.
            itself = np.bincount(slots[late], (left * right)[late], size)
            self.sums[part, diagonal, diagonal] -= itself.astype(np.float32)

    def restore(self, items: Sequence[str], sums: np.ndarray) -> None:
        """Take up a state that was kept: items by slot, and (3, items, items) what `kept` gave."""
        self.track(items)
        self.sums[:, : len(items), : len(items)] = sums
        self.refresh()

    def kept(self) -> np.ndarray:
        """(3, items, items) what `restore` takes."""
        return self.sums[:, : len(self.slots), : len(self.slots)]

    def expected(self, histories: OutcomeRuns, asked: ItemQuestions) -> np.ndarray:
        """(q,) the residual expected at each question, 0 where nothing of the user speaks."""
        answers = np.zeros(len(asked.history))
        speaking = np.flatnonzero(asked.known > 0)
        speaking = speaking[np.argsort(asked.history[speaking], kind="stable")]
        numbers, first, counts = np.unique(asked.history[speaking], return_index=True, return_counts=True)
        for some in _alike(histories.length[numbers], counts, self.contents.shape[1]):
            rows = padded(first[some], counts[some])  # (b, w) into speaking
            there, questions = rows >= 0, speaking[rows]
            known = np.where(there, asked.known[questions], 1)
            values = self._solved(histories, numbers[some], asked, questions, known)
            answers[questions[there]] = values[there]
        return answers

    def _solved(
        self,
        histories: OutcomeRuns,
        numbers: np.ndarray,
        asked: ItemQuestions,
        questions: np.ndarray,
        known: np.ndarray,
    ) -> np.ndarray:
        """(b, w) answers of b histories, each with at most w questions (b, w), which see so many outcomes (b, w)."""
        rows = padded(histories.begin[numbers], histories.length[numbers])  # (b, m)
        there = rows >= 0
        slots = np.where(there, histories.slots[rows], -1)
        kernel = self.kernel[slots[:, :, None], slots[:, None, :]].astype(np.float64)
        width = kernel.shape[1]
        kernel[:, np.arange(width), np.arange(width)] = 1 + CONTENT + NOISE
        items = asked.slots[questions]
        right = np.empty((len(numbers), width, 1 + items.shape[1]))
        right[:, :, 0] = np.where(there, histories.residuals[rows], 0.0)
        right[:, :, 1:] = self.kernel[slots[:, :, None], items[:, None, :]]
        if (items < 0).any():
            of_items = asked.contents[questions.ravel()].toarray().reshape(*questions.shape, -1)
            by_content = CONTENT * np.einsum("bmc,bwc->bmw", self.contents[slots], of_items)
            right[:, :, 1:] += np.where(items[:, None, :] < 0, by_content, 0.0)
        factor = _factors(kernel, right)
        if width < LARGE:
            solved = np.linalg.solve(factor, right)
        else:
            solved = np.stack(
                [
                    solve_triangular(one, other, lower=True, check_finite=False)
                    for one, other in zip(factor, right, strict=True)
                ]
            )
        # The first rows of the factor are that of the first outcomes alone, so each prefix is answered by a sum.
        sums = np.cumsum(solved[:, :, 1:] * solved[:, :, :1], axis=1)
        return np.asarray(np.take_along_axis(sums, known[:, None, :] - 1, axis=1)[:, 0])

    def slots_of(self, item_ids: Sequence[str]) -> np.ndarray:
        """(items,) each one's slot, -1 where it is not tracked."""
        return np.array([self.slots.get(item, -1) for item in item_ids], np.int64)

    def contents_of(self, item_ids: Sequence[str]) -> sparse.csr_array:
        """(items, categories) each item's categories as a row of length 1, or of zeros."""
        columns = [
            [self._column[c] for c in self.categories.get(item, ()) if c in self._column] for item in item_ids
        ]
        flat = np.array([c for row in columns for c in row], np.int64)
        lengths = np.array([len(row) for row in columns], np.int64)
        values = self._rarity[flat]
        norms = np.sqrt(np.bincount(np.repeat(np.arange(len(columns)), lengths), values**2, len(columns)))
        values = values / np.repeat(norms, lengths)
        bounds = np.r_[0, np.cumsum(lengths)]
        return sparse.csr_array((values, flat, bounds), shape=(len(columns), self.contents.shape[1]))


def _factors(kernel: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(b, m, m) lower triangular factors of b systems with right-hand sides (b, m, r).

    Correlations of pairs that different users met need not fit together, and where a user met the same items often, a
    system may not be positive definite. An outcome at which that shows is left out, whatever comes later: its rows of
    `right` become zero.
    """
    try:
        factors = np.linalg.cholesky(kernel)
        least = np.diagonal(factors, axis1=1, axis2=2).min(axis=1) ** 2
    except np.linalg.LinAlgError:
        factors, least = np.empty_like(kernel), np.zeros(len(kernel))
    for k in np.flatnonzero(least < LEAST):
        factors[k] = _mended(kernel[k], right[k])
    return np.asarray(factors)


def _mended(kernel: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(m, m) the factor of one system, outcome by outcome."""
    factor, kernel = np.zeros_like(kernel), kernel.copy()
    for k in range(len(kernel)):
        row = solve_triangular(factor[:k, :k], kernel[k, :k], lower=True, check_finite=False)
        left = kernel[k, k] - row @ row
        if left < LEAST:
            row, left = np.zeros(k), 1.0
            kernel[k:, k] = right[k] = 0.0
        factor[k, :k], factor[k, k] = row, np.sqrt(left)
    return factor


def window_start(count: np.ndarray) -> np.ndarray:
    """Where the window of a user's `count` outcomes begins: the oldest MET go when there are twice as many, so that the
    system of a user grows far more often than it is made anew."""
    return np.asarray(np.maximum(count // MET - 1, 0) * MET)


def windows(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """first, count: (q,) where the outcomes of each question's user begin, and how many came before the question.

    Returns (h,) where the histories that the questions look at begin, and how long they are; and (q,) each question's
    history, and how many of its outcomes it sees.
    """
    start = window_start(count)
    begin, number = np.unique(first + start, return_inverse=True)
    sees = count - start
    length = np.zeros(len(begin), np.int64)
    np.maximum.at(length, number, sees)
    return begin, length, number, sees


def _alike(lengths: np.ndarray, questions: np.ndarray, categories: int) -> Iterator[np.ndarray]:
    """Numbers of histories whose systems are about as large, a batch at a time."""
    if not len(lengths):
        return
    size = np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    wide = np.ceil(np.log2(np.maximum(questions, 1))).astype(np.int64)
    order = np.lexsort((wide, size))
    kinds = size[order] * 64 + wide[order]
    for kind in np.split(order, np.flatnonzero(np.diff(kinds)) + 1):
        longest, widest = int(lengths[kind].max()), int(questions[kind].max())
        most = max(BATCH // ((longest + categories) * (longest + widest)), 1)
        yield from np.split(kind, np.arange(most, len(kind), most))
