"""Every task's answer about one user, for some items and for her alone: what `genrec predict` and /v1/predict give."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genrec.chain import CHAIN, CTCVR, chained
from genrec.errors import UserError
from serve.served import Served


class EveryTask(NamedTuple):
    """Per task, of the first answer or of each of a choice. about_items: (n,) or (n, answers), ctcvr among them.
    calibrated: the tasks whose probabilities are."""

    about_items: dict[str, np.ndarray]
    about_user: dict[str, float | list[float]]
    calibrated: list[str]

    @property
    def not_calibrated(self) -> list[str]:
        return [task for task in (*self.about_items, *self.about_user) if task not in self.calibrated]


def every_task(
    served: Served,
    user_id: str,
    items: Sequence[str],
    tasks: Sequence[str] | None = None,
    query: str | None = None,
) -> EveryTask:
    """tasks: all but these are left out; ctcvr is asked as its two. query: asked instead of the tasks' own questions,
    about the items where there are some, else about the user, unless `tasks` says of which.

    Raises UserError for a task that this adapter does not have, or that words cannot ask.
    """
    of_items, of_user = tasks_asked(served, bool(items), tasks, query)
    predict = served.predictor.predict
    found = predict(served.rows(user_id, items), of_items, query) if items else {}
    if tasks is not None:
        found = {task: p for task, p in found.items() if task in (*tasks, CTCVR)}
    alone = {
        task: predict([served.user_row(user_id, task)], [task], query)[task][0].tolist() for task in of_user
    }
    used, told = served.predictor.calibrations, served.card.calibration
    sure = {task for task in used if not told.get(task, {}).get("note")}
    sure |= {CTCVR} if set(CHAIN) <= sure else set()
    calibrated = [] if query is not None else sorted(sure & {*found, *alone})
    return EveryTask(found, alone, calibrated)


def tasks_asked(
    served: Served, items: bool, tasks: Sequence[str] | None, query: str | None
) -> tuple[list[str], list[str]]:
    """The tasks to ask about items, and about the user, as `every_task` does. items: whether there are any. Raises as
    it does."""
    of_items, of_user = ([task.name for task in served.tasks_about(item)] for item in (True, False))
    if tasks is None and query is None:
        return of_items, of_user
    if tasks is None:
        first = [task for task in of_items if served.layout.tasks[task].given is None]
        return (first, []) if items else ([], of_user)
    pair = CHAIN if chained(served.layout.tasks) else (CTCVR,)
    wanted = [name for task in tasks for name in (pair if task == CTCVR else (task,))]
    if odd := [task for task in wanted if task not in (*of_items, *of_user)]:
        known = ", ".join((*of_items, *of_user))
        raise UserError(f"There is no task {odd[0]!r}", where="tasks", cure=f"choose among {known}")
    return [task for task in of_items if task in wanted], [task for task in of_user if task in wanted]
