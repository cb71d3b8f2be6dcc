"""Recall: the share of the yes examples that a threshold finds."""

from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.mean import mean


def recall(
    labels: ArrayLike, predictions: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """sum([p >= threshold] y) / sum(y), in [0, 1]; NaN when there is no yes.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0.
    Also called sensitivity or the true positive rate.

    >>> recall([1, 0, 1], [0.8, 0.6, 0.2])
    0.5
    """
    answers, p, shares = binary(labels, predictions, weights)
    return mean(p >= threshold, shares * answers)
