"""Counts at every question of a log: what had become known before it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from genrec.statistics.counts import OF_CATEGORY, PRIOR, START, Counts, rates, shrunk
from genrec.statistics.outcomes import Outcomes, UserCategories
from genrec.statistics.sums import Sums

CONVERGED = 1e-13  # of the gains of items and users, which depend on one another's past
ROUNDS = 1_000


class Residuals(NamedTuple):
    """(learned,) of each outcome's grade, by what was known just before it: what the item answers for, what the user
    does, and what neither does."""

    of_item: np.ndarray
    of_user: np.ndarray
    of_neither: np.ndarray


class Questions(NamedTuple):
    """(q,) the impression that each is about, and the moment, microseconds UTC, before which it looks."""

    rows: np.ndarray
    times: np.ndarray


def residuals(log: Outcomes) -> Residuals:
    n = log.learned
    known, weight, grade = log.known[:n], log.weight[:n], log.grade[:n]
    everyone = np.zeros(n, np.int64)
    total = START[[0, 2]] + Sums(everyone, known, everyone, known).of(
        np.column_stack([weight, weight * grade])
    )
    surprise = grade - total[:, 1] / total[:, 0]
    of_items, of_users = (Sums(keys[:n], known, keys[:n], known) for keys in (log.items, log.users))
    item_count, user_count = of_items.of(weight) + PRIOR, of_users.of(weight) + PRIOR
    item_gain = user_gain = np.zeros(n)
    for _ in range(ROUNDS):
        before = item_gain
        item_gain = of_items.of(weight * (surprise - user_gain)) / item_count
        user_gain = of_users.of(weight * (surprise - item_gain)) / user_count
        if not n or np.abs(item_gain - before).max() < CONVERGED:
            break
    return Residuals(surprise - user_gain, surprise - item_gain, surprise - item_gain - user_gain)


def count(
    log: Outcomes, asked: Questions, left: Residuals, of_users: Sums, categories: Mapping[str, Sequence[str]]
) -> Counts:
    """of_users: the sums of each question's user."""
    n, (rows, times) = log.learned, asked
    users, items = log.users[rows], log.items[rows]

    def counts(keys: np.ndarray, at_keys: np.ndarray, of: Sums | None, third: np.ndarray) -> np.ndarray:
        """(q, 5) with the conversions that became known later."""
        of = of or Sums(keys[:n], log.known[:n], at_keys, times)
        sums = of.of(log.counted(third))
        if len(log.late):
            sums[:, 3:] += Sums(keys[log.late], log.late_known, at_keys, times).of(log.counted_late)
        return sums

    everyone = np.zeros(len(log.users), np.int64)
    total = START + counts(everyone, np.zeros(len(rows), np.int64), None, log.grade[:n])
    of_item = counts(log.items, items, None, left.of_item)
    of_user = counts(log.users, users, of_users, left.of_user)
    clicks = np.column_stack([log.weight * log.click, log.weight])[:n]
    user_share = shrunk(of_user[:, 1], of_user[:, 0], rates(total)[0])
    return Counts(
        total,
        of_item,
        of_user,
        _category_share(log, asked, clicks, user_share, categories),
        of_users.of_latest(clicks, 3),
        of_users.of_latest(clicks, 10),
    )


def _category_share(
    log: Outcomes,
    asked: Questions,
    clicks: np.ndarray,
    user_share: np.ndarray,
    categories: Mapping[str, Sequence[str]],
) -> np.ndarray:
    """(q,) the user's shrunken share in each of the item's categories, averaged; the user's own where there is none."""
    of_users = UserCategories(log, categories)
    learned, keys = of_users.of(np.arange(log.learned))
    places, at_keys = of_users.of(asked.rows)
    known = Sums(keys, log.known[learned], at_keys, asked.times[places]).of(clicks[learned])
    share = (known[:, 0] + OF_CATEGORY * user_share[places]) / (known[:, 1] + OF_CATEGORY)
    q = len(asked.rows)
    how_many = np.bincount(places, minlength=q)
    return np.where(how_many, np.bincount(places, share, q) / np.maximum(how_many, 1), user_share)
