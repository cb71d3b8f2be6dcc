"""A user's past at the time of an example: the lines that had become known, and the items among them."""

import numpy as np
from numpy.typing import NDArray

from genrec.dataset import Prepared
from genrec.tasks import Task


def touches(data: Prepared, task: Task) -> NDArray[np.bool_]:
    """(lines,) which lines touch their item, as the item task's rule means it: shown, clicked or converted."""
    event = task.label.get("event", "click")
    lines = data.lines
    if event == "impression":
        chosen = (lines.kind == "impression").to_numpy()
    elif event == "convert":
        chosen = (lines.convert == 1).to_numpy()
    else:
        chosen = (lines.click == 1).to_numpy()
    return np.asarray(chosen & (lines.item_id != "").to_numpy(), dtype=np.bool_)


class Histories:
    """Which items each user had touched before an example, in the order in which that became known."""

    def __init__(self, data: Prepared, task: Task) -> None:
        starts = data.lines.groupby("user_id", sort=False).indices
        self._first = {str(user): int(rows.min()) for user, rows in starts.items()}
        self._touched = touches(data, task)
        self._items = data.lines.item_id.to_numpy(dtype=object)
        self._values = data.lines["value"].to_numpy(dtype=np.float64)

    def rows(self, user_id: str, point: int) -> NDArray[np.int64]:
        """Row numbers of data.lines among the user's first `point` lines that touch an item, oldest first."""
        first = self._first.get(user_id, 0)
        return (
            first + np.flatnonzero(self._touched[first : first + point]) if point else np.zeros(0, np.int64)
        )

    def items(self, user_id: str, point: int) -> list[str]:
        """Their item ids; an item touched twice stands twice."""
        return [str(item) for item in self._items[self.rows(user_id, point)]]

    def values(self, user_id: str, point: int) -> NDArray[np.float64]:
        """The value of each of these touches, such as a rating; NaN where the log has none."""
        return np.asarray(self._values[self.rows(user_id, point)], dtype=np.float64)
