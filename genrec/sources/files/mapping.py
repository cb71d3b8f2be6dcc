"""What a mapping says: which file is which table, which column is which; mapping_file.py reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genrec.sources.files.conditions import Condition

TABLES = ("events", "items", "users")
REQUIRED = {"events": ("user_id", "ts", "event"), "items": ("item_id", "title"), "users": ("user_id",)}
UNKNOWN = ("refuse", "drop", "keep")


@dataclass(frozen=True)
class Column:
    """Where a column comes from. always: a constant for every row. separator: splits text into a list."""

    source: str = ""
    separator: str = ""
    always: str = ""


@dataclass(frozen=True)
class TableMapping:
    """One file, or folder of files, of a table."""

    path: Path
    columns: Mapping[str, Column] | None = (
        None  # our name -> where from; None: every column under its own name
    )
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # our name -> old -> new
    delimiter: str = ""  # of a CSV
    # Of events:
    ts_unit: str = ""  # one of units.UNITS
    ts_origin: int | None = None  # microseconds UTC: what numbers of ts count from, where it is not 1970
    time_zone: str = ""  # of times without an offset
    event: str = ""  # the event of every row
    derive: Mapping[str, Condition] = field(default_factory=dict)  # event -> the rows that are this event too


@dataclass(frozen=True)
class FileMapping:
    """A whole mapping. where: for messages. reading: the fields of genrec.reading.Reading that it states.

    unknown: "items" and "users" -> one of UNKNOWN, what becomes of ids that the log has and the table lacks.
    """

    where: str
    events: tuple[TableMapping, ...]
    items: TableMapping | None
    users: TableMapping | None
    reading: Mapping[str, Any]
    unknown: Mapping[str, str]
