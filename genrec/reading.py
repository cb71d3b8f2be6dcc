"""How a data set is read: which tasks it can answer, how their labels are derived, how it is split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genrec.tables import Tables


@dataclass(frozen=True)
class Reading:
    """Stored beside the prepared tables as `reading.yaml`; labels and split are derived from it when they are prepared.

    pack: the domain's words (a file of prompts/packs). tasks: names of task files.
    labels: per task, fields of its label rule that this data set changes (windows, horizons).
    split: {"by": "time" | "last" | "users" | "given", ...} as genrec.splits reads it.
    end: ISO 8601, until when the log was observed; "" takes the last event's time (genrec.observed).
    time_zone: an IANA name, such as Europe/Berlin: of times without an offset, and where the days of
    cut-offs and of "on a later day" begin.
    """

    name: str
    pack: str = "goods-en"
    tasks: tuple[str, ...] = ("click", "convert", "return", "next")
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=lambda: {"by": "time", "fractions": [0.8, 0.1, 0.1]})
    end: str = ""
    time_zone: str = "UTC"
    note: str = ""  # what a stand-in stands for, one sentence


class Loaded(NamedTuple):
    """What a source returns."""

    tables: Tables
    reading: Reading
    repairs: list[str]  # what was repaired on the way, one sentence each, with counts
