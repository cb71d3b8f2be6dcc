"""MRR@k: one over the place of the relevant item."""

import numpy as np
from numpy.typing import ArrayLike

from genrec.metrics.mean import mean
from genrec.metrics.ranks import checked_ranks


def mrr(ranks: ArrayLike, k: int = 10, weights: ArrayLike | None = None) -> float:
    """mean([rank <= k] / rank), in [0, 1]; NaN for no examples.

    ranks (n,) from 1, inf where the item is not in the list (see `genrec.metrics.ranks`); weights (n,) >= 0.
    Voorhees, The TREC-8 Question Answering Track Report, 1999.

    >>> mrr([1, 4, 20, float("inf")], k=10)
    0.3125
    """
    places = checked_ranks(ranks, k)
    return mean(np.where(places <= k, 1 / places, 0.0), weights)
