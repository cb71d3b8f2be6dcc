"""What was known about an item and a user at a point in time: one function for training, eval and serving alike.

Outcomes become facts when they mature, and a question sees the facts that matured strictly before it. A conversion
matures in its own time: until its attribution window has closed, neither its yes nor its no is in any share. What was
not clicked is a no only when a click at the last moment would have been one, or shares would read low while clicks are
undecided. Regimes: `running` reads at the example's own time, `frozen` stops learning at the end of training.

In a sampled log an outcome counts as often as its impression's weight (the inverse of the sampling rate) says, so that
counts and shares are those of the whole traffic. neighbour_gain alone takes each row once.
"""

import copy
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from genrec.neighbours import TRACKED_ITEMS, Neighbours
from genrec.online import OnlineLogistic

COLUMNS = (
    "item_count",  # outcomes known of this item
    "item_share",  # shrunken share of them that were clicks
    "item_gain",  # how much better it does than its viewers' own level (shrunken mean residual of grades)
    "item_convert_share",  # shrunken share that converted, of its outcomes whose conversion has matured too
    "user_count",
    "user_share",
    "user_gain",  # how much better the user's items do with her than with others (shrunken mean residual of grades)
    "user_convert_share",
    "category_share",  # the user's shrunken click share, averaged over the item's categories
    "neighbour_gain",  # what her outcomes on other items say of this one, beyond item_gain and user_gain
    "match_share",  # the click share expected of this user on this item, from all of these
    "match_convert_share",  # the share of conversions expected of her on it, given that she clicks
    "recent3_share",  # of her last three outcomes, NaN when there are none
    "recent10_share",
)
PRIOR = 5.0  # pseudo-outcomes behind every shrunken share
# What both match shares are read from, in log-odds or in grades over the click rate's variance, with the weights they
# start at. "base" is the rate of clicks, or of conversions given a click.
TERMS = {
    "base": 1.0, "item_share": 0.3, "item_gain": 0.7, "item_convert_share": 0.1, "user_share": 0.3, "user_gain": 0.7,
    "user_convert_share": 0.1, "category_share": 0.2, "neighbour_gain": 2.0, "recent3_share": 0.1,
    "recent10_share": 0.2,
}  # fmt: skip
SPREAD = 0.5  # standard deviation of those weights before anything is learned
# How a term's weight changes as more is known: these times the logarithm of the user's count, or of the item's.
BY_USER_COUNT = ("item_share", "item_gain", "user_share", "recent3_share", "recent10_share")
BY_ITEM_COUNT = ("neighbour_gain",)
BENDS = len(BY_USER_COUNT) + len(BY_ITEM_COUNT) + 3  # and popularity, how new she is, both gains' product
BEND_SPREAD = 0.3  # about 0
NEW = 5.0  # outcomes over which a user's newness fades by a factor of e
# Each user's own level, and her own weights of what an item has and of its popularity.
OWN_SPREAD = {"level": 0.4, "item_share": 0.3, "item_gain": 0.3, "popularity": 0.3}
DRIFT = 0.003  # of them, with each outcome
KEPT_READINGS = 1024  # until the next fact, which need never come
SUREST = (
    0.99  # at which a rate of conversions given a click is cut: early on, shrinkage alone can carry it past 1
)


class Outcome(NamedTuple):
    """One impression whose click label has matured; `convert` is None while that label has not."""

    user_id: str
    item_id: str
    click: int
    convert: int | None
    weight: float = 1.0

    @property
    def grade(self) -> float:
        """0, one half for a click, 1 for a conversion; one that matures later than its click is not graded."""
        return (self.click + (self.convert or 0)) / 2


class Statistics:
    """Grows outcome by outcome (`observe`), answers at any moment (`read`)."""

    def __init__(self, categories: Mapping[str, Sequence[str]], tracked_items: int = TRACKED_ITEMS) -> None:
        self.categories = categories
        self.items: dict[str, np.ndarray] = {}  # [count, clicks, residuals, converts, outcomes of conversion]
        self.users: MutableMapping[str, np.ndarray] = {}  # the same
        self.user_categories: MutableMapping[tuple[str, str], np.ndarray] = {}  # [count, clicks]
        self.recent: MutableMapping[
            str, list[tuple[int, float]]
        ] = {}  # click and weight of her last ten outcomes
        # [count, clicks, grades, converts, outcomes of conversion]
        self.total = np.array([PRIOR, PRIOR / 2, PRIOR * 0.35, PRIOR / 5, PRIOR])
        self.neighbours = Neighbours(categories, tracked_items)
        self._readings: dict[tuple[str, str], _Reading] = {}
        self.match, self.match_convert = (
            OnlineLogistic(
                (*TERMS.values(), *[0.0] * BENDS),
                [SPREAD] * len(TERMS) + [BEND_SPREAD] * BENDS,
                tuple(OWN_SPREAD.values()),
                DRIFT,
            )
            for _ in range(2)
        )

    # ---- reading ----------------------------------------------------------------------------------------

    def read(self, user_id: str, item_id: str) -> np.ndarray:
        """COLUMNS as float64 (14,), from what has been observed so far."""
        return self._read(user_id, item_id).columns.copy()

    def _read(self, user_id: str, item_id: str) -> "_Reading":
        """Kept until the next fact: what was asked of a moment is read again when its outcome comes."""
        if (user_id, item_id) not in self._readings:
            if len(self._readings) >= KEPT_READINGS:
                self._readings.clear()
            self._readings[user_id, item_id] = self._read_anew(user_id, item_id)
        return self._readings[user_id, item_id]

    def _read_anew(self, user_id: str, item_id: str) -> "_Reading":
        total, clicks, _, converts, convertible = self.total
        click_rate, convert_rate = clicks / total, converts / convertible
        item = self.items.get(item_id, np.zeros(5))
        user = self.users.get(user_id, np.zeros(5))
        item_share, user_share = _shrunk(item[1], item[0], click_rate), _shrunk(user[1], user[0], click_rate)
        item_convert = _shrunk(item[3], item[4], convert_rate)
        user_convert = _shrunk(user[3], user[4], convert_rate)
        item_gain, user_gain = item[2] / (item[0] + PRIOR), user[2] / (user[0] + PRIOR)
        category_share = self._category_share(user_id, item_id, user_share)
        neighbour_gain = self.neighbours.gain(user_id, item_id)
        (hits3, count3), (hits10, count10) = (_clicks(self.recent.get(user_id, [])[-k:]) for k in (3, 10))
        base, level = _log_odds(click_rate), click_rate * (1 - click_rate)
        mine = _log_odds(user_share)
        values = [
            base,
            _log_odds(item_share) - base,
            item_gain / level,
            _log_odds(item_convert) - _log_odds(convert_rate),
            mine - base,
            user_gain / level,
            _log_odds(user_convert) - _log_odds(convert_rate),
            _log_odds(category_share) - mine,
            neighbour_gain / level,
            _log_odds(_shrunk(hits3, count3, user_share)) - mine,
            _log_odds(_shrunk(hits10, count10, user_share)) - mine,
        ]
        terms, own = _bent(dict(zip(TERMS, values, strict=True)), user_count=user[0], item_count=item[0])
        given_click = terms.copy()
        given_click[0] = _log_odds(min(convert_rate / click_rate, SUREST))
        columns = [
            item[0], item_share, item_gain, item_convert, user[0], user_share, user_gain, user_convert,
            category_share, neighbour_gain, self.match.probability(user_id, terms, own),
            self.match_convert.probability(user_id, given_click, own),
            hits3 / count3 if count3 else np.nan, hits10 / count10 if count10 else np.nan,
        ]  # fmt: skip
        return _Reading(np.array(columns), terms, given_click, own)

    def _category_share(self, user_id: str, item_id: str, user_share: float) -> float:
        shares = []
        for category in self.categories.get(item_id, ()):
            count, clicks = self.user_categories.get((user_id, category), (0.0, 0.0))
            shares.append((clicks + 2 * user_share) / (count + 2))
        return sum(shares) / len(shares) if shares else user_share

    # ---- someone who is in no log ------------------------------------------------------------------------

    def aside(self) -> "Statistics":
        """A view on which `meet` tells of new users. What it was made from stays as it is, and must until then."""
        view = copy.copy(self)
        view.users, view.recent = ChainMap({}, self.users), ChainMap({}, self.recent)
        view.user_categories = ChainMap({}, self.user_categories)
        view.neighbours = self.neighbours.aside()
        view.match, view.match_convert = self.match.aside(), self.match_convert.aside()
        view._readings = {}
        return view

    def meet(self, outcome: Outcome) -> None:
        """An outcome of a new user, on a view: it counts for her and her own weights, for nothing that all share."""
        columns, terms, given_click, own = self._read(outcome.user_id, outcome.item_id)
        of_item, of_user = columns[[COLUMNS.index("item_gain"), COLUMNS.index("user_gain")]]
        surprise = outcome.grade - self.total[2] / self.total[0]
        user_id, _, click, convert, weight = outcome
        self.match.meet(user_id, terms, own, click, weight)
        if click and convert is not None:
            self.match_convert.meet(user_id, given_click, own, convert, weight)
        self._count_user(outcome, surprise - of_item)
        residual = float(surprise - of_item - of_user)
        self.neighbours.meet(outcome.user_id, outcome.item_id, residual)
        self._readings.clear()

    # ---- learning ---------------------------------------------------------------------------------------

    def observe(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes that matured at one moment; they do not see one another."""
        batch = [(o, *self._read(o.user_id, o.item_id)) for o in outcomes]
        rate = self.total[2] / self.total[0]
        learned = []
        for outcome, columns, terms, given_click, own in batch:
            of_item, of_user = columns[[COLUMNS.index("item_gain"), COLUMNS.index("user_gain")]]
            surprise = outcome.grade - rate
            self._count(outcome, surprise - of_user, surprise - of_item)
            user_id, item_id, click, convert, weight = outcome
            self.match.learn(user_id, terms, own, click, weight)
            if click and convert is not None:
                self.match_convert.learn(user_id, given_click, own, convert, weight)
            learned.append((user_id, item_id, float(surprise - of_item - of_user)))
        self.neighbours.learn(learned, {o.item_id: self.items[o.item_id][0] for o, *_ in batch})
        self._readings.clear()

    def observe_converts(self, outcomes: Iterable[Outcome]) -> None:
        """Whether impressions converted, known at one moment, after their clicks had been observed."""
        batch = [(o, self._read(o.user_id, o.item_id)) for o in outcomes]
        for outcome, known in batch:
            if outcome.click:
                self.match_convert.learn(
                    outcome.user_id, known.given_click, known.own, int(bool(outcome.convert)), outcome.weight
                )
            for counts in (self.items[outcome.item_id], self.users[outcome.user_id], self.total):
                counts[3:] += outcome.weight * np.array((outcome.convert, 1))
        self._readings.clear()

    def _count(self, outcome: Outcome, of_item: float, of_user: float) -> None:
        """of_item, of_user: the residuals that item and user answer for."""
        self.items.setdefault(outcome.item_id, np.zeros(5))[:] += _counted(outcome, of_item)
        self.total += _counted(outcome, outcome.grade)
        self._count_user(outcome, of_user)

    def _count_user(self, outcome: Outcome, of_user: float) -> None:
        user_id, item_id, click, _, weight = outcome
        self.users.setdefault(user_id, np.zeros(5))[:] += _counted(outcome, of_user)
        for category in self.categories.get(item_id, ()):
            self.user_categories.setdefault((user_id, category), np.zeros(2))[:] += (weight, weight * click)
        recent = self.recent.setdefault(user_id, [])
        recent.append((click, weight))
        del recent[:-10]


class _Reading(NamedTuple):
    """columns: COLUMNS. terms, given_click: what the shared weights of match_share and match_convert_share multiply.
    own: what the user's own weights do, for both."""

    columns: np.ndarray
    terms: np.ndarray
    given_click: np.ndarray
    own: np.ndarray


def _bent(terms: Mapping[str, float], user_count: float, item_count: float) -> tuple[np.ndarray, np.ndarray]:
    """TERMS and, behind them, the BENDS; and those of OWN_SPREAD. Logarithms are scaled to about 1 at some 20 to 50."""
    of_user, of_item = np.log1p(user_count) / 3, np.log1p(item_count) / 3
    bends = [
        *(terms[name] * of_user for name in BY_USER_COUNT),
        *(terms[name] * of_item for name in BY_ITEM_COUNT),
        of_item,
        np.exp(-user_count / NEW),
        terms["item_gain"] * terms["user_gain"],
    ]
    own = [1.0, terms["item_share"], terms["item_gain"], (np.log1p(item_count) - 4) / 2]
    return np.array([*terms.values(), *bends]), np.array(own)


def _counted(outcome: Outcome, third: float) -> np.ndarray:
    """What an outcome adds to [count, clicks, third, converts, outcomes of conversion]."""
    converted = (0, 0) if outcome.convert is None else (outcome.convert, 1)
    return outcome.weight * np.array((1, outcome.click, third, *converted))


def _shrunk(hits: float, count: float, rate: float) -> float:
    return float((hits + PRIOR * rate) / (count + PRIOR))


def _clicks(outcomes: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Weighted clicks and count."""
    return sum(click * weight for click, weight in outcomes), sum(weight for _, weight in outcomes)


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))
