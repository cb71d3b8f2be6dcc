"""What is kept of the log-probabilities that a token was taken from: those that a reply tells, never a vocabulary."""

from typing import NamedTuple

import numpy as np


class Likely(NamedTuple):
    """A token's log-probability, and the most likely tokens in its place with theirs, best first."""

    logprob: float
    best: tuple[tuple[int, float], ...]


def likely(row: np.ndarray, token: int, top: int) -> Likely:
    """row: (vocabulary,) log-probabilities; top: how many of the most likely, of equals those with the lower id."""
    best = list[int]()
    if top:
        found = np.flatnonzero(row >= np.partition(row, -top)[-top])
        best = found[np.argsort(-row[found], kind="stable")][:top].tolist()
    return Likely(float(row[token]), tuple((i, float(row[i])) for i in best))
