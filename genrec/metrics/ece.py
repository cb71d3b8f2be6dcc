"""ECE: how far what was promised lies from what happened, bin by bin."""

from numpy.typing import ArrayLike

from genrec.metrics.reliability import By, reliability


def ece(
    labels: ArrayLike,
    predictions: ArrayLike,
    bins: int = 15,
    by: By = "mass",
    weights: ArrayLike | None = None,
) -> float:
    """Sum over bins of n_b / n * |mean p_b - rate_b|, in [0, 1]; lower is better; NaN for no examples.

    labels (n,) of 0 and 1; predictions (n,) probabilities; weights (n,) >= 0; by: see `reliability`.
    Noise inside a bin adds to it, so a small set scores worse than the truth; genrec.bootstrap corrects for a part of
    it. The expected calibration error of Naeini, Cooper and Hauskrecht, AAAI 2015; 15 bins as in Guo et al., ICML 2017.

    >>> ece([0, 0, 1, 1], [0.125, 0.375, 0.5, 1.0], bins=2)
    0.25
    """
    found = reliability(labels, predictions, bins, by, weights)
    if not found:
        return float("nan")
    return sum(b.n * abs(b.mean_p - b.rate) for b in found) / sum(b.n for b in found)
