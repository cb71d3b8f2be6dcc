"""What a baseline may fit on: labelled rows of one task, of the train and of the valid split."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genrec.dataset import Prepared


class Labelled(NamedTuple):
    """rows (n,) of data.examples, their labels (n,) and weights (n,)."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]


def labelled(data: Prepared, task: str, split: str) -> Labelled:
    """The examples of one task in the train or valid split; test labels are for the harness alone."""
    if split not in ("train", "valid"):
        raise ValueError(f"a recommender fits on train and valid, not on {split!r}")
    rows = data.rows(task, split)
    asked = data.examples.iloc[rows]
    return Labelled(rows, asked.label.to_numpy(np.int64), asked.weight.to_numpy(np.float64))


def scored_tasks(data: Prepared) -> list[str]:
    """The binary tasks that have both answers among their train examples."""
    binary = [task.name for task in data.tasks.values() if task.kind == "binary"]
    return [name for name in binary if len(np.unique(labelled(data, name, "train").labels)) == 2]


def task_of(data: Prepared, rows: NDArray[np.int64]) -> str:
    """The one task of these rows. Raises ValueError if there are several, or no rows."""
    names = data.examples.task.iloc[rows].unique()
    if len(names) != 1:
        raise ValueError(f"rows of one task are predicted at a time, not of {list(names)}")
    return str(names[0])


def learnable_lines(data: Prepared) -> NDArray[np.bool_]:
    """(lines,) which history lines a baseline may be fitted on: known before training ends, and no answer of valid or
    test. By time the first says it all; leave-last-out holds back single items, folds hold back whole users."""
    lines = data.lines
    known = (lines.known_at < data.train_end).to_numpy()
    held = data.examples[data.examples.split.isin(("valid", "test"))]
    by = data.reading.split.get("by", "time")
    if by == "users":
        known &= ~lines.user_id.isin(set(held.user_id)).to_numpy()
    elif by == "last":
        answers = set(zip(held.user_id, held.item_id, strict=True))
        known &= np.array(
            [pair not in answers for pair in zip(lines.user_id, lines.item_id, strict=True)], dtype=bool
        )
    return np.asarray(known, dtype=np.bool_)


def learnable_until(data: Prepared, task: str) -> dict[str, int]:
    """For each user, until which moment (microseconds UTC) a baseline for this task may be fitted on what she did:
    the end of training; in leave-last-out her first question of valid or test. A held-back fold's users are missing."""
    by = data.reading.split.get("by", "time")
    users = data.tables.users["user_id"].to_pylist()
    until = dict.fromkeys(users, data.train_end)
    held = data.examples[data.examples.split.isin(("valid", "test"))]
    if by == "users":
        for user in held.user_id.unique():
            until.pop(user, None)
    elif by == "last":
        asked = held[held.task == task].groupby("user_id").ts.min()
        until |= {str(user): min(int(ts), data.train_end) for user, ts in asked.items()}
    return until
