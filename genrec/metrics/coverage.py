"""Coverage: how much of the catalog anyone is ever shown."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any

from numpy.typing import NDArray


def coverage(
    recommended: Sequence[Sequence[Hashable]] | NDArray[Any], catalog: Collection[Hashable], k: int = 10
) -> float:
    """Distinct items in the first k of all lists over items of the catalog, in [0, 1]; NaN if it is empty.

    recommended: n lists of items, best first, or an array (n, k); catalog: every item that could have been recommended.
    Raises ValueError on an item that the catalog does not hold.
    Catalog coverage of Ge, Delgado-Battenfeld and Jannach, Beyond Accuracy, RecSys 2010.

    >>> coverage([["a", "b"], ["a", "c"]], catalog=["a", "b", "c", "d"], k=2)
    0.75
    """
    if k < 1:
        raise ValueError("k must be at least 1")
    items = set(catalog)
    shown = {item for row in recommended for item in row[:k]}
    strangers = shown - items
    if strangers:
        raise ValueError(
            f"{len(strangers)} recommended items are not in the catalog, such as {min(map(str, strangers))!r}"
        )
    return len(shown) / len(items) if items else float("nan")
