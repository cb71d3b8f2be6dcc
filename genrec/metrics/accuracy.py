"""Accuracy: the share on the right side of a threshold, and the threshold that validation prefers."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.levels import levels
from genrec.metrics.mean import mean


def accuracy(
    labels: ArrayLike, predictions: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """mean([p >= threshold] = y), in [0, 1]; NaN for no examples.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0.

    >>> accuracy([1, 0, 1], [0.8, 0.5, 0.2])
    0.3333333333333333
    >>> accuracy([1, 0, 1], [0.8, 0.5, 0.2], threshold=0.6)
    0.6666666666666666
    """
    answers, p, shares = binary(labels, predictions, weights)
    return mean((p >= threshold) == (answers == 1), shares)


def best_threshold(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The threshold with the highest accuracy on these (validation) examples; of equals, the one nearest .5.

    One of the predictions, or just above the highest one where it pays never to say yes. .5 for no examples.

    >>> best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.7])
    0.3
    """
    found = levels(binary(labels, predictions, weights))
    if not found.predictions.size:
        return 0.5
    choices = np.append(found.predictions, np.nextafter(found.predictions[-1], np.inf))
    yes_missed = np.concatenate([[0.0], np.cumsum(found.positives)])
    no_caught = np.concatenate([[0.0], np.cumsum(found.negatives)])
    right = no_caught - yes_missed
    best = np.flatnonzero(np.isclose(right, right.max(), rtol=0, atol=1e-9 * max(1.0, no_caught[-1])))
    return float(choices[best[np.argmin(np.abs(choices[best] - 0.5))]])
