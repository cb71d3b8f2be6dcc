"""Weighted mean: the statistic of anything that is already a number per example or per user."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import vector, weighed


def mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """sum(w * v) / sum(w) of values (n,); NaN when there is nothing to average.

    Raises ValueError on NaN values: an unscored example is not a zero.

    >>> mean([1.0, 0.0, 0.5])
    0.5
    >>> mean([1.0, 0.0], weights=[3, 1])
    0.75
    """
    numbers = vector(values, "values")
    shares = weighed(weights, numbers.size)
    total = shares.sum()
    return float(np.dot(numbers, shares) / total) if total > 0 else float("nan")
