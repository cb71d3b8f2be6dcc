"""What a metric accepts: arrays of one length, no unscored rows, labels of 0 and 1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Binary(NamedTuple):
    """Labels (n,) of 0.0 and 1.0, predictions (n,), weights (n,) >= 0, all float64."""

    labels: Floats
    predictions: Floats
    weights: Floats


def binary(
    labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None, probabilities: bool = True
) -> Binary:
    """Check the inputs of a metric of yes and no.

    probabilities: the predictions must lie in [0, 1]; without it any score that can be ordered will do.
    Raises ValueError: NaN (unscored) predictions, labels not 0 or 1, lengths that differ, negative weights.

    >>> binary([1, 0], [0.9, 0.2]).weights.tolist()
    [1.0, 1.0]
    >>> binary([1, 0], [0.9, float("nan")])
    Traceback (most recent call last):
    ValueError: 1 of 2 predictions are NaN (unscored): leave those rows out and count them
    """
    answers = vector(labels, "labels")
    if not ((answers == 0) | (answers == 1)).all():
        raise ValueError("labels must be 0 or 1")
    scores = vector(predictions, "predictions", answers.size)
    if probabilities and scores.size and (scores.min() < 0 or scores.max() > 1):
        raise ValueError("predictions must be probabilities in [0, 1]")
    return Binary(answers, scores, weighed(weights, answers.size))


def vector(values: ArrayLike, name: str, size: int | None = None) -> Floats:
    """A float64 array (n,) without NaN; `name` is how the error calls it.

    >>> vector([3, 1], "ranks").tolist()
    [3.0, 1.0]
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, not {array.ndim}")
    if size is not None and array.size != size:
        raise ValueError(f"{size} labels but {array.size} {name}")
    unscored = int(np.isnan(array).sum())
    if unscored:
        raise ValueError(
            f"{unscored} of {array.size} {name} are NaN (unscored): leave those rows out and count them"
        )
    return array


def weighed(weights: ArrayLike | None, size: int) -> Floats:
    """Example weights (n,), ones where none are given.

    >>> weighed(None, 2).tolist()
    [1.0, 1.0]
    """
    if weights is None:
        return np.ones(size)
    array = vector(weights, "weights", size)
    if array.size and array.min() < 0:
        raise ValueError("weights must not be negative")
    return array
