"""A smaller test, stated as such in the results: whole users, or single rows of all users."""

import numpy as np

from eval.recommender import Rows
from genrec.dataset import Prepared


def sample(data: Prepared, rows: Rows, n: int, seed: int = 0) -> Rows:
    """All rows of randomly drawn users, as many as it takes to reach n rows; every row if there are no more than n.

    The same seed draws the same users, so that recommenders can be compared.
    """
    if len(rows) <= n:
        return rows
    users = data.examples.user_id.iloc[rows]
    sizes = users.value_counts().sort_index().sample(frac=1, random_state=seed)
    drawn = sizes.index[: int(np.searchsorted(sizes.cumsum().to_numpy(), n)) + 1]
    return rows[np.asarray(users.isin(drawn), dtype=np.bool_)]


def sample_rows(rows: Rows, n: int, seed: int = 0) -> Rows:
    """n rows drawn evenly, in their order: for answers that cost much each, where whole users may be hundreds."""
    if len(rows) <= n:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, n, replace=False))
