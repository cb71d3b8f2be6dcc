"""AUC: the chance that a random yes is scored above a random no."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.levels import levels


def auc(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve, in [0, 1]; .5 is chance; NaN when only one class is there.

    labels (n,) of 0 and 1; predictions (n,), any scores that can be ordered; weights (n,) >= 0.
    The Mann-Whitney form, a tie counting half: over all pairs of a yes i and a no j, the sum of
    w_i w_j ([p_i > p_j] + [p_i = p_j] / 2) divided by the sum of w_i w_j. Hanley and McNeil, Radiology 1982.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> auc([0, 1], [0.5, 0.5])
    0.5
    """
    found = levels(binary(labels, predictions, weights, probabilities=False))
    pairs = found.positives.sum() * found.negatives.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(found.negatives) - found.negatives / 2
    return float(np.dot(found.positives, below) / pairs)
