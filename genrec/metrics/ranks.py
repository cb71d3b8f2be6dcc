"""Where the one relevant item stands in a list: what HR, NDCG and MRR are computed from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genrec.metrics.inputs import Floats, vector


def ranks(
    recommended: Sequence[Sequence[object]] | NDArray[Any], targets: Sequence[object] | NDArray[Any]
) -> Floats:
    """The place (n,) of each target in its list, counted from 1; inf where the list does not hold it.

    recommended: n lists of items, best first, of any lengths; targets: n items.

    >>> ranks([["a", "b", "c"], ["b", "c"]], ["c", "a"]).tolist()
    [3.0, inf]
    """
    if len(recommended) != len(targets):
        raise ValueError(f"{len(targets)} targets but {len(recommended)} lists")
    found = np.full(len(targets), np.inf)
    for row, (items, target) in enumerate(zip(recommended, targets, strict=True)):
        found[row] = next((place for place, item in enumerate(items, 1) if item == target), np.inf)
    return found


def checked_ranks(values: ArrayLike, k: int) -> Floats:
    """Ranks (n,) >= 1 as float64, inf for "not in the list". Raises ValueError on NaN, ranks or k below 1.

    >>> checked_ranks([1, 3], k=10).tolist()
    [1.0, 3.0]
    """
    if k < 1:
        raise ValueError("k must be at least 1")
    found = vector(values, "ranks")
    if found.size and found.min() < 1:
        raise ValueError("ranks count from 1; inf says that the item is not in the list")
    return found
