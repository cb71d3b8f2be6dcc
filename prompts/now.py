"""What is known of a user just after the log's end: the lines, the statistics and the candidates of a question."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np

from genrec.dataset import Prepared
from genrec.labels import horizon_of
from genrec.statistics import COLUMNS
from genrec.statistics.co_occurrence import CANDIDATES, joined
from genrec.tasks import Task
from genrec.touches import Touches
from genrec.visits import VISIT_COLUMNS
from prompts.layout import Known


class Now:
    """Reads a prepared data set as of its end; what is read once is kept."""

    def __init__(self, data: Prepared) -> None:
        self.data = data
        self._touches: dict[str, Touches] = {}  # by item task
        self._last: dict[str, dict[str, int]] = {}  # task -> user -> row of the examples

    @cached_property
    def points(self) -> dict[str, int]:
        """By user how many lines are known."""
        return self.data.points_now()

    def point(self, user_id: str) -> int:
        """How many of the user's lines are known: 0 for one who is new."""
        return self.points.get(user_id, 0)

    def touched(self, user_id: str, task: Task, point: int | None = None) -> list[str]:
        """Items that the user has touched, as an item task means it, in order: in the first `point` lines or in all."""
        if task.name not in self._touches:
            self._touches[task.name] = Touches(self.data, task)
        return self._touches[task.name].items(user_id, point)

    def about_item(self, user_id: str, item_id: str) -> Known:
        """What a question about an item may say."""
        return self.about_items(user_id, [item_id])[0]

    def about_items(self, user_id: str, item_ids: Sequence[str]) -> list[Known]:
        """The same of some items, which are read together."""
        stats = self.data.statistics_now().read_items(user_id, item_ids).tolist()
        return [Known(dict(zip(COLUMNS, row, strict=True))) for row in stats]

    def about_user(self, user_id: str, task: Task) -> tuple[int, Known]:
        """The point and what is known of the question about the user alone that was last asked, at a session's end.

        Anyone else, known or not, is asked about the task's own horizon, and nothing is said of visits: none of their
        numbers is known.
        """
        number = self._last_asked(task.name).get(user_id)
        if number is None:
            unknown = dict.fromkeys((*COLUMNS, *VISIT_COLUMNS), np.nan)
            return self.point(user_id), Known.of(unknown, *horizon_of(task))
        last = self.data.examples.iloc[number]
        stats = self.data.stats["running"].iloc[number].to_dict()
        return min(int(last.point), self.point(user_id)), Known.of(stats, last.horizon_days, last.gap_days)

    def candidates(
        self, user_id: str, task: Task, n: int = CANDIDATES, exclude: Collection[str] = ()
    ) -> list[str]:
        """The n items, `exclude` left out, that followed what the user touched last, best first, none of them touched.
        The first CANDIDATES of all are those that the question of an item task names."""
        excluded = frozenset(exclude)
        known = self.touched(user_id, task, self.point(user_id))
        near = self.data.followers_now(task.name).candidates(known, n + len(excluded))
        return [item for item in near if item not in excluded][:n]

    def about_next(self, user_id: str, task: Task) -> Known:
        """What the question of an item task may say."""
        return Known({"candidates": joined(self.candidates(user_id, task))})

    def _last_asked(self, task: str) -> dict[str, int]:
        """By user, the row of the last example of a task."""
        if task not in self._last:
            rows = np.flatnonzero((self.data.examples.task == task).to_numpy())
            users = self.data.examples.user_id.iloc[rows]
            self._last[task] = dict(zip(users, rows.tolist(), strict=True))
        return self._last[task]
