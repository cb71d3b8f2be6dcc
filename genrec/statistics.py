"""What was known about an item and a user at a point in time: one function for training, eval and serving alike.

Outcomes become facts when they mature, and a question sees the facts that matured strictly before it. Regimes:
`running` reads at the example's own time, `frozen` stops learning at the end of training.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

COLUMNS = (
    "item_count",  # outcomes known of this item
    "item_share",  # shrunken share of them that were clicks
    "item_gain",  # how much more it was clicked than its viewers click on average (shrunken mean residual)
    "item_convert_share",  # shrunken share that converted, of all its outcomes
    "user_count",
    "user_share",
    "user_convert_share",
    "category_share",  # the user's shrunken click share, averaged over the item's categories
    "match_share",  # the click share expected of this user on this item: user, item, categories, neighbours
    "recent3_share",  # of her last three outcomes, NaN when there are none
    "recent10_share",
)
TRACKED_ITEMS = 4096  # items whose pairwise agreement is kept: the first to gather MIN_COUNT outcomes
MIN_COUNT = 3
PRIOR = 5.0  # pseudo-outcomes behind every shrunken share
PAIR_PRIOR = 20.0  # pseudo-co-outcomes behind a pair's agreement


class Outcome(NamedTuple):
    """One impression whose click label has matured; `convert` is None while that label has not."""

    user_id: str
    item_id: str
    click: int
    convert: int | None


class Statistics:
    """Grows outcome by outcome (`observe`), answers at any moment (`read`).

    The neighbour term is item-based collaborative filtering on residuals (Sarwar et al. 2001, adjusted cosine,
    with Bell & Koren's shrinkage of thinly supported pairs), kept incrementally in two dense matrices.
    """

    def __init__(self, categories: Mapping[str, Sequence[str]], tracked_items: int = TRACKED_ITEMS) -> None:
        self.categories = categories
        self.tracked_items = tracked_items
        self.items: dict[str, np.ndarray] = {}  # [count, clicks, residuals, converts]
        self.users: dict[str, np.ndarray] = {}  # [count, clicks, converts]
        self.user_categories: dict[tuple[str, str], np.ndarray] = {}  # [count, clicks]
        self.recent: dict[str, list[int]] = {}
        self.slots: dict[str, int] = {}
        self.history: dict[str, tuple[list[int], list[float]]] = {}  # per user: slots and residual grades
        self.total = np.array([PRIOR, PRIOR / 2, PRIOR / 5])  # [count, clicks, converts], a weak start
        self._products = np.zeros((64, 64), np.float32)  # sum of residual products over users who met both
        self._squares = np.zeros(
            (64, 64), np.float32
        )  # [i, j]: sum of i's squared residuals over the same users
        self._pairs = np.zeros((64, 64), np.float32)

    # ---- reading ----------------------------------------------------------------------------------------

    def read(self, user_id: str, item_id: str) -> np.ndarray:
        """COLUMNS as float64 (11,), from what has been observed so far."""
        click_rate, convert_rate = self._rates()
        user_count, user_share, user_convert = self._user(user_id)
        count, clicks, residuals, converts = self.items.get(item_id, np.zeros(4))
        gain = residuals / (count + PRIOR)
        recent = self.recent.get(user_id, [])
        category_share = self._category_share(user_id, item_id, user_share)
        expected = user_share + gain + (category_share - user_share) / 2 + self._neighbours(user_id, item_id)
        return np.array(
            [
                count,
                (clicks + PRIOR * click_rate) / (count + PRIOR),
                gain,
                (converts + PRIOR * convert_rate) / (count + PRIOR),
                user_count,
                user_share,
                user_convert,
                category_share,
                min(max(expected, 0.01), 0.99),
                float(np.mean(recent[-3:])) if recent else np.nan,
                float(np.mean(recent)) if recent else np.nan,
            ]
        )

    def _rates(self) -> tuple[float, float]:
        count, clicks, converts = self.total
        return clicks / count, converts / count

    def _user(self, user_id: str) -> tuple[float, float, float]:
        click_rate, convert_rate = self._rates()
        count, clicks, converts = self.users.get(user_id, np.zeros(3))
        n = count + PRIOR
        return count, (clicks + PRIOR * click_rate) / n, (converts + PRIOR * convert_rate) / n

    def _category_share(self, user_id: str, item_id: str, user_share: float) -> float:
        shares = []
        for category in self.categories.get(item_id, ()):
            count, clicks = self.user_categories.get((user_id, category), (0.0, 0.0))
            shares.append((clicks + 2 * user_share) / (count + 2))
        return float(np.mean(shares)) if shares else user_share

    def _neighbours(self, user_id: str, item_id: str) -> float:
        slot = self.slots.get(item_id)
        met, grades = self.history.get(user_id, ([], []))
        if slot is None or not met:
            return 0.0
        pairs = self._pairs[slot, met]
        norm = np.sqrt(self._squares[slot, met] * self._squares[met, slot] + 1e-6)
        similarity = self._products[slot, met] / norm * (pairs / (pairs + PAIR_PRIOR))
        return float((similarity * np.asarray(grades)).sum() / (np.abs(similarity).sum() + 0.5))

    # ---- learning ---------------------------------------------------------------------------------------

    def observe(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes that matured at one moment; they do not see one another."""
        batch = [(o, self._user(o.user_id)[1:]) for o in outcomes]
        grades = []
        for outcome, (share, convert_share) in batch:
            expected = (share + convert_share) / 2
            grades.append((outcome.click + (outcome.convert or 0)) / 2 - expected)
        for (outcome, (share, _)), grade in zip(batch, grades, strict=True):
            self._count(outcome, share)
            self._agree(outcome, grade)
        for (outcome, _), grade in zip(batch, grades, strict=True):
            if (slot := self.slots.get(outcome.item_id)) is not None:
                met, met_grades = self.history.setdefault(outcome.user_id, ([], []))
                met.append(slot)
                met_grades.append(grade)

    def observe_convert(self, user_id: str, item_id: str) -> None:
        """A conversion that matured after its click had already been observed."""
        self.items[item_id][3] += 1
        self.users[user_id][2] += 1
        self.total[2] += 1

    def _count(self, outcome: Outcome, user_share: float) -> None:
        user_id, item_id, click, convert = outcome
        self.items.setdefault(item_id, np.zeros(4))[:] += (1, click, click - user_share, convert or 0)
        self.users.setdefault(user_id, np.zeros(3))[:] += (1, click, convert or 0)
        self.total += (1, click, convert or 0)
        for category in self.categories.get(item_id, ()):
            self.user_categories.setdefault((user_id, category), np.zeros(2))[:] += (1, click)
        recent = self.recent.setdefault(user_id, [])
        recent.append(click)
        del recent[:-10]

    def _agree(self, outcome: Outcome, grade: float) -> None:
        slot = self._slot(outcome.item_id)
        met, grades = self.history.get(outcome.user_id, ([], []))
        if slot is None or not met:
            return
        others = np.asarray(grades, np.float32)
        for matrix, row, column in (
            (self._products, grade * others, grade * others),
            (self._squares, np.full(len(met), grade**2, np.float32), others**2),
            (self._pairs, np.ones(len(met), np.float32), np.ones(len(met), np.float32)),
        ):
            matrix[slot, met] += row
            matrix[met, slot] += column

    def _slot(self, item_id: str) -> int | None:
        """The item's row in the pair matrices; given out once it has MIN_COUNT outcomes, while there is room."""
        if (
            item_id not in self.slots
            and len(self.slots) < self.tracked_items
            and self.items[item_id][0] >= MIN_COUNT
        ):
            self.slots[item_id] = len(self.slots)
            if len(self.slots) > len(self._pairs):
                pad = ((0, len(self._pairs)), (0, len(self._pairs)))
                self._products, self._squares, self._pairs = (
                    np.pad(m, pad) for m in (self._products, self._squares, self._pairs)
                )
        return self.slots.get(item_id)
