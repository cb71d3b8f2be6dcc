"""Calibration: a straight line in log-odds, fitted on validation, that makes a probability mean what it says.

p' = sigmoid(slope * logit(p) + intercept) with slope > 0, so that the order of predictions, and AUC, stay as they are.
Platt, Probabilistic Outputs for Support Vector Machines, 1999, on log-odds instead of margins.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import Floats, binary

FEWEST_EXAMPLES = 50  # below either, two numbers fitted are worse than none
FEWEST_OF_A_CLASS = 5
CLOSEST = 1e-12  # probabilities are kept this far from 0 and 1, so that their log-odds are finite
SLOPES, INTERCEPTS = (0.05, 20.0), (-30.0, 30.0)


@dataclass(frozen=True)
class Calibration:
    """The fitted line of one task. Without arguments it changes nothing.

    examples: how many it was fitted on. note: why it changes nothing or cannot be trusted, empty where all is well.
    """

    slope: float = 1.0
    intercept: float = 0.0
    examples: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.slope < np.inf and np.isfinite(self.intercept)):
            raise ValueError(
                f"a calibration needs slope > 0 and finite numbers, not {self.slope}, {self.intercept}"
            )

    @classmethod
    def fit(cls, labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None) -> "Calibration":
        """The line with the least weighted log loss on labels (n,) of 0 and 1 and probabilities p (n,).

        Changes nothing, and says so in `note`, with fewer than FEWEST_EXAMPLES or FEWEST_OF_A_CLASS.
        Raises ValueError on NaN: leave unscored rows out.
        """
        answers, raw, shares = binary(labels, p, weights)
        reason = _too_few(answers, shares, "example")
        if reason:
            return cls(examples=answers.size, note=reason)
        odds = _log_odds(raw)
        shares = shares / shares.sum()

        def loss(line: Floats) -> tuple[float, Floats]:
            t = line[0] * odds + line[1]
            slope_of_loss = shares * (_sigmoid(t) - answers)
            value = np.dot(shares, np.logaddexp(0, t) - answers * t)
            return float(value), np.array([np.dot(slope_of_loss, odds), slope_of_loss.sum()])

        return _least(loss, answers.size)

    def apply(self, p: ArrayLike) -> Floats:
        """Calibrated probabilities, of p's shape; NaN (unscored) stays NaN.

        >>> Calibration(slope=2.0).apply([0.5, 0.75]).round(3).tolist()
        [0.5, 0.9]
        """
        raw = np.asarray(p, dtype=np.float64)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return raw.copy()
        return _sigmoid(self.slope * _log_odds(raw) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        """A dict for `json.dump`."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Calibration":
        """Read what `to_json` wrote; TypeError on an unknown field."""
        return cls(**stored)


class Chained(NamedTuple):
    """Calibrated P(click), P(convert | click) and their product P(click and convert); ctcvr <= ctr always."""

    ctr: Floats
    cvr: Floats
    ctcvr: Floats


@dataclass(frozen=True)
class ChainCalibration:
    """One line for the click, one for the conversion after it."""

    click: Calibration = field(default_factory=Calibration)
    convert: Calibration = field(default_factory=Calibration)

    def apply(self, p_click: ArrayLike, p_convert_given_click: ArrayLike) -> Chained:
        """Calibrated probabilities of the impressions (n,); NaN stays NaN.

        >>> [float(p[0]) for p in ChainCalibration().apply([0.5], [0.25])]
        [0.5, 0.25, 0.125]
        """
        ctr, cvr = self.click.apply(p_click), self.convert.apply(p_convert_given_click)
        return Chained(ctr, cvr, ctr * cvr)

    def to_json(self) -> dict[str, Any]:
        """A dict for `json.dump`."""
        return asdict(self)


def fit_chain(
    click_labels: ArrayLike,
    convert_labels: ArrayLike,
    p_click: ArrayLike,
    p_convert_given_click: ArrayLike,
    weights: ArrayLike | None = None,
) -> ChainCalibration:
    """Fit the click's line, then the conversion's on the log loss of ctcvr = ctr * cvr over all impressions.

    All (n,), one row an impression. convert_labels are read where there was a click and must be 0 or 1 there: a
    conversion that has not matured raises ValueError, because leaving out such clicks alone, and not the other
    impressions of their days, would make conversions look rarer than they are.
    """
    clicks, p, shares = binary(click_labels, p_click, weights)
    clicked = clicks == 1
    bought = np.where(clicked, np.asarray(convert_labels, dtype=np.float64), 0.0)
    if not np.isin(bought, (0, 1)).all():
        raise ValueError(
            "convert labels of clicked impressions must be 0 or 1: leave out periods that have not matured"
        )
    _, q, _ = binary(bought, p_convert_given_click)
    click = Calibration.fit(clicks, p, shares)
    reason = _too_few(bought[clicked], shares[clicked], "click")
    if reason:
        return ChainCalibration(click, Calibration(examples=clicks.size, note=reason))
    loss = _chain_loss(
        bought, np.clip(click.apply(p), CLOSEST, 1 - CLOSEST), _log_odds(q), shares / shares.sum()
    )
    of_clicks = Calibration.fit(bought[clicked], q[clicked], shares[clicked])
    return ChainCalibration(click, _least(loss, clicks.size, (of_clicks.slope, of_clicks.intercept)))


Loss = Callable[[Floats], tuple[float, Floats]]


def _chain_loss(bought: Floats, ctr: Floats, odds: Floats, shares: Floats) -> Loss:
    """Log loss of ctr * sigmoid(slope * odds + intercept) against click-and-convert, with its gradient."""

    def loss(line: Floats) -> tuple[float, Floats]:
        t = line[0] * odds + line[1]
        no_buy = 1 - ctr * _sigmoid(t)
        value = np.dot(shares, np.where(bought == 1, np.logaddexp(0, -t) - np.log(ctr), -np.log(no_buy)))
        slope_of_loss = shares * _sigmoid(-t) * np.where(bought == 1, -1.0, (1 - no_buy) / no_buy)
        return float(value), np.array([np.dot(slope_of_loss, odds), slope_of_loss.sum()])

    return loss


def _least(loss: Loss, examples: int, start: tuple[float, float] = (1.0, 0.0)) -> Calibration:
    """The line of least loss, found from each of two starts, since the chain's loss need not be convex."""
    # Not at the top: SciPy takes half a second to import, and most that import this fit nothing.
    from scipy.optimize import minimize

    tried = [
        minimize(
            loss,
            x0,
            jac=True,
            method="L-BFGS-B",
            bounds=[SLOPES, INTERCEPTS],
            options={"ftol": 1e-14, "gtol": 1e-9},
        )
        for x0 in sorted({(1.0, 0.0), start})
    ]
    slope, intercept = map(float, min(tried, key=lambda result: float(result.fun)).x)
    note = ""
    if slope <= SLOPES[0]:
        note = (
            "slope at its lower bound: the predictions do not rank the validation examples better than chance"
        )
    elif slope >= SLOPES[1] or intercept in INTERCEPTS:
        note = (
            "at the bound of the search: the predictions separate the validation examples, so no line is best"
        )
    return Calibration(slope, intercept, examples, note)


def _too_few(labels: Floats, shares: Floats, unit: str) -> str:
    """Why nothing is fitted; empty where there is enough."""
    counted = labels[shares > 0]
    yes = int(counted.sum())
    if counted.size < FEWEST_EXAMPLES:
        return f"not calibrated: {counted.size} {unit}s, fewer than {FEWEST_EXAMPLES}"
    if min(yes, counted.size - yes) < FEWEST_OF_A_CLASS:
        return f"not calibrated: {yes} yes of {counted.size} {unit}s, fewer than {FEWEST_OF_A_CLASS} of one answer"
    return ""


def _sigmoid(x: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(x), dtype=np.float64)


def _log_odds(p: Floats) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(np.clip(p, CLOSEST, 1 - CLOSEST)), dtype=np.float64)
