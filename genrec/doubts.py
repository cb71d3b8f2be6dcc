"""What can be read and may still not be what was meant: `genrec data check` and `genrec data prepare` say the same."""

import pyarrow as pa
import pyarrow.compute as pc

from genrec.findings import Findings
from genrec.labelled import LabelledLog

_SHIPPED = ("impression", "click", "convert", "visit")
_CLICKS_NEED = {
    "impression": "log what was shown too: without impressions there is no `no` to learn from",
    "click": "log the clicks too, or map what you call them with `values: {event: {...: click}}`",
}


def judge(labelled: LabelledLog, findings: Findings) -> None:
    """Warn of what can be read and may still not be what was meant."""
    loaded = labelled.loaded
    events = loaded.tables.events
    rules = [task.label for task in labelled.tasks.values()]
    read_names = {*_SHIPPED, *(str(rule["event"]) for rule in rules if "event" in rule)}
    own = events.filter(pc.invert(pc.is_in(events["event"], value_set=pa.array(sorted(read_names)))))
    if own.num_rows:
        names = tuple(own["event"].unique().to_pylist()[:3])
        cure = "map them with `values: {event: {...}}`, or name them in a label"
        findings.warn("Events of a name that no task reads", cure=cure, count=own.num_rows, examples=names)
    _without(events, "click", "impression", findings)
    _without(events, "convert", "click", findings)
    if "click" not in loaded.reading.tasks:
        names = events["event"].unique().to_pylist()
        if lacks := next((name for name in _CLICKS_NEED if name not in names), None):
            findings.warn(f"No click task: the log has {', '.join(names)} only", cure=_CLICKS_NEED[lacks])
    for key, table in (("item_id", loaded.tables.items), ("user_id", loaded.tables.users)):
        known = events[key].combine_chunks().unique()
        cold = table[key].filter(pc.invert(pc.is_in(table[key], value_set=known)))
        if len(cold):
            what = f"{key.removesuffix('_id')}s without any event: scored, not refused"
            findings.warn(what.capitalize(), count=len(cold), examples=tuple(cold.slice(0, 3).to_pylist()))


def _without(events: pa.Table, step: str, before: str, findings: Findings) -> None:
    """Clicks on what was never shown, purchases of what was never clicked: no label comes of them."""
    pairs = pc.binary_join_element_wise(events["user_id"], pc.fill_null(events["item_id"], ""), "\x1f")
    earlier = pairs.filter(pc.equal(events["event"], before))
    if not len(earlier):
        return
    lone = pc.and_(
        pc.equal(events["event"], step), pc.invert(pc.is_in(pairs, value_set=earlier.combine_chunks()))
    )
    rows = events.filter(lone)
    if rows.num_rows:
        first = rows.slice(0, 3)
        ids = tuple(
            f"user {u} item {i}"
            for u, i in zip(first["user_id"].to_pylist(), first["item_id"].to_pylist(), strict=True)
        )
        cure = f"check that the log's {before}s are complete; such rows give no label"
        findings.warn(
            f"A {step} without any {before} of that user and item",
            cure=cure,
            count=rows.num_rows,
            examples=ids,
        )
