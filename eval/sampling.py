"""A smaller test, stated as such in the results: whole users, blocks of many users, or single rows of all users."""

import math
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pandas as pd

from eval.recommender import Rows
from genrec.dataset import Prepared

FEW = 5  # examples a user, on average, up to which single rows are drawn: whole users would be no cheaper to ask


class Sample(NamedTuple):
    """rows of data.examples; by: "users" (whole ones), "blocks" (of consecutive rows of a user), "rows" (single ones),
    or "" where nothing was left out; of: how many there were; most: rows that one user may have in a block."""

    rows: Rows
    by: str
    of: int
    most: int | None = None


def draw(
    data: Prepared,
    rows: Rows,
    n: int | None,
    seed: int = 0,
    lists: bool = False,
    users: int | None = None,
) -> Sample:
    """About n rows of one task and split (None: all), of `users` users where that is given.

    Without `users`, whole users are drawn until there are n rows: their candidates share a context and their order
    counts. With it, that many users are drawn, at most n / users rows of each, consecutive in time so that they share
    a context; all of their rows where n is None. Lists are drawn as single rows, since each is a search by itself. So
    are questions about the user alone, such as a return, where users have few of them.
    """
    if (n is None or len(rows) <= n) and (users is None or lists):
        return Sample(rows, "", len(rows))
    examples = data.examples.iloc[rows]
    alone = bool((examples.item_id == "").all())
    if n is not None and (lists or (alone and len(rows) <= FEW * examples.user_id.nunique())):
        return (
            Sample(_rows(rows, n, seed), "rows", len(rows)) if n < len(rows) else Sample(rows, "", len(rows))
        )
    order = _order(examples.user_id, seed)
    if users is None:
        assert n is not None
        return Sample(_whole(examples.user_id, rows, order, n), "users", len(rows))
    chosen = order[:users]
    most = math.ceil(n / max(len(chosen), 1)) if n is not None else len(rows)
    drawn = _blocks(data, rows, set(chosen), most, seed)
    cut = len(drawn) < int(examples.user_id.isin(chosen).sum())
    by = "blocks" if cut else "users" if len(drawn) < len(rows) else ""
    return Sample(drawn, by, len(rows), most if cut else None)


def _order(users: pd.Series, seed: int) -> list[Hashable]:
    """A seed draws users in one order, whatever the task: recommenders can be compared, and tasks share contexts."""
    return sorted(users.unique(), key=lambda user: _number(f"{seed} {user}"))


def _number(text: str) -> int:
    """Evenly drawn from 64 bits, the same for the same text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _whole(users: pd.Series, rows: Rows, order: Sequence[Hashable], n: int) -> Rows:
    """All rows of the first users in `order`, as many as it takes to reach n rows."""
    sizes = users.value_counts()
    until = int(np.searchsorted(sizes[list(order)].cumsum().to_numpy(), n)) + 1
    return rows[np.asarray(users.isin(order[:until]), dtype=np.bool_)]


def _blocks(data: Prepared, rows: Rows, users: set[Hashable], most: int, seed: int) -> Rows:
    """Of each of these users at most so many consecutive rows, from a moment on that is drawn for the user.

    The moment is one of the user's examples of any task in the split, each as likely as another; so every task is asked
    about the same stretch of the user's time. The block begins earlier where the user has too few rows after it.
    """
    examples = data.examples
    split = examples.split.iloc[rows[0]] if len(rows) else ""
    times = examples[(examples.split == split) & examples.user_id.isin(users)].groupby("user_id").ts
    moments = {user: _at(np.sort(ts.to_numpy()), f"{seed} block {user}") for user, ts in times}
    kept = []
    for user, own in pd.Series(rows).groupby(examples.user_id.iloc[rows].to_numpy()):
        if user in users:
            block = own.to_numpy()
            first = int(np.searchsorted(examples.ts.to_numpy()[block], moments[user]))
            first = max(0, min(first, len(block) - most))
            kept.append(block[first : first + most])
    return np.sort(np.concatenate(kept)) if kept else rows[:0]


def _at(times: Rows, text: str) -> int:
    """One of the times, drawn by the text."""
    return int(times[_number(text) % len(times)])


def _rows(rows: Rows, n: int, seed: int) -> Rows:
    """n rows drawn evenly, in their order."""
    return np.sort(np.random.default_rng(seed).choice(rows, n, replace=False))
