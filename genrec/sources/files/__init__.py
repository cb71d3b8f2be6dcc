"""A user's own CSV, JSONL and Parquet files as the three tables; see mapping_file.py for the mapping.

Nothing is written here: either everything is read, or one message says what to correct.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from genrec.errors import UserError
from genrec.findings import Findings
from genrec.reading import Loaded, Reading
from genrec.repair import repair, without_duplicates
from genrec.sources.files.columns import Reader
from genrec.sources.files.events import joined_by, read_events
from genrec.sources.files.known import with_known_ids
from genrec.sources.files.mapping import REQUIRED, FileMapping, TableMapping
from genrec.sources.files.mapping_file import find_mapping
from genrec.sources.files.sheet import read_sheet
from genrec.sources.files.unread import name_unread, reads
from genrec.statistics.co_occurrence import HOLDS_SEPARATOR, TAKE_OUT
from genrec.tables import Tables

__all__ = ["load", "read"]


def load(path: Path | None = None, mapping: Path | None = None, findings: Findings | None = None) -> Loaded:
    """path: the folder with the files, or a mapping file. mapping: a mapping file, if it is not in the folder.

    findings: takes what is repaired and warned of.
    """
    if path is None:
        raise UserError(
            "Your own files need a PATH", cure="name the folder that holds them, or a mapping file"
        )
    findings = Findings() if findings is None else findings
    loaded = read(find_mapping(Path(path), Path(mapping) if mapping else None), findings)
    findings.stop_if_refused()
    assert loaded is not None  # it is None only where something was refused
    return loaded


def read(mapping: FileMapping, findings: Findings) -> Loaded | None:
    """Read, repair and judge; what is found goes to `findings`. None if anything is refused."""
    readers = [_reader("events", table, findings) for table in mapping.events]
    items_of, users_of = (
        _reader(name, table, findings) if table else None
        for name, table in (("items", mapping.items), ("users", mapping.users))
    )
    parts = [part for reader in readers if reader and (part := read_events(reader))]
    items = _rows(items_of) if items_of else None
    users = _rows(users_of) if users_of else None
    tables = None
    if len(parts) == len(readers):
        tables = with_known_ids(mapping, parts, items, users, findings)
    if findings.refused or tables is None:
        return None
    tables, repairs = repair(tables)
    findings.repaired += [str(r) for r in repairs]
    tasks = tuple(mapping.reading.get("tasks") or _answerable(tables))
    labels = _labels(tables, mapping.reading.get("labels", {}), tasks)
    stated = {**mapping.reading, "tasks": tasks, "labels": labels}
    return Loaded(tables, Reading(**stated), list(findings.repaired))


def _reader(name: str, table: TableMapping, findings: Findings) -> Reader | None:
    try:
        sheet = read_sheet(table.path, table.delimiter, reads(name, table))
    except UserError as error:
        findings.refuse_error(error)
        return None
    reader = Reader(name, sheet, table, findings)
    name_unread(reader)
    return reader


def _rows(reader: Reader) -> pa.Table | None:
    """Items or users: the id, the title, then columns of the user's own; one row an id."""
    key = f"{reader.name.removesuffix('s')}_id"
    names = list(reader.mapping.columns or reader.sheet.names)
    before = len(reader.findings.refused)
    columns = {key: reader.text(key, required=True)}
    if "title" in REQUIRED[reader.name]:
        columns["title"] = reader.text("title", required=False)
    for name in names:
        if name not in columns and (reader.mapping.columns or reads(reader.name, reader.mapping)(name)):
            columns[name] = reader.extra(name)
    if len(reader.findings.refused) > before:
        return None
    table = pa.table({name: column for name, column in columns.items() if column is not None})
    if key == "item_id" and joined_by(table[key]).any():
        reader.refuse(joined_by(table[key]), key, f"item_id {HOLDS_SEPARATOR}", TAKE_OUT, table[key])
        return None
    distinct, _ = without_duplicates(table)
    counts = distinct[key].value_counts()
    again = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(again):
        bad = pc.is_in(table[key], value_set=again).to_numpy()
        what = f"{key} stands in several rows that differ"
        reader.refuse(bad, key, what, "keep one row for each id", table[key])
        return None
    return table


def _answerable(tables: Tables) -> list[str]:
    """The shipped tasks for which the log has the events."""
    events = tables.events
    has = set(events["event"].unique().to_pylist())
    click = {"impression", "click"} <= has
    return [
        *(["click"] if click else []),
        *(["convert"] if click and "convert" in has else []),
        "return",
        *(["next"] if _next_event(events) else []),
    ]


def _next_event(events: pa.Table) -> str:
    """The event whose items a user's next one is: clicks where there are some, else conversions, else what was shown
    (such as rated items), else the commonest event with an item; "" where no event has one."""
    counts = events["event"].filter(pc.is_valid(events["item_id"])).value_counts().to_pylist()
    by_name = {c["values"]: c["counts"] for c in counts}
    shipped = [name for name in ("click", "convert", "impression") if name in by_name]
    return shipped[0] if shipped else max(by_name, key=lambda name: by_name[name], default="")


def _labels(tables: Tables, labels: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, Any]:
    """The labels that a mapping states; a log without clicks says by itself what the next item is an event of."""
    event = _next_event(tables.events)
    own = labels.get("next", {})
    if "next" not in tasks or event in ("", "click") or not isinstance(own, Mapping) or "event" in own:
        return dict(labels)
    return {**labels, "next": {"event": event, **own}}
