"""Logistic regression that learns one outcome at a time."""

from collections.abc import Sequence

import numpy as np


class OnlineLogistic:
    """Bayesian logistic regression by sequential Laplace approximation (Spiegelhalter and Lauritzen 1990): no learning
    rate, one pass, the same outcomes in the same order give the same weights.

    start: (d,) prior means of the weights. spread: (d,) their standard deviations.
    """

    def __init__(self, start: Sequence[float], spread: Sequence[float]) -> None:
        self.mean = np.array(start, np.float64)
        self.covariance = np.diag(np.square(np.asarray(spread, np.float64)))

    def probability(self, x: np.ndarray) -> float:
        """x: (d,)."""
        return float(1 / (1 + np.exp(-np.clip(x @ self.mean, -30, 30))))

    def learn(self, x: np.ndarray, outcome: int, weight: float = 1.0) -> None:
        """weight: how many outcomes this one stands for."""
        p = self.probability(x)
        moved = self.covariance @ x
        curvature = p * (1 - p) * weight
        self.covariance -= np.outer(moved, moved) * (curvature / (1 + curvature * (x @ moved)))
        self.mean += self.covariance @ x * ((outcome - p) * weight)
