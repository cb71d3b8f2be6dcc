"""How a rating stands in for a funnel: rated = shown, 4 or more = clicked, 5 = converted, all at once."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from genrec.tables import EVENTS, TIMESTAMP

RATING_LABELS: Mapping[str, Mapping[str, Any]] = {
    "click": {"within": "0s"},
    "convert": {"within": "0s"},
    "next": {"event": "impression"},  # the next item rated
}
RATING_NOTE = (
    "Stand-in: the data has ratings, no impressions; an item that was rated counts as shown, "
    "a rating of 4 or more as a click, of 5 as a conversion, both known at once."
)


def funnel(user_id: pa.Array, item_id: pa.Array, ts: pa.Array, rating: pa.Array) -> pa.Table:
    """An impression for each rating (value = the rating), a click if it is >= 4, a convert if it is 5.

    user_id, item_id: string; ts: int64, microseconds UTC; rating: float64. Rows are not sorted.
    """
    shown = pa.table({"user_id": user_id, "item_id": item_id, "ts": ts, "value": rating})
    clicked = shown.filter(pc.greater_equal(shown["value"], 4.0))
    converted = shown.filter(pc.equal(shown["value"], 5.0))
    steps = [("impression", shown), ("click", clicked), ("convert", converted)]
    return pa.concat_tables([_events(step, rows) for step, rows in steps]).combine_chunks()


def _events(step: str, rows: pa.Table) -> pa.Table:
    columns = {
        "user_id": rows["user_id"],
        "item_id": rows["item_id"],
        "ts": rows["ts"].cast(TIMESTAMP),
        "event": pa.array([step] * rows.num_rows, pa.string()),
        "value": rows["value"] if step == "impression" else pa.nulls(rows.num_rows, pa.float64()),
    }
    nothing = {f.name: pa.nulls(rows.num_rows, f.type) for f in EVENTS if f.name not in columns}
    return pa.table({**columns, **nothing}, schema=EVENTS)
