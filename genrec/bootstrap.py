"""Intervals by bootstrap over users: a resample draws whole users, whose examples are not independent.

How often a user was drawn is a weight of that user's examples; so every metric has one definition, the one in
genrec.metrics. Field and Welsh, Bootstrapping Clustered Data, JRSS B 2007; Efron and Tibshirani, An Introduction
to the Bootstrap, 1993, chapter 13.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genrec import metrics
from genrec.metrics.inputs import Floats, weighed

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Statistic:
    """compute(*arrays, weights=...) -> float, NaN where it is undefined; better: which direction wins.

    noise_adds: an error >= 0 that noise raises, such as ECE. A resample carries the noise twice, so its percentiles lie
    above the value, often all of them. Such a statistic is therefore corrected for the bias that the bootstrap sees:
    twice the value minus the resamples' mean (Efron and Tibshirani 1993, chapter 10). Its interval is the basic one,
    the percentiles mirrored at the value (Davison and Hinkley, Bootstrap Methods, 1997, section 5.2). The two belong
    together: the corrected value lies inside of that interval and not at its end. The correction takes away a part of
    the noise and not all of it: the bias that a resample shows is smaller than the one that a model without error has.
    """

    compute: Callable[..., float]
    better: Better = "higher"
    noise_adds: bool = False

    def at(self, **settings: Any) -> "Statistic":
        """The same with settings: `STATISTICS["ndcg"].at(k=5)`, `STATISTICS["accuracy"].at(threshold=0.3)`."""
        return replace(self, compute=partial(self.compute, **settings))


STATISTICS = {
    # of (labels, predictions)
    "auc": Statistic(metrics.auc, "higher"),
    "log_loss": Statistic(metrics.log_loss, "lower"),
    "brier": Statistic(metrics.brier, "lower"),
    "accuracy": Statistic(metrics.accuracy, "higher"),
    "recall": Statistic(metrics.recall, "higher"),
    "ece": Statistic(metrics.ece, "lower", noise_adds=True),
    "pcoc": Statistic(metrics.pcoc, "neither"),
    # of (ranks,)
    "hit_rate": Statistic(metrics.hit_rate, "higher"),
    "ndcg": Statistic(metrics.ndcg, "higher"),
    "mrr": Statistic(metrics.mrr, "higher"),
    # of (values,)
    "mean": Statistic(metrics.mean, "higher"),
}


class Interval(NamedTuple):
    """The value on all examples and its interval; undefined: resamples left out, as with one class only. plain: the
    value before its correction, the same where the statistic needs none."""

    value: float
    low: float
    high: float
    undefined: int = 0
    plain: float = float("nan")


class Paired(NamedTuple):
    """a minus b on the same examples and its interval; wins: a is better, and the interval clear of zero."""

    difference: float
    low: float
    high: float
    wins: bool
    undefined: int = 0


def interval(
    statistic: Statistic | str,
    users: ArrayLike,
    arrays: Sequence[ArrayLike],
    *,
    weights: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A statistic with its percentile interval, users resampled with replacement; where noise adds to the statistic, as
    Statistic says.

    statistic: a name of STATISTICS or a Statistic of your own. users (n,): ids. arrays: what the statistic takes,
    each (n,), the predictions (or ranks, or values) last. weights (n,): the examples' own, such as one over the
    sampling rate. The value is always inside; low and high are NaN with fewer than two users, who say nothing
    about others.

    >>> interval("auc", ["ann", "ann", "bob", "bob"], ([0, 1, 0, 1], [0.1, 0.4, 0.3, 0.9]), repeats=50)
    Interval(value=1.0, low=1.0, high=1.0, undefined=0, plain=1.0)
    """
    measure = _Measure(_statistic(statistic), users, arrays, weights)
    plain = measure(np.ones(measure.users))
    drawn = [measure(counts) for counts in _draws(measure.users, repeats, seed)]
    value, low, high, undefined = _estimate(plain, drawn, level, measure.statistic.noise_adds)
    if measure.statistic.noise_adds:  # an error is not negative
        value, low, high = (
            max(number, 0.0) if not np.isnan(number) else number for number in (value, low, high)
        )
    return Interval(value, low, high, undefined, plain)


def paired(
    statistic: Statistic | str,
    users: ArrayLike,
    labels: ArrayLike | None,
    a: ArrayLike,
    b: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Paired:
    """The difference a - b of one statistic on the same examples, both seeing the same resamples.

    labels (n,), or None where the statistic takes one array only (ranks, values). a, b (n,): what the two models
    predicted; other arguments as for `interval`. `wins` asks for the whole interval on the better side: above
    zero for AUC, below for log loss. Raises ValueError for a statistic in which neither direction is better.

    >>> paired("auc", ["ann", "ann", "bob", "bob"], [0, 1, 0, 1], [0.1, 0.4, 0.3, 0.9], [0.5] * 4, repeats=50)
    Paired(difference=0.5, low=0.5, high=0.5, wins=True, undefined=0)
    """
    chosen = _statistic(statistic)
    if chosen.better == "neither":
        raise ValueError(
            "no direction of this statistic is better, so it has no winner: compare log_loss or ece"
        )
    given = () if labels is None else (labels,)
    first, second = (_Measure(chosen, users, (*given, side), weights) for side in (a, b))
    plain = first(np.ones(first.users)) - second(np.ones(second.users))
    drawn = [first(counts) - second(counts) for counts in _draws(first.users, repeats, seed)]
    value, low, high, undefined = _estimate(plain, drawn, level, chosen.noise_adds)
    wins = low > 0 if chosen.better == "higher" else high < 0
    return Paired(value, low, high, wins, undefined)


class _Measure:
    """A statistic as a function of how often each user was drawn."""

    def __init__(
        self, statistic: Statistic, users: ArrayLike, arrays: Sequence[ArrayLike], weights: ArrayLike | None
    ) -> None:
        columns = [np.asarray(column) for column in arrays]
        ids, of_row = np.unique(np.asarray(users), return_inverse=True)
        if any(column.shape != of_row.shape for column in columns):
            raise ValueError(
                f"{of_row.size} users but arrays of shape {[column.shape for column in columns]}"
            )
        # rows in order of prediction make each resample's sort linear (genrec.metrics.levels)
        order = np.argsort(columns[-1], kind="stable")
        self.users = ids.size
        self.statistic = statistic
        self._columns = [column[order] for column in columns]
        self._of_row = of_row[order]
        self._weights = weighed(weights, of_row.size)[order]

    def __call__(self, counts: NDArray[Any]) -> float:
        return self.statistic.compute(*self._columns, weights=counts[self._of_row] * self._weights)


def _statistic(statistic: Statistic | str) -> Statistic:
    if isinstance(statistic, Statistic):
        return statistic
    if statistic not in STATISTICS:
        raise ValueError(f"no statistic {statistic!r}: one of {', '.join(STATISTICS)}")
    return STATISTICS[statistic]


def _draws(users: int, repeats: int, seed: int) -> Iterator[Floats]:
    """How often each user is drawn, (users,), `repeats` times; the same for every model and metric of a seed.

    Nothing is drawn from fewer than two users: every resample would be the sample.
    """
    random = np.random.default_rng(seed)
    for _ in range(repeats if users > 1 else 0):
        yield np.bincount(random.integers(users, size=users), minlength=users).astype(np.float64)


def _estimate(
    plain: float, drawn: Sequence[float], level: float, noise_adds: bool
) -> tuple[float, float, float, int]:
    """The value, its low and high end and how many resamples were undefined; the ends are NaN with fewer than two that
    were defined. noise_adds: the value is corrected and the interval the basic one, as Statistic says."""
    if not 0 < level < 1:
        raise ValueError("level must lie between 0 and 1")
    numbers = np.asarray(drawn, dtype=np.float64)
    defined = numbers[~np.isnan(numbers)]
    undefined = int(numbers.size - defined.size)
    if defined.size < 2 or np.isnan(plain):
        return plain, float("nan"), float("nan"), undefined
    value = plain
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    if noise_adds:
        value = 2 * plain - float(defined.mean())
        low, high = 2 * plain - high, 2 * plain - low
    return value, min(float(low), value), max(float(high), value), undefined
