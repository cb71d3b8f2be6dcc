"""Reliability: predictions in bins, what each bin promised and what happened there."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.levels import levels

By = Literal["mass", "width"]


class Bin(NamedTuple):
    """mean_p: mean prediction. rate: share of yes. n: examples (or their weight)."""

    mean_p: float
    rate: float
    n: float


def reliability(
    labels: ArrayLike,
    predictions: ArrayLike,
    bins: int = 15,
    by: By = "mass",
    weights: ArrayLike | None = None,
) -> list[Bin]:
    """The points of a reliability diagram, by rising prediction; empty bins are left out.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0.
    by: "mass" puts about as many examples into each bin, equal predictions always into the same one; "width" cuts
    [0, 1] evenly. DeGroot and Fienberg, The Statistician 1983; equal mass as in Nixon et al., Measuring Calibration
    in Deep Learning, CVPR Workshops 2019.

    >>> [tuple(b) for b in reliability([0, 0, 1, 1], [0.125, 0.375, 0.5, 1.0], bins=2)]
    [(0.25, 0.0, 2.0), (0.75, 1.0, 2.0)]
    """
    if bins < 1:
        raise ValueError("bins must be at least 1")
    found = levels(binary(labels, predictions, weights))
    mass = found.positives + found.negatives
    total = mass.sum()
    if total == 0:
        return []
    middle = (np.cumsum(mass) - mass / 2) / total if by == "mass" else found.predictions
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    n = np.bincount(place, mass, bins)
    promised = np.bincount(place, mass * found.predictions, bins)
    happened = np.bincount(place, found.positives, bins)
    return [Bin(float(promised[i] / n[i]), float(happened[i] / n[i]), float(n[i])) for i in np.flatnonzero(n)]
