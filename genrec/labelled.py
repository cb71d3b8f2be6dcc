"""A log with its labels and splits: what `genrec data check` judges and `prepare` adds history and statistics to."""

from typing import NamedTuple

import pandas as pd

from genrec import labels, splits
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.observed import end_of, observed
from genrec.reading import Loaded
from genrec.tasks import Task


class LabelledLog(NamedTuple):
    """loaded: up to the log's end. frame: its events as genrec.labels.event_frame makes them. shown: its impressions
    with their outcomes. examples: with the column `split`. end, train_end: microseconds UTC. end_stated: whether the
    reading states the end; else it was found, by the last event that counts."""

    loaded: Loaded
    tasks: dict[str, Task]
    frame: pd.DataFrame
    shown: pd.DataFrame
    examples: pd.DataFrame
    end: int
    train_end: int
    end_stated: bool


def label(loaded: Loaded, tasks: dict[str, Task], findings: Findings | None = None) -> LabelledLog:
    """Derive every label and split. Events after the log's end are kept out, which `findings` says.

    Raises UserError for a log without events, an end, time zone, window or split that cannot be meant, and a log that
    answers none of the tasks.
    """
    if not loaded.tables.events.num_rows:
        raise UserError("There are no events", where=loaded.reading.name, cure="a log needs one row at least")
    stated = bool(loaded.reading.end)
    loaded = observed(loaded, tasks, Findings() if findings is None else findings)
    reading = loaded.reading
    frame = labels.event_frame(loaded.tables.events)
    shown = labels.impressions(frame, tasks)
    examples = labels.examples(frame, shown, tasks, reading.time_zone)
    end = end_of(reading, loaded.tables.events)
    examples["split"], train_end = splits.assign(examples, reading.split, end, stated)
    return LabelledLog(loaded, tasks, frame, shown, examples, end, train_end, stated)
