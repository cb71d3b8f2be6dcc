"""A smaller test, stated as such in the results: whole users, or single rows of all users."""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from eval.recommender import Rows
from genrec.dataset import Prepared

FEW = 5  # examples a user, on average, up to which single rows are drawn: whole users would be no cheaper to ask


class Sample(NamedTuple):
    """rows of data.examples; by: "users", "rows", or "" where nothing was left out; of: how many there were."""

    rows: Rows
    by: str
    of: int


def draw(data: Prepared, rows: Rows, n: int | None, seed: int = 0, lists: bool = False) -> Sample:
    """About n rows of one task (None: all): by whole users, whose candidates share a context and whose order counts.

    Single rows where that is not so: of lists, each a search by itself, and of questions about the user alone, such as
    a return, where each has few.
    """
    if n is None or len(rows) <= n:
        return Sample(rows, "", len(rows))
    examples = data.examples.iloc[rows]
    alone = bool((examples.item_id == "").all())
    if lists or (alone and len(rows) <= FEW * examples.user_id.nunique()):
        return Sample(_rows(rows, n, seed), "rows", len(rows))
    return Sample(_users(data, rows, n, seed), "users", len(rows))


def _users(data: Prepared, rows: Rows, n: int, seed: int) -> Rows:
    """All rows of randomly drawn users, as many as it takes to reach n rows.

    A seed draws users in one order, whatever the task: recommenders can be compared, and tasks share their contexts.
    """
    users = data.examples.user_id.iloc[rows]
    sizes = users.value_counts()
    order = sorted(sizes.index, key=lambda user: blake2b(f"{seed} {user}".encode(), digest_size=8).digest())
    until = int(np.searchsorted(sizes[order].cumsum().to_numpy(), n)) + 1
    return rows[np.asarray(users.isin(order[:until]), dtype=np.bool_)]


def _rows(rows: Rows, n: int, seed: int) -> Rows:
    """n rows drawn evenly, in their order."""
    return np.sort(np.random.default_rng(seed).choice(rows, n, replace=False))
