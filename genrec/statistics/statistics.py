"""What was known about an item and a user at a point in time: one function for training, eval and serving alike.

Outcomes become facts when they mature, and a question sees the facts that matured strictly before it. A conversion
matures in its own time: until its attribution window has closed, neither its yes nor its no is in any share. What was
not clicked is a no only when a click at the last moment would have been one, or shares would read low while clicks are
undecided. Regimes: `running` reads at the example's own time, `frozen` stops learning at the end of training.

Counts, and what a user's outcomes say of other items, follow each outcome at once. What all users share, the kernel of
items and the shared weights of the regressions, is made anew when outcomes have grown by a 32nd (`next_refresh`), so it
depends on nothing but the outcomes that came before.

In a sampled log an outcome counts as often as its impression's weight (the inverse of the sampling rate) says, so that
counts and shares are those of the whole traffic. neighbour_gain alone takes each row once.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from genrec.statistics.counts import (
    BEND_SPREAD,
    BENDS,
    COLUMNS,
    DRIFT,
    OF_CATEGORY,
    OWN_SPREAD,
    SPREAD,
    START,
    TERMS,
    Counts,
    gain,
    rates,
    shrunk,
)
from genrec.statistics.item_kernel import (
    MIN_COUNT,
    TRACKED_ITEMS,
    ItemKernel,
    ItemQuestions,
    OutcomeRuns,
    window_start,
    windows,
)
from genrec.statistics.match import ForwardLogistic, probability
from genrec.statistics.rows import GrowingRows

FEWEST = 32  # outcomes between two refreshes, at least
GROWTH = 16  # and this share of all outcomes


class Outcome(NamedTuple):
    """One impression whose click label has matured; `convert` is None while that label has not. reading: what was read
    when it was asked about; None for one that is asked about as it becomes known."""

    user_id: str
    item_id: str
    click: int
    convert: int | None
    weight: float = 1.0
    reading: "ReadItems | None" = None

    @property
    def grade(self) -> float:
        """0, one half for a click, 1 for a conversion; one that matures later than its click is not graded."""
        return (self.click + (self.convert or 0)) / 2


class ReadItems(NamedTuple):
    """q questions of one user. columns: (q, COLUMNS). terms, given_click: (q, d) what the shared weights of match_share
    and match_convert_share multiply. own: (q, o) what the user's own do, for both. odds, odds_given_click: (q,)
    log-odds of the shared weights as they stood."""

    columns: np.ndarray
    terms: np.ndarray
    given_click: np.ndarray
    own: np.ndarray
    odds: np.ndarray
    odds_given_click: np.ndarray


@dataclass
class Latest:
    """A user's latest outcomes. count: of all that there were; new: how many came since the last refresh."""

    count: int = 0
    new: int = 0
    items: list[str] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, item_id: str, residual: float, click: int, weight: float) -> None:
        self.count, self.new = self.count + 1, self.new + 1
        self.items.append(item_id)
        for kept, value in zip(self._numbers, (residual, float(click), weight), strict=True):
            kept.append(value)
        surplus = len(self.items) - self.count + int(window_start(np.array(self.count)))
        if surplus:
            del self.items[:surplus]
            for kept in self._numbers:
                del kept[:surplus]

    @property
    def _numbers(self) -> tuple[list[float], ...]:
        return self.residuals, self.clicks, self.weights

    def recent(self, most: int) -> np.ndarray:
        """Weighted clicks and outcomes of the latest."""
        weights = np.array(self.weights[-most:])
        return np.array([float(np.dot(weights, self.clicks[-most:])), weights.sum()])


def regression() -> ForwardLogistic:
    """One that nothing has been learned by."""
    start, spread = (*TERMS.values(), *[0.0] * BENDS), [SPREAD] * len(TERMS) + [BEND_SPREAD] * BENDS
    return ForwardLogistic(start, spread, tuple(OWN_SPREAD.values()), DRIFT)


def next_refresh(known: int) -> int:
    """How many outcomes there are at the next refresh, where there are so many at this one."""
    return known + max(FEWEST, known // GROWTH)


class Statistics:
    """Grows outcome by outcome (`observe`), answers at any moment (`read`)."""

    def __init__(self, categories: Mapping[str, Sequence[str]], tracked_items: int = TRACKED_ITEMS) -> None:
        self.categories = categories
        self.item_codes: dict[str, int] = {}
        self.user_codes: dict[str, int] = {}
        self.pair_codes: dict[tuple[str, str], int] = {}
        self.items, self.users = (
            GrowingRows(5),
            GrowingRows(5),
        )  # [count, clicks, residuals, converts, outcomes of conversion]
        self.pairs = GrowingRows(2)  # [count, clicks] of a user in a category
        self.total = START.copy()  # [count, clicks, grades, converts, outcomes of conversion]
        self.latest: dict[str, Latest] = {}
        self.kernel = ItemKernel(categories, tracked_items)
        self.match, self.match_convert = regression(), regression()
        self.known, self.next_refresh = 0, next_refresh(0)
        self.refreshed: set[str] = set()  # users with outcomes since the last refresh

    # ---- reading ----------------------------------------------------------------------------------------

    def read(self, user_id: str, item_id: str) -> np.ndarray:
        """COLUMNS as float64 (14,), from what has been observed so far."""
        return np.asarray(self.read_items(user_id, [item_id])[0])

    def read_items(self, user_id: str, item_ids: Sequence[str]) -> np.ndarray:
        """(items, COLUMNS) float64."""
        return self.ask(user_id, item_ids).columns

    def ask(self, user_id: str, item_ids: Sequence[str]) -> ReadItems:
        """What is read of some items for one user, and what learning from their outcomes takes."""
        counts = self._counts(user_id, item_ids)
        latest = self.latest.get(user_id)
        neighbour_gain = np.zeros(len(item_ids))
        if latest is not None:
            slots, n = self.kernel.slots_of(latest.items), np.full(len(item_ids), len(latest.items))
            histories = OutcomeRuns(slots, np.array(latest.residuals), np.zeros(1, np.int64), n[:1])
            of_items = self.kernel.slots_of(item_ids), self.kernel.contents_of(item_ids)
            neighbour_gain = self.kernel.expected(histories, ItemQuestions(np.zeros_like(n), n, *of_items))
        terms, own = counts.terms(neighbour_gain)
        given_click = counts.given_click(terms)
        odds, odds_given_click = self.match.shared_odds(terms), self.match_convert.shared_odds(given_click)
        users = np.full(len(item_ids), self.user_codes.get(user_id, -1))
        columns = counts.columns(
            neighbour_gain,
            probability(odds + self.match.own_odds(users, own)),
            probability(odds_given_click + self.match_convert.own_odds(users, own)),
        )
        return ReadItems(columns, terms, given_click, own, odds, odds_given_click)

    def _counts(self, user_id: str, item_ids: Sequence[str]) -> Counts:
        q = len(item_ids)
        total = np.repeat(self.total[None], q, axis=0)
        item = self.items.values[[self.item_codes.get(i, -1) for i in item_ids]]
        user = self.users.values[[self.user_codes.get(user_id, -1)] * q]
        user_share = float(shrunk(user[:1, 1], user[:1, 0], rates(self.total)[0])[0]) if q else 0.0
        category_share = np.array([self._category_share(user_id, i, user_share) for i in item_ids])
        latest = self.latest.get(user_id)
        recent = [np.zeros(2) if latest is None else latest.recent(most) for most in (3, 10)]
        return Counts(total, item, user, category_share, *(np.broadcast_to(r, (q, 2)) for r in recent))

    def _category_share(self, user_id: str, item_id: str, user_share: float) -> float:
        shares = []
        for category in self.categories.get(item_id, ()):
            count, clicks = self.pairs.values[self.pair_codes.get((user_id, category), -1)].tolist()
            shares.append((clicks + OF_CATEGORY * user_share) / (count + OF_CATEGORY))
        return sum(shares) / len(shares) if shares else user_share

    # ---- someone who is in no log ------------------------------------------------------------------------

    def aside(self) -> "Statistics":
        """A view that knows no user, on which `meet` tells of new ones. What it was made from stays as it is."""
        view = copy.copy(self)
        view.user_codes, view.pair_codes, view.latest, view.refreshed = {}, {}, {}, set()
        view.users, view.pairs = GrowingRows(5), GrowingRows(2)
        view.match, view.match_convert = self.match.aside(), self.match_convert.aside()
        return view

    def meet(self, outcomes: Sequence[Outcome]) -> np.ndarray:
        """All that one new user did, in order, on a view: it counts for this user, and for nothing that all share.

        Returns (outcomes, COLUMNS): what was read of each just before it.
        """
        counts, residuals = [], []
        for outcome in outcomes:
            counts.append(self._counts(outcome.user_id, [outcome.item_id]))
            left = self._residuals(outcome)
            residuals.append(left[2])
            self._add_to_user(outcome, left)
        if not outcomes:
            return np.empty((0, len(COLUMNS)))
        items = [outcome.item_id for outcome in outcomes]
        at_each = Counts(*(np.concatenate(parts) for parts in zip(*counts, strict=True)))
        neighbour_gain = self._expected_of_each(items, np.array(residuals))
        terms, own = at_each.terms(neighbour_gain)
        given_click = at_each.given_click(terms)
        odds = self.match.shared_odds(terms), self.match_convert.shared_odds(given_click)
        convert = [o.convert if o.click else None for o in outcomes]
        matches = (
            self._followed(self.match, outcomes, own, odds[0], [o.click for o in outcomes]),
            self._followed(self.match_convert, outcomes, own, odds[1], convert),
        )
        return at_each.columns(neighbour_gain, *matches)

    def _expected_of_each(self, items: Sequence[str], residuals: np.ndarray) -> np.ndarray:
        """(n,) the residual expected of each item after those before it."""
        number = np.arange(len(items))
        begin, length, window, sees = windows(np.zeros_like(number), number)
        slots = self.kernel.slots_of(items)
        questions = ItemQuestions(window, sees, slots, self.kernel.contents_of(items))
        return self.kernel.expected(OutcomeRuns(slots, residuals, begin, length), questions)

    def _followed(
        self,
        regression: ForwardLogistic,
        outcomes: Sequence[Outcome],
        own: np.ndarray,
        odds: np.ndarray,
        y: Sequence[int | None],
    ) -> np.ndarray:
        """(n,) the probability just before each outcome; and move the user's own weights by those with a y."""
        user = self.user_codes[outcomes[0].user_id]
        rows = np.array([k for k, value in enumerate(y) if value is not None], np.int64)
        learned = np.array([value for value in y if value is not None], np.float64)
        weight = np.array([outcomes[k].weight for k in rows])
        start = regression.means.values[[user]].copy()
        _, after = regression.follow(np.full(len(rows), user), own[rows], odds[rows], learned, weight)
        means = np.concatenate([start, after])[np.searchsorted(rows, np.arange(len(y)))]
        return probability(odds + (own * means).sum(1))

    # ---- learning ---------------------------------------------------------------------------------------

    def observe(self, outcomes: Iterable[Outcome], converts: Iterable[Outcome] = ()) -> None:
        """What became known at one moment; outcomes of one moment do not see one another. converts: impressions whose
        clicks had been observed before, and of which it is now known whether they converted."""
        batch = [(o, o.reading or self.ask(o.user_id, [o.item_id]), self._residuals(o)) for o in outcomes]
        for outcome, reading, residuals in batch:
            self._add(outcome, residuals)
            self._learn(self.match, outcome, (reading.terms, reading.own, reading.odds), outcome.click)
            if outcome.click and outcome.convert is not None:
                given_click = reading.given_click, reading.own, reading.odds_given_click
                self._learn(self.match_convert, outcome, given_click, outcome.convert)
        for outcome in converts:
            if outcome.click:
                reading = outcome.reading or self.ask(outcome.user_id, [outcome.item_id])
                given_click = reading.given_click, reading.own, reading.odds_given_click
                self._learn(self.match_convert, outcome, given_click, int(bool(outcome.convert)))
            for counts in (
                self.items.values[self.item_codes[outcome.item_id]],
                self.users.values[self.user_codes[outcome.user_id]],
                self.total,
            ):
                counts[3:] += outcome.weight * np.array((outcome.convert, 1))
        self.known += len(batch)
        if self.known >= self.next_refresh:
            self._refresh()

    def _residuals(self, outcome: Outcome) -> tuple[float, float, float]:
        """Of its grade, by what is known now: what the item answers for, what the user does, and what neither does."""
        surprise = outcome.grade - self.total[2] / self.total[0]
        of_item = gain(self.items.values[self.item_codes.get(outcome.item_id, -1)])
        of_user = gain(self.users.values[self.user_codes.get(outcome.user_id, -1)])
        return float(surprise - of_user), float(surprise - of_item), float(surprise - of_item - of_user)

    def _add(self, outcome: Outcome, residuals: tuple[float, float, float]) -> None:
        self.total += _counted(outcome, outcome.grade)
        item = self.item_codes.setdefault(outcome.item_id, len(self.item_codes))
        self.items.grow(len(self.item_codes))
        self.items.values[item] += _counted(outcome, residuals[0])
        self._add_to_user(outcome, residuals)

    def _add_to_user(self, outcome: Outcome, residuals: tuple[float, float, float]) -> None:
        user_id, item_id, click, _, weight, _ = outcome
        user = self.user_codes.setdefault(user_id, len(self.user_codes))
        self.users.grow(len(self.user_codes))
        for regression in (self.match, self.match_convert):
            regression.make_room(len(self.user_codes))
        self.users.values[user] += _counted(outcome, residuals[1])
        for category in self.categories.get(item_id, ()):
            pair = self.pair_codes.setdefault((user_id, category), len(self.pair_codes))
            self.pairs.grow(len(self.pair_codes))
            self.pairs.values[pair] += (weight, weight * click)
        self.latest.setdefault(user_id, Latest()).add(item_id, residuals[2], click, weight)
        self.refreshed.add(user_id)

    def _follow(
        self, regression: ForwardLogistic, outcome: Outcome, own: np.ndarray, odds: np.ndarray, y: int
    ) -> np.ndarray:
        """Move the user's own weights; (1,) their log-odds before."""
        user, weight = np.array([self.user_codes[outcome.user_id]]), np.array([outcome.weight])
        return regression.follow(user, own, odds, np.array([float(y)]), weight)[0]

    def _learn(
        self,
        regression: ForwardLogistic,
        outcome: Outcome,
        reading: tuple[np.ndarray, np.ndarray, np.ndarray],
        y: int,
    ) -> None:
        """reading: the terms of the shared weights, those of the user's own, and the shared log-odds."""
        terms, own, odds = reading
        before = self._follow(regression, outcome, own, odds, y)
        regression.wait(terms, before, np.array([float(y)]), np.array([outcome.weight]))

    def _refresh(self) -> None:
        """Make anew what all users share."""
        counts = self.items.values
        self.kernel.track(item for item, code in self.item_codes.items() if counts[code, 0] >= MIN_COUNT)
        users = [self.latest[user] for user in sorted(self.refreshed, key=self.user_codes.__getitem__)]
        slots = self.kernel.slots_of([item for user in users for item in user.items])
        length = np.array([len(user.items) for user in users], np.int64)
        residuals = np.array([value for user in users for value in user.residuals])
        new = np.minimum(np.array([user.new for user in users], np.int64), length)
        self.kernel.learn(OutcomeRuns(slots, residuals, np.cumsum(length) - length, length), new)
        self.kernel.refresh()
        self.match.refresh()
        self.match_convert.refresh()
        for user in users:
            user.new = 0
        self.refreshed.clear()
        self.next_refresh = next_refresh(self.known)


def _counted(outcome: Outcome, third: float) -> np.ndarray:
    """What an outcome adds to [count, clicks, third, converts, outcomes of conversion]."""
    converted = (0, 0) if outcome.convert is None else (outcome.convert, 1)
    return outcome.weight * np.array((1, outcome.click, third, *converted))
