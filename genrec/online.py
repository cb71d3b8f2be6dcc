"""Logistic regression that learns one outcome at a time, with weights that all share and weights of each user's own."""

import copy
from collections import ChainMap
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple

import numpy as np


class Posterior(NamedTuple):
    """A normal distribution over weights: mean (d,), covariance (d, d)."""

    mean: np.ndarray
    covariance: np.ndarray

    def learned(self, x: np.ndarray, surprise: float, curvature: float) -> "Posterior":
        """Sequential Laplace approximation (Spiegelhalter and Lauritzen 1990): no learning rate, one pass.

        surprise: the outcome less its probability; curvature: p (1 - p); both times how many outcomes it stands for.
        """
        moved = self.covariance @ x
        covariance = self.covariance - moved[:, None] * moved * (curvature / (1 + curvature * (x @ moved)))
        return Posterior(self.mean + covariance @ x * surprise, covariance)


class OnlineLogistic:
    """Generalized linear mixed model (GLMix, Zhang et al. 2016) without its random effects of items, learned online:
    the same outcomes in the same order give the same weights.

    start: (d,) prior means of the shared weights. spread: (d,) their standard deviations. own_spread: (o,) those of
    each user's own weights, whose means start at 0. drift: how much of a user's prior variance comes back with each of
    her outcomes, so that the latest count for more.
    """

    def __init__(
        self,
        start: Sequence[float],
        spread: Sequence[float],
        own_spread: Sequence[float] = (),
        drift: float = 0.0,
    ) -> None:
        self.shared = Posterior(
            np.array(start, np.float64), np.diag(np.square(np.asarray(spread, np.float64)))
        )
        self.stranger = Posterior(
            np.zeros(len(own_spread)), np.diag(np.square(np.asarray(own_spread, np.float64)))
        )
        self.own: MutableMapping[str, Posterior] = {}
        self.drifted = drift * self.stranger.covariance  # with each outcome of a user

    def probability(self, user_id: str, x: np.ndarray, z: np.ndarray) -> float:
        """x: (d,) what the shared weights multiply. z: (o,) what the user's own do."""
        odds = x @ self.shared.mean + z @ self.own.get(user_id, self.stranger).mean
        return float(1 / (1 + np.exp(-min(max(odds, -30.0), 30.0))))

    def learn(self, user_id: str, x: np.ndarray, z: np.ndarray, outcome: int, weight: float = 1.0) -> None:
        """weight: how many outcomes this one stands for."""
        self.shared = self.shared.learned(x, *self.meet(user_id, x, z, outcome, weight))

    def aside(self) -> "OnlineLogistic":
        """A view on which `meet` adds to a user's own weights and to nothing else."""
        view = copy.copy(self)
        view.own = ChainMap({}, self.own)
        return view

    def meet(
        self, user_id: str, x: np.ndarray, z: np.ndarray, outcome: int, weight: float = 1.0
    ) -> tuple[float, float]:
        """An outcome that says something of this user, but nothing of what all share. Returns its surprise and
        curvature, as Posterior.learned takes them."""
        p = self.probability(user_id, x, z)
        surprise, curvature = (outcome - p) * weight, p * (1 - p) * weight
        before = self.own.get(user_id, self.stranger)
        drifted = Posterior(before.mean, before.covariance + self.drifted)
        self.own[user_id] = drifted.learned(z, surprise, curvature)
        return surprise, curvature
