"""Splits without examples of a task, and the windows or fractions that would leave enough."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from genrec.durations import microseconds
from genrec.findings import Findings
from genrec.labelled import LabelledLog
from genrec.splits import assign, whole
from genrec.tasks import SPLITS, Task

MISSED = {
    "train": "nothing to learn from",
    "valid": "nothing to calibrate or choose by",
    "test": "nothing to measure",
}
ENOUGH = 50  # examples in each split
WINDOWS = ("30d", "14d", "7d", "5d", "3d", "2d", "1d", "12h", "6h", "3h", "1h", "30m", "10m", "5m", "1m")
FRACTIONS = ([0.7, 0.15, 0.15], [0.6, 0.2, 0.2], [0.5, 0.25, 0.25], [0.4, 0.3, 0.3])


class Choice(NamedTuple):
    """A cure: what to write in the mapping, and the examples that each split then has."""

    written: str
    counts: list[int]


def warn_of_empty_splits(labelled: LabelledLog, findings: Findings) -> None:
    """One warning for each task and the splits that have none of its examples."""
    for task in labelled.tasks.values():
        of_task = labelled.examples[labelled.examples.task == task.name]
        if task.label["rule"] == "none":
            continue
        counts = _counts(of_task.split.to_numpy())
        if not all(counts):
            empty = [split for split, n in zip(SPLITS, counts, strict=True) if not n]
            why = "; ".join(f"{split}: {MISSED[split]}" for split in empty)
            censored = int((of_task.split == "censored").sum())
            findings.warn(
                f"No {' and no '.join(empty)} examples of {task.name} ({why}); {censored:,} of {len(of_task):,} are "
                "censored",
                cure=_cure(labelled, task, censored),
            )


def _cure(labelled: LabelledLog, task: Task, censored: int) -> str:
    by_window = _best(_by_window(labelled, task)) if censored else []
    choices = [*by_window, *_best(_by_fractions(labelled, task))]
    told = [f"`{c.written}` leaves {', '.join(f'{n:,}' for n in c.counts)}" for c in choices]
    if not told:
        return "the log is too short for its splits and windows: take more of it, or leave the task out"
    return f"in the mapping {' or '.join(told)} (train, valid, test)"


def _by_window(labelled: LabelledLog, task: Task) -> Iterator[Choice]:
    """With shorter windows, the longest first; a horizon stays longer than its session gap."""
    name = {"follows": "within", "returns": "horizon"}.get(task.label["rule"], "")
    if name not in task.label:
        return
    now = microseconds(task.label[name])
    least = microseconds(task.label.get("session_gap", "0s"))
    for window in WINDOWS:
        span = microseconds(window)
        if least < span < now:
            earlier = (now - span) * (labelled.examples.task == task.name)
            examples = labelled.examples.assign(known_at=labelled.examples.known_at - earlier)
            yield Choice(
                f"labels: {{{task.name}: {{{name}: {window}}}}}", _split_counts(labelled, task, examples)
            )


def _by_fractions(labelled: LabelledLog, task: Task) -> Iterator[Choice]:
    """With wider validation and test splits, the narrowest first."""
    split = whole(labelled.loaded.reading.split)
    if split["by"] == "time":
        for fractions in FRACTIONS:
            if fractions[0] < split["fractions"][0]:
                counts = _split_counts(labelled, task, labelled.examples, fractions)
                yield Choice(f"split: {{by: time, fractions: {fractions}}}", counts)


def _split_counts(
    labelled: LabelledLog, task: Task, examples: pd.DataFrame, fractions: list[float] | None = None
) -> list[int]:
    split = {"by": "time", "fractions": fractions} if fractions else labelled.loaded.reading.split
    names, _ = assign(examples, split, labelled.end, labelled.end_stated)
    return _counts(names[(examples.task == task.name).to_numpy()])


def _counts(names: np.ndarray) -> list[int]:
    return [int((names == split).sum()) for split in SPLITS]


def _best(choices: Iterator[Choice]) -> list[Choice]:
    """The first that leaves ENOUGH in each split, or half of what the best one leaves; none where one stays empty."""
    every = [choice for choice in choices if min(choice.counts)]
    enough = min(ENOUGH, max((min(choice.counts) for choice in every), default=0) / 2)
    return [choice for choice in every if min(choice.counts) >= enough][:1]
