"""Brier score: the mean squared error of a probability."""

from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.mean import mean


def brier(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> float:
    """mean((p - y)^2), in [0, 1]; lower is better; NaN for no examples. Also called MSE.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0.
    Brier, Monthly Weather Review 1950, in its one-sided form for two classes.

    >>> round(brier([1, 0], [0.8, 0.4]), 6)
    0.1
    """
    answers, p, shares = binary(labels, predictions, weights)
    return mean((p - answers) ** 2, shares)
