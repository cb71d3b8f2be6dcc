"""Logistic regression that goes forward through a log, with weights that all share and weights of each user's own."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from genrec.statistics.rows import GrowingRows

STEPS = 25  # of Newton's method, at most
CLOSE = 1e-10  # a step this small is the last one
FARTHEST = 30.0  # log-odds beyond which a probability is cut


class Posterior(NamedTuple):
    """A normal distribution over weights: mean (d,), precision (d, d)."""

    mean: np.ndarray
    precision: np.ndarray

    def learned(self, x: np.ndarray, offset: np.ndarray, y: np.ndarray, weight: np.ndarray) -> "Posterior":
        """Laplace's approximation after n more outcomes, with this one as the prior (Spiegelhalter and Lauritzen 1990).

        x: (n, d). offset: (n,) log-odds that are no weight's. y: (n,) 0 or 1. weight: (n,) outcomes each stands for.
        """
        mean, precision = self
        for _ in range(STEPS):
            p = expit(x @ mean + offset)
            precision = self.precision + (x * (weight * p * (1 - p))[:, None]).T @ x
            slope = x.T @ (weight * (y - p)) - self.precision @ (mean - self.mean)
            step = np.linalg.solve(precision, slope)
            mean = mean + step
            if np.abs(step).max() < CLOSE:
                break
        return Posterior(mean, precision)


class ForwardLogistic:
    """A generalized linear mixed model (GLMix, Zhang et al. 2016) without random effects of items, fitted forward in
    time. The weights that all share are fitted anew at each `refresh`, to the outcomes since the last one with the
    weights before it as their prior. A user's own weights follow each outcome of the user.

    start, spread: (d,) prior means of the shared weights and their standard deviations. own_spread: (o,) those of each
    user's own weights, whose means start at 0. drift: how much of a user's prior variance comes back with each outcome,
    so that the latest count for more.
    """

    def __init__(
        self, start: Sequence[float], spread: Sequence[float], own_spread: Sequence[float], drift: float = 0.0
    ) -> None:
        self.shared = Posterior(np.array(start, np.float64), np.diag(1 / np.square(spread, dtype=np.float64)))
        width = len(own_spread)
        self.stranger = np.diag(np.square(np.asarray(own_spread, np.float64)))  # (o, o) covariance
        self.drift = drift
        self.means = GrowingRows(width)
        self.changes = GrowingRows(width * width)  # of each user's covariance, from a stranger's
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def make_room(self, users: int) -> None:
        """For weights of so many users."""
        self.means.grow(users)
        self.changes.grow(users)

    def shared_odds(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n,) log-odds of the weights that all share."""
        return np.asarray(x @ self.shared.mean)

    def own_odds(self, users: np.ndarray, z: np.ndarray) -> np.ndarray:
        """users: (n,) codes, -1 for a stranger. z: (n, o). (n,) log-odds of the users' own weights."""
        return np.asarray((z * self.means.values[users]).sum(1))

    def follow(
        self, users: np.ndarray, z: np.ndarray, odds: np.ndarray, y: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move each user's own weights by their outcomes, which come in order. odds: (n,) of the shared weights.

        Returns (n,) the log-odds of the user's own weights just before each outcome, and (n, o) those weights after it.
        """
        before, after = np.empty(len(users)), np.empty(z.shape)
        width = z.shape[1]
        for rows in nth_of_each(users):
            at = users[rows]
            x, mean = z[rows], self.means.values[at]
            covariance = self.changes.values[at].reshape(-1, width, width) + (1 + self.drift) * self.stranger
            before[rows] = (x * mean).sum(1)
            p = expit(np.clip(odds[rows] + before[rows], -FARTHEST, FARTHEST))
            curvature = weight[rows] * p * (1 - p)
            moved = np.einsum("nij,nj->ni", covariance, x)
            share = curvature / (1 + curvature * (x * moved).sum(1))
            covariance -= moved[:, :, None] * moved[:, None, :] * share[:, None, None]
            moved = np.einsum("nij,nj->ni", covariance, x)
            mean = mean + moved * (weight[rows] * (y[rows] - p))[:, None]
            self.means.values[at], after[rows] = mean, mean
            self.changes.values[at] = (covariance - self.stranger).reshape(-1, width * width)
        return before, after

    def wait(self, x: np.ndarray, offset: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        """Keep outcomes for the next refresh."""
        if len(y):
            self.waiting.append((x, offset, y, weight))

    def refresh(self) -> None:
        """Fit the shared weights to what has been kept."""
        if self.waiting:
            self.shared = self.shared.learned(
                *(np.concatenate(part) for part in zip(*self.waiting, strict=True))
            )
            self.waiting = []

    def aside(self) -> "ForwardLogistic":
        """A view that knows no user, on which `follow` changes nothing here."""
        view = copy.copy(self)
        view.means, view.changes = GrowingRows(self.means.width), GrowingRows(self.changes.width)
        view.waiting = []
        return view


def probability(odds: np.ndarray) -> np.ndarray:
    return np.asarray(expit(np.clip(odds, -FARTHEST, FARTHEST)))


def nth_of_each(keys: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each key's first row, then those of each one's second, and so on."""
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0]) if len(keys) else np.empty(0, np.int64)
    lengths = np.diff(np.r_[first, len(keys)])
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys)) - np.repeat(first, lengths)
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]) if len(keys) else []
