"""AUC inside each user: UAUC counts every user once, GAUC by impressions."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genrec.metrics.auc import auc
from genrec.metrics.inputs import Floats, binary
from genrec.metrics.mean import mean


class Grouped(NamedTuple):
    """value in [0, 1], NaN when no user has both a yes and a no; such users are left out, and counted."""

    value: float
    users_scored: int
    users_left_out: int


class UserAuc(NamedTuple):
    """Users (m,) with both classes, the AUC (m,) and impressions (m,) of each, the sum of their weights where they have
    some; how many users were left out."""

    users: NDArray[Any]
    auc: Floats
    impressions: Floats
    users_left_out: int


def user_auc(
    labels: ArrayLike, predictions: ArrayLike, users: ArrayLike, weights: ArrayLike | None = None
) -> UserAuc:
    """The AUC of each user's own examples; users (n,) are ids of any kind that sorts, weights (n,) those of sampling.

    An interval of GAUC is `interval("mean", found.users, (found.auc,), weights=found.impressions)`; of UAUC, the
    same without weights.

    >>> user_auc([1, 0, 1], [0.9, 0.1, 0.5], ["ann", "ann", "bob"]).auc.tolist()
    [1.0]
    """
    examples = binary(labels, predictions, weights, probabilities=False)
    ids, of_row, sizes = np.unique(np.asarray(users), return_inverse=True, return_counts=True)
    if of_row.size != examples.labels.size:
        raise ValueError(f"{examples.labels.size} labels but {of_row.size} users")
    rows = np.split(np.argsort(of_row, kind="stable"), np.cumsum(sizes)[:-1]) if ids.size else []
    each = np.array(
        [auc(examples.labels[r], examples.predictions[r], weights=examples.weights[r]) for r in rows],
        dtype=np.float64,
    )
    impressions = np.bincount(of_row, examples.weights, ids.size)
    scored = ~np.isnan(each)
    return UserAuc(ids[scored], each[scored], impressions[scored], int(ids.size - scored.sum()))


def gauc(labels: ArrayLike, predictions: ArrayLike, users: ArrayLike) -> Grouped:
    """Mean AUC over users, weighted by impressions: sum(n_u AUC_u) / sum(n_u).

    Zhu et al., Optimized Cost per Click in Taobao Display Advertising, KDD 2017.

    >>> gauc([1, 0, 1, 0, 0, 1], [0.9, 0.1, 0.2, 0.5, 0.6, 0.7], ["ann"] * 2 + ["bob"] * 3 + ["cyd"])
    Grouped(value=0.4, users_scored=2, users_left_out=1)
    """
    found = user_auc(labels, predictions, users)
    return Grouped(mean(found.auc, found.impressions), found.auc.size, found.users_left_out)


def uauc(labels: ArrayLike, predictions: ArrayLike, users: ArrayLike) -> Grouped:
    """Mean AUC over users, every user counting once: sum(AUC_u) / users.

    >>> uauc([1, 0, 1, 0, 0, 1], [0.9, 0.1, 0.2, 0.5, 0.6, 0.7], ["ann"] * 2 + ["bob"] * 3 + ["cyd"])
    Grouped(value=0.5, users_scored=2, users_left_out=1)
    """
    found = user_auc(labels, predictions, users)
    return Grouped(mean(found.auc), found.auc.size, found.users_left_out)
