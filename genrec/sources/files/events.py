"""The events of one file: its rows, and the events that are derived from a column of them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genrec.sources.files.columns import Reader
from genrec.sources.files.text import plain
from genrec.sources.files.times import read_times
from genrec.statistics.co_occurrence import HOLDS_SEPARATOR, SEPARATOR, TAKE_OUT
from genrec.tables import EVENTS

_ABOUT_ITEMS = pa.array(["impression", "click"])
_CARRIED = ("user_id", "item_id", "ts", "event_id", "request_id")  # what a derived event has of its row


class FileOfEvents(NamedTuple):
    """rows: EVENTS, one a row of the file, in its order. derived: EVENTS."""

    reader: Reader
    rows: pa.Table
    derived: pa.Table


def read_events(reader: Reader) -> FileOfEvents | None:
    """None where something was refused."""
    if reader.rows == 0:
        reader.findings.refuse("There are no events", str(reader.sheet.path), "a log needs one row at least")
        return None
    before = len(reader.findings.refused)
    columns = {
        "user_id": reader.text("user_id", required=True),
        "item_id": reader.text("item_id", required=False, optional=True),
        "ts": read_times(reader),
        "event": reader.text("event", required=True),
        "value": reader.number("value", lambda v: v == v, "a number"),
        "event_id": reader.text("event_id", required=False, optional=True),
        "request_id": reader.text("request_id", required=False, optional=True),
        "position": reader.number(
            "position", lambda v: (v >= 0) & (v < 2**31) & (v % 1 == 0), "a whole number >= 0"
        ),
        "weight": reader.number("weight", lambda v: v > 0, "a number above 0"),
    }
    if len(reader.findings.refused) > before:
        return None
    filled = {}
    for field in EVENTS:
        column = columns[field.name]
        filled[field.name] = pa.nulls(reader.rows, field.type) if column is None else column.cast(field.type)
    rows = pa.table(filled, schema=EVENTS)
    derived = [_derived(reader, rows, event) for event in reader.mapping.derive]
    _refuse_without_item(reader, rows, pc.is_in(rows["event"], value_set=_ABOUT_ITEMS).to_numpy())
    if joined_by(rows["item_id"]).any():
        what = f"item_id {HOLDS_SEPARATOR}"
        reader.refuse(joined_by(rows["item_id"]), "item_id", what, TAKE_OUT, rows["item_id"])
    if len(reader.findings.refused) > before:
        return None
    return FileOfEvents(reader, rows, pa.concat_tables([EVENTS.empty_table(), *derived]))


def joined_by(ids: pa.ChunkedArray) -> np.ndarray:
    """bool, (rows,): which ids hold the character by which candidates are joined."""
    holds: np.ndarray = pc.fill_null(pc.match_substring(ids, SEPARATOR), False).to_numpy()
    return holds


def _refuse_without_item(reader: Reader, rows: pa.Table, about_items: np.ndarray) -> None:
    """about_items: bool, (rows,): impressions and clicks, which are always of an item."""
    bare = about_items & pc.is_null(rows["item_id"]).to_numpy()
    if bare.any():
        cure = "fill item_id, or call the event a visit"
        reader.refuse(bare, "item_id", "item_id is empty for an impression or a click", cure)


def _derived(reader: Reader, rows: pa.Table, event: str) -> pa.Table:
    """The rows that are this event as well: of the same user, item, time and request."""
    condition = reader.mapping.derive[event]
    where = f"{reader.sheet.path}, derive {event}: {condition.written}"
    array = _column(reader, condition.column)
    if array is None:
        has = ", ".join(reader.sheet.names)
        what = f"events has no column {condition.column!r}"
        reader.findings.refuse(what, f"{where}; columns: {has}", "name a column of the file, or one of ours")
        return EVENTS.empty_table()
    holds, bad = condition.holds(array)
    if bad.any():
        what = f"{condition.column} is no number to compare by `{condition.written}`"
        cure = "correct it, or leave it empty; text is compared by == and !="
        reader.refuse(bad, condition.column, what, cure, array)
    elif not holds.any():
        cure = "look at the values of that column"
        reader.findings.warn(f"No row is a {event}: `{condition.written}` holds nowhere", where, cure)
    if event in _ABOUT_ITEMS.to_pylist():
        _refuse_without_item(reader, rows, holds)
    chosen = rows.filter(pa.array(holds))
    columns = {
        field.name: chosen[field.name] if field.name in _CARRIED else pa.nulls(chosen.num_rows, field.type)
        for field in EVENTS
    }
    return pa.table({**columns, "event": pa.array([event] * chosen.num_rows, pa.string())}, schema=EVENTS)


def _column(reader: Reader, name: str) -> pa.Array | None:
    """A column of the file, else one of ours with its `values` applied."""
    if name in reader.sheet.table.column_names:
        return plain(reader.sheet.table[name])
    ours = name in EVENTS.names and reader.column(name)
    return reader.raw(name) if ours and (ours.always or ours.source in reader.sheet.names) else None
