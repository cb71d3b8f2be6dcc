"""One row per distinct prediction, so that no metric depends on the order of rows with equal predictions."""

from typing import NamedTuple

import numpy as np

from genrec.metrics.inputs import Binary, Floats


class Levels(NamedTuple):
    """Distinct predictions (m,), ascending, with the weight of the yes and of the no examples at each."""

    predictions: Floats
    positives: Floats
    negatives: Floats


def levels(examples: Binary) -> Levels:
    """Group examples by prediction.

    The sort is stable, which takes linear time on rows that are in order already: the bootstrap relies on it.

    >>> from genrec.metrics.inputs import binary
    >>> found = levels(binary([1, 0, 1], [0.5, 0.2, 0.5]))
    >>> found.predictions.tolist(), found.positives.tolist(), found.negatives.tolist()
    ([0.2, 0.5], [0.0, 2.0], [1.0, 0.0])
    """
    if not examples.labels.size:
        return Levels(np.empty(0), np.empty(0), np.empty(0))
    order = np.argsort(examples.predictions, kind="stable")
    ascending = examples.predictions[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    weights = examples.weights[order]
    yes = weights * examples.labels[order]
    return Levels(ascending[starts], np.add.reduceat(yes, starts), np.add.reduceat(weights - yes, starts))
