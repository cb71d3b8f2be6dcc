"""Ids of the log that have no row in their table: refused, dropped or kept, as the mapping's `unknown` says."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genrec.findings import Findings
from genrec.repair import OUT_OF_ORDER, Repair, late
from genrec.sources.files.events import FileOfEvents
from genrec.sources.files.mapping import FileMapping
from genrec.tables import ITEMS, USERS, Tables

_SHOWN = 3


def with_known_ids(
    mapping: FileMapping,
    parts: Sequence[FileOfEvents],
    items: pa.Table | None,
    users: pa.Table | None,
    findings: Findings,
) -> Tables | None:
    """The tables, in which every id of the log has its row; without a users file the log's users are all there are.

    items, users: None where there is no file, or where it was refused. None where something is refused.
    """
    events = _together(parts, findings)
    if mapping.users is None:
        users = pa.table({"user_id": events["user_id"].unique()}, schema=USERS)
    if mapping.items is None:
        items = ITEMS.empty_table()
        touched = [part for part in parts if part.rows["item_id"].null_count < part.rows.num_rows]
        if touched and mapping.unknown.get("items") != "keep":
            cure = "add items.csv (or .jsonl, .parquet) with item_id and title; or `items: {unknown: keep}`"
            reader, ids = touched[0].reader, touched[0].rows["item_id"]
            what = "The log names items, but there is no items file"
            reader.refuse(pc.is_valid(ids).to_numpy(), "item_id", what, cure, ids)
            return None
    if items is None or users is None:
        return None
    for key, name, table in (("item_id", "items", items), ("user_id", "users", users)):
        unknown = _unknown(events[key], table[key])
        if not unknown.any():
            continue
        rule = mapping.unknown.get(name, "refuse")
        if rule == "refuse":
            _refuse(parts, key, name, table)
        elif rule == "drop":
            findings.repaired.append(_said(events[key], unknown, f"not in {name}: left out"))
            events = events.filter(pa.array(~unknown))
        else:
            findings.repaired.append(_said(events[key], unknown, f"not in {name}: kept, with the id alone"))
            table = _with_bare_rows(table, key, events[key].filter(pa.array(unknown)).unique())
            items, users = (table, users) if name == "items" else (items, table)
    if not events.num_rows and not findings.refused:
        cure = "take the ids as they stand in the tables, or say unknown: keep"
        findings.refuse("No event is left: every one is of an id without a row", mapping.where, cure)
    return None if findings.refused else Tables(events, items, users)


def _together(parts: Sequence[FileOfEvents], findings: Findings) -> pa.Table:
    """The events of all files. Each file is judged by its own order: the next one may begin anew."""
    whole = pa.concat_tables([table for part in parts for table in (part.rows, part.derived)])
    if whole.num_rows == parts[0].rows.num_rows:
        return whole
    if n := sum(late(part.rows) for part in parts):
        findings.repaired.append(str(Repair(OUT_OF_ORDER, n)))
    return whole.sort_by("ts")


def _unknown(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    """bool, (rows,): ids that are not known. Null ids are no ids."""
    there = pc.is_in(ids, value_set=known.combine_chunks().unique())
    unknown: np.ndarray = pc.and_(pc.invert(there), pc.is_valid(ids)).to_numpy()
    return unknown


def _refuse(parts: Sequence[FileOfEvents], key: str, name: str, table: pa.Table) -> None:
    for part in parts:
        bad = _unknown(part.rows[key], table[key])
        if bad.any():
            cure = f"add the rows to {name}, or say unknown: drop (or keep) for {name} in the mapping"
            if difference := _difference(part.rows[key].filter(pa.array(bad)), table[key]):
                cure = f"{difference}; or {cure}"
            part.reader.refuse(bad, key, f"{key} is not in {name}", cure, part.rows[key])


def _difference(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> str:
    """How to write ids that are known but for spaces, case or a decimal point; "" where that is not what differs."""
    unknown, known = pc.unique(ids), known.combine_chunks()
    for change, cure in (
        (pc.utf8_trim_whitespace, "take out the spaces around the ids"),
        (_without_point, "write 7 and not 7.0: an empty cell made whole numbers decimal"),
        (pc.utf8_lower, "write upper and lower case alike"),
    ):
        if pc.any(pc.is_in(change(unknown), value_set=change(known))).as_py():
            return f"some are there in another spelling: {cure}"
    return ""


def _without_point(ids: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(ids, r"^(\d+)\.0+$", r"\1")


def _said(ids: pa.ChunkedArray, unknown: np.ndarray, what: str) -> str:
    distinct = ids.filter(pa.array(unknown)).unique().to_pylist()
    shown = ", ".join(distinct[:_SHOWN]) + (", ..." if len(distinct) > _SHOWN else "")
    return f"{int(unknown.sum()):,} events are of {len(distinct):,} ids {what} ({shown})"


def _with_bare_rows(table: pa.Table, key: str, ids: pa.Array) -> pa.Table:
    """A row for each id: an item's title is "Item ID", every other column is empty."""
    columns = {key: ids.cast(pa.string())}
    if "title" in table.column_names and key == "item_id":
        columns["title"] = pa.array([f"Item {value}" for value in ids.to_pylist()], pa.string())
    schema = pa.schema([field.with_nullable(True) for field in table.schema])
    return pa.concat_tables([table.cast(schema), pa.table(columns)], promote_options="default")
