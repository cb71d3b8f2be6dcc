"""PCOC: predicted clicks over clicks, the calibration of the total."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.inputs import binary


def pcoc(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> float:
    """sum(p) / sum(y), >= 0; 1 is right, above 1 promises too much; NaN when there is no yes.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0.
    The "calibration" of He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014.

    >>> pcoc([1, 0, 0, 1], [0.75, 0.25, 0.5, 1.0])
    1.25
    """
    answers, p, shares = binary(labels, predictions, weights)
    clicks = np.dot(answers, shares)
    return float(np.dot(p, shares) / clicks) if clicks > 0 else float("nan")
