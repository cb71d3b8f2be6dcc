"""HR@k: how often the one relevant item is among the first k."""

from numpy.typing import ArrayLike

from genrec.metrics.mean import mean
from genrec.metrics.ranks import checked_ranks


def hit_rate(ranks: ArrayLike, k: int = 10, weights: ArrayLike | None = None) -> float:
    """mean([rank <= k]), in [0, 1]; NaN for no examples. With one relevant item it is recall@k.

    ranks (n,) from 1, inf where the item is not in the list (see `genrec.metrics.ranks`); weights (n,) >= 0.
    Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004.

    >>> hit_rate([1, 11, 10, float("inf")], k=10)
    0.5
    """
    return mean(checked_ranks(ranks, k) <= k, weights)
