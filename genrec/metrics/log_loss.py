"""Log loss: the price of a probability, in nats an example."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary
from genrec.metrics.mean import mean

CLOSEST = 1e-15  # a certain prediction that is wrong costs 34.5 nats, not infinity


def log_loss(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> float:
    """-mean(y log p + (1 - y) log(1 - p)), in [0, 34.6]; lower is better; NaN for no examples.

    labels (n,) of 0 and 1; predictions (n,) probabilities, kept CLOSEST away from 0 and 1; weights (n,) >= 0.
    Good, Rational Decisions, JRSS B 1952.

    >>> round(log_loss([1, 0], [0.8, 0.4]), 6)
    0.366985
    """
    answers, raw, shares = binary(labels, predictions, weights)
    p = np.clip(raw, CLOSEST, 1 - CLOSEST)
    return mean(-np.log(np.where(answers == 1, p, 1 - p)), shares)
