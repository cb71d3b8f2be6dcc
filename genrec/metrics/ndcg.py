"""NDCG@k: a hit counts less the lower it stands."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.mean import mean
from genrec.metrics.ranks import checked_ranks


def ndcg(ranks: ArrayLike, k: int = 10, weights: ArrayLike | None = None) -> float:
    """mean([rank <= k] / log2(1 + rank)), in [0, 1]; NaN for no examples.

    With one relevant item the ideal gain is 1, so that DCG and NDCG are the same.
    ranks (n,) from 1, inf where the item is not in the list (see `genrec.metrics.ranks`); weights (n,) >= 0.
    Jarvelin and Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS 2002.

    >>> ndcg([1, 3, 7, float("inf")], k=5)
    0.375
    """
    places = checked_ranks(ranks, k)
    return mean(np.where(places <= k, 1 / np.log2(1 + places), 0.0), weights)
