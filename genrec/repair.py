"""What is put right in every source's tables, in one place, and told: order, exact duplicates, titles."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from genrec.tables import EVENTS, Tables
from genrec.titles import cleaned, distinct

OUT_OF_ORDER = "events stand after a later one in the file: sorted by time"
FUNNEL = ("impression", "click", "convert")  # the order of events that share a timestamp


@dataclass(frozen=True)
class Repair:
    """One kind of repair. what: a sentence that starts with the count. examples: ids or titles."""

    what: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}" + (f" ({', '.join(self.examples)})" if self.examples else "")


def repair(tables: Tables) -> tuple[Tables, list[Repair]]:
    """Sort events, drop exact duplicates, put titles on one line and make them distinct.

    The same rows in any order give the same events: ties are broken by every column.
    """
    repairs: list[Repair] = []
    events = _sorted(_once(tables.events, "events", repairs), repairs)
    items = _with_titles(_by_id(_once(tables.items, "items", repairs)), repairs)
    users = _by_id(_once(tables.users, "users", repairs))
    return Tables(events, items, users), repairs


def _by_id(table: pa.Table) -> pa.Table:
    table = table.sort_by(table.column_names[0])
    return table.set_column(0, table.schema.field(0).with_nullable(False), table.column(0))


def _once(table: pa.Table, name: str, repairs: list[Repair]) -> pa.Table:
    kept, extra = without_duplicates(table)
    if extra.num_rows:
        examples = tuple(str(v) for v in extra.slice(0, 3)[table.column_names[0]].to_pylist())
        repairs.append(
            Repair(f"{name} repeat another row in every column: dropped", extra.num_rows, examples)
        )
    return kept


def without_duplicates(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """(the rows kept, the rows dropped): rows equal in every column are one row; its first place stays."""
    keys = {c: _as_key(table[c]) for c in table.column_names}
    rows = pa.table({**keys, "__row": pa.array(range(table.num_rows), pa.int64())})
    first = rows.group_by(list(keys), use_threads=False).aggregate([("__row", "min")])["__row_min"]
    if len(first) == table.num_rows:
        return table, table.slice(0, 0)
    kept = pc.is_in(rows["__row"], value_set=first)
    return table.filter(kept), table.filter(pc.invert(kept))


def _as_key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists cannot be grouped by; their text can."""
    if pa.types.is_list(column.type):
        texts = [None if value is None else repr(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column


def late(events: pa.Table) -> int:
    """How many events are of an earlier time than the one before them."""
    ts = events["ts"].cast(pa.int64()).to_numpy()
    return int((ts[1:] < ts[:-1]).sum())


def _sorted(events: pa.Table, repairs: list[Repair]) -> pa.Table:
    if n := late(events):
        repairs.append(Repair(OUT_OF_ORDER, n))
    rank = pc.index_in(events["event"], value_set=pa.array(FUNNEL))
    events = events.append_column("__rank", pc.fill_null(rank, len(FUNNEL)))
    rest = [c for c in EVENTS.names if c not in ("ts", "user_id", "item_id", "event")]
    order = ["ts", "user_id", "item_id", "__rank", "event", *rest]
    return events.sort_by([(c, "ascending") for c in order]).drop_columns("__rank")


def _with_titles(items: pa.Table, repairs: list[Repair]) -> pa.Table:
    if not items.num_rows:
        return items
    titles, n = cleaned(items["title"].to_pylist(), items["item_id"].to_pylist())
    if n:
        repairs.append(Repair("titles were empty or not one plain line: put right", n))
    dated = "year" in items.column_names and not pa.types.is_nested(items["year"].type)
    years = items["year"].to_pylist() if dated else None
    names, n = distinct(titles, years)
    if n:
        examples = tuple(new for old, new in zip(titles, names, strict=True) if old != new)[:3]
        repairs.append(Repair("titles equal another item's: made distinct", n, examples))
    at = items.column_names.index("title")
    return items.set_column(at, pa.field("title", pa.string(), nullable=False), pa.array(names, pa.string()))
