"""The outcomes of a log as arrays, in the order in which they became known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genrec.labels import known_together
from genrec.statistics.ragged import ranges


@dataclass(frozen=True)
class Outcomes:
    """n impressions, of which the first `learned` ever become known. users, items: (n,) numbers into user_ids and
    item_ids. asked, known: (n,) microseconds UTC. click, convert: (n,) 0 or 1. inline: (n,) 1 where it was known with
    the click whether it converted. weight: (n,). late: (l,) rows of which that became known later, and late_known when.
    """

    learned: int
    user_ids: list[str]
    item_ids: list[str]
    users: np.ndarray
    items: np.ndarray
    asked: np.ndarray
    known: np.ndarray
    click: np.ndarray
    convert: np.ndarray
    inline: np.ndarray
    weight: np.ndarray
    late: np.ndarray
    late_known: np.ndarray

    def counted(self, third: np.ndarray) -> np.ndarray:
        """(learned, 5) what each adds to [count, clicks, third, converts, outcomes of conversion]."""
        n = self.learned
        parts = [np.ones(n), self.click[:n], third, (self.convert * self.inline)[:n], self.inline[:n]]
        return np.asarray(np.column_stack(parts) * self.weight[:n, None])

    @property
    def counted_late(self) -> np.ndarray:
        """(late, 2) what each adds to the last two of them."""
        weight = self.weight[self.late]
        return np.column_stack([weight * self.convert[self.late], weight])

    @property
    def grade(self) -> np.ndarray:
        """(n,) as genrec.statistics.statistics.Outcome.grade."""
        return np.asarray((self.click + self.convert * self.inline) / 2)


def outcomes(shown: pd.DataFrame, until: int) -> tuple[Outcomes, np.ndarray]:
    """Those known before `until`, the others behind them; and the row of `shown` that each is."""
    order = np.argsort(shown.click_known_at.to_numpy(), kind="stable")
    shown = shown.iloc[order]
    users, user_ids = pd.factorize(shown.user_id)
    items, item_ids = pd.factorize(shown.item_id)
    inline = known_together(shown).to_numpy()
    late_known = shown.convert_known_at.to_numpy()
    late = np.flatnonzero(~inline & (late_known < until))
    late = late[np.argsort(late_known[late], kind="stable")]
    known = shown.click_known_at.to_numpy()
    arrays = Outcomes(
        learned=int(np.searchsorted(known, until)),
        user_ids=list(user_ids),
        item_ids=list(item_ids),
        users=users.astype(np.int64),
        items=items.astype(np.int64),
        asked=shown.asked.to_numpy(np.int64),
        known=known.astype(np.int64),
        click=shown.click.to_numpy(np.float64),
        convert=(shown.convert.to_numpy() == 1).astype(np.float64),
        inline=inline.astype(np.float64),
        weight=shown.weight.to_numpy(np.float64),
        late=late,
        late_known=late_known[late].astype(np.int64),
    )
    return arrays, order


class UserCategories:
    """Pairs of a user and a category as numbers: the user's number times how many `names` there are, plus the
    category's."""

    def __init__(self, log: Outcomes, categories: Mapping[str, Sequence[str]]) -> None:
        of_items = [categories.get(item, ()) for item in log.item_ids]
        numbers: dict[str, int] = {}
        flat = [numbers.setdefault(name, len(numbers)) for names in of_items for name in names]
        self.log, self.names = log, list(numbers)
        self._flat, self._length = np.array(flat, np.int64), np.array([*map(len, of_items)], np.int64)
        self._begin = np.cumsum(self._length) - self._length

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One entry for each category of each outcome's item: the outcome's place in rows, and the pair."""
        items = self.log.items[rows]
        length = self._length[items]
        places = np.repeat(np.arange(len(rows)), length)
        pairs = (
            self.log.users[rows][places] * len(self.names) + self._flat[ranges(self._begin[items], length)]
        )
        return places, pairs
