"""The ROC curve, in few enough points to store and draw."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.levels import levels


class Point(NamedTuple):
    """fpr: the share of no examples at or above a threshold. tpr: the share of yes examples."""

    fpr: float
    tpr: float


def roc(
    labels: ArrayLike, predictions: ArrayLike, points: int = 200, weights: ArrayLike | None = None
) -> list[Point]:
    """The curve from (0, 0) to (1, 1), at most `points` of it; empty when only one class is there.

    labels (n,) of 0 and 1; predictions (n,), any scores that can be ordered; weights (n,) >= 0.
    Points that are left out lie evenly along the curve, so that the flat and the steep part are both kept.
    Fawcett, An Introduction to ROC Analysis, Pattern Recognition Letters 2006.

    >>> [tuple(p) for p in roc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])]
    [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]
    """
    if points < 2:
        raise ValueError("a curve takes at least 2 points")
    found = levels(binary(labels, predictions, weights, probabilities=False))
    if found.positives.sum() == 0 or found.negatives.sum() == 0:
        return []
    rising = [np.concatenate([[0.0], np.cumsum(side[::-1])]) for side in (found.negatives, found.positives)]
    fpr, tpr = (side / side[-1] for side in rising)
    if fpr.size > points:
        along = fpr + tpr
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
        fpr, tpr = fpr[kept], tpr[kept]
    return [Point(float(x), float(y)) for x, y in zip(fpr, tpr, strict=True)]
