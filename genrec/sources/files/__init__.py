"""A user's own CSV, JSONL and Parquet files as the three tables; see mapping.py for the mapping.

Nothing is written here: either everything is read, or one message says what to correct.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from genrec.errors import UserError
from genrec.findings import Findings
from genrec.followers import HOLDS_SEPARATOR, SEPARATOR, TAKE_OUT
from genrec.reading import Loaded, Reading
from genrec.repair import repair, without_duplicates
from genrec.sources.files.columns import Reader
from genrec.sources.files.mapping import REQUIRED, FileMapping, find_mapping
from genrec.sources.files.sheet import read_sheet
from genrec.tables import EVENTS, ITEMS, USERS, Tables

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
    readers = {name: reader for name in mapping.tables if (reader := _reader(mapping, name, findings))}
    events = _events(readers["events"]) if "events" in readers else None
    items = _rows(readers["items"], findings) if "items" in readers else None
    users = _rows(readers["users"], findings) if "users" in readers else None
    if events is not None:
        items, users = _known(mapping, readers["events"], events, items, users)
    if findings.refused or events is None or items is None or users is None:
        return None
    tables, repairs = repair(Tables(events, items, users))
    findings.repaired += [str(r) for r in repairs]
    told = {**mapping.reading, "tasks": tuple(mapping.reading.get("tasks") or _answerable(tables))}
    return Loaded(tables, Reading(**told), list(findings.repaired))


def _reader(mapping: FileMapping, name: str, findings: Findings) -> Reader | None:
    table = mapping.tables[name]
    try:
        sheet = read_sheet(table.path, table.delimiter)
    except UserError as error:
        findings.refuse_error(error)
        return None
    reader = Reader(name, sheet, table, findings)
    if table.columns is not None:
        used = {column.source for column in table.columns.values()}
        known = EVENTS.names if name == "events" else ()
        left = [c for c in sheet.table.column_names if c not in used and c not in known]
        if left:
            findings.warn(
                f"Columns of {name} left out, the mapping does not name them: {', '.join(left)}",
                str(table.path),
            )
    return reader


def _events(reader: Reader) -> pa.Table | None:
    rows = reader.sheet.table.num_rows
    if rows == 0:
        reader.findings.refuse("There are no events", str(reader.sheet.path), "a log needs one row at least")
        return None
    before = len(reader.findings.refused)
    columns = {
        "user_id": reader.text("user_id", required=True),
        "item_id": reader.text("item_id", required=False, optional=True),
        "ts": reader.times(),
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
        filled[field.name] = pa.nulls(rows, field.type) if column is None else column.cast(field.type)
    events = pa.table(filled, schema=EVENTS)
    needs_item = pc.is_in(events["event"], value_set=pa.array(["impression", "click"]))
    bare = pc.and_(needs_item, pc.is_null(events["item_id"])).to_numpy()
    if bare.any():
        cure = "fill item_id, or call the event a visit"
        reader.refuse(bare, "item_id", "item_id is empty for an impression or a click", cure)
        return None
    return events if _joinable(reader, events["item_id"]) else None


def _rows(reader: Reader, findings: Findings) -> pa.Table | None:
    """Items or users: the id, the title, then columns of the user's own; one row an id."""
    key = f"{reader.name.removesuffix('s')}_id"
    names = list(reader.mapping.columns or reader.sheet.table.column_names)
    before = len(findings.refused)
    columns = {key: reader.text(key, required=True)}
    if "title" in REQUIRED[reader.name]:
        columns["title"] = reader.text("title", required=False)
    for name in names:
        if name not in columns:
            columns[name] = reader.extra(name)
    if len(findings.refused) > before:
        return None
    table = pa.table(columns)
    if key == "item_id" and not _joinable(reader, table[key]):
        return None
    distinct, _ = without_duplicates(table)
    counts = distinct[key].value_counts()
    again = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(again):
        bad = pc.is_in(table[key], value_set=again).to_numpy()
        reader.refuse(
            bad, key, f"{key} stands in several rows that differ", "keep one row for each id", table[key]
        )
        return None
    return table


def _joinable(reader: Reader, ids: pa.ChunkedArray) -> bool:
    """Whether no item id holds the character by which candidates are joined."""
    bad = pc.fill_null(pc.match_substring(ids, SEPARATOR), False).to_numpy()
    if bad.any():
        reader.refuse(bad, "item_id", f"item_id {HOLDS_SEPARATOR}", TAKE_OUT, ids)
    return not bad.any()


def _known(
    mapping: FileMapping, reader: Reader, events: pa.Table, items: pa.Table | None, users: pa.Table | None
) -> tuple[pa.Table | None, pa.Table | None]:
    """Every id of the log must be in its table; without a users file the log's users are all there are."""
    if "users" not in mapping.tables:
        users = pa.table({"user_id": events["user_id"].unique()}, schema=USERS)
    if "items" not in mapping.tables:
        items = ITEMS.empty_table()
        touched = pc.is_valid(events["item_id"]).to_numpy()
        if touched.any():
            cure = "add items.csv (or .jsonl, .parquet) with item_id and title"
            reader.refuse(
                touched, "item_id", "The log names items, but there is no items file", cure, events["item_id"]
            )
    elif items is not None:
        reader.known(events, "item_id", items)
    if users is not None and "users" in mapping.tables:
        reader.known(events, "user_id", users)
    return items, users


def _answerable(tables: Tables) -> list[str]:
    """The shipped tasks for which the log has the events."""
    has = set(tables.events["event"].unique().to_pylist())
    click = {"impression", "click"} <= has
    return [
        *(["click"] if click else []),
        *(["convert"] if click and "convert" in has else []),
        "return",
        *(["next"] if click and tables.items.num_rows else []),
    ]
