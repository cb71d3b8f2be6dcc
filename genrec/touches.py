"""A user's past at the time of an example: the lines that had become known, and the items among them."""

import numpy as np
from numpy.typing import NDArray

from genrec.dataset import Prepared
from genrec.lines import touches
from genrec.tasks import Task


class Touches:
    """Which items each user had touched before an example, in the order in which that became known."""

    def __init__(self, data: Prepared, task: Task) -> None:
        places = data.lines.groupby("user_id", sort=False).indices
        self._lines = {str(user): (int(rows.min()), len(rows)) for user, rows in places.items()}
        self._touched = touches(data.lines, task)
        self._items = data.lines.item_id.to_numpy(dtype=object)
        self._values = data.lines["value"].to_numpy(dtype=np.float64)

    def rows(self, user_id: str, point: int | None = None) -> NDArray[np.int64]:
        """Row numbers of data.lines among the user's first `point` lines, or all of hers, that touch an item, oldest
        first."""
        first, count = self._lines.get(user_id, (0, 0))
        end = first + (count if point is None else point)
        return first + np.flatnonzero(self._touched[first:end])

    def items(self, user_id: str, point: int | None = None) -> list[str]:
        """Their item ids; an item touched twice stands twice."""
        return [str(item) for item in self._items[self.rows(user_id, point)]]

    def values(self, user_id: str, point: int | None = None) -> NDArray[np.float64]:
        """The value of each of these touches, such as a rating; NaN where the log has none."""
        return np.asarray(self._values[self.rows(user_id, point)], dtype=np.float64)
