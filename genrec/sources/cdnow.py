"""CDNOW: 69,659 purchases of 23,570 customers of a music shop, 1997-01 to 1998-06; who comes back?"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from genrec.reading import Loaded, Reading
from genrec.repair import repair
from genrec.sources.wheels import fetch
from genrec.tables import EVENTS, ITEMS, TIMESTAMP, Tables

_TEST_AT = date(1997, 9, 30)  # the published split: history to the end of this day ...
_TEST_GAP, _TEST_HORIZON = 92, 181  # ... and a purchase in [1998-01-01, 1998-07-01)
_VALID_USERS = [0.0, 0.2]  # a fixed share of customers, by the hash of their id; the others train
_TRAIN_USERS = [0.2, 1.0]
# From the first month's end at which every customer had bought (the last first purchase: 1997-03-25).
_TRAIN_AT = (date(1997, 3, 31), date(1997, 4, 30), date(1997, 5, 31), date(1997, 6, 30))
_GAPS = (0, 61, 91)  # days
# Three questions about the latest window that has closed by the test, asked from further and further away.
_VALID_GAPS = {date(1997, 6, 30): 0, date(1997, 4, 30): 61, date(1997, 3, 31): 91}


def load(path: Path | None = None) -> Loaded:
    """Events: convert, value = dollars, no item; ts = the day at 00:00 UTC, as the file knows days only.

    Equal purchases of one day are purchases (255 rows repeat another), so each row has its own event_id.
    path is not used: the data is fetched. The items table is empty.
    """
    digest = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
    file = fetch("Lifetimes", "0.11.3", "lifetimes/datasets/CDNOW_master.txt", digest)
    rows = [line.split() for line in file.read_text("ascii").splitlines()[1:] if line.strip()]
    days = [datetime.strptime(row[1], "%Y%m%d").replace(tzinfo=UTC) for row in rows]
    columns = {
        "user_id": pa.array([row[0] for row in rows], pa.string()),
        "ts": pa.array(days, TIMESTAMP),
        "event": pa.array(["convert"] * len(rows), pa.string()),
        "value": pa.array([float(row[3]) for row in rows], pa.float64()),
        "event_id": pa.array([str(n) for n in range(1, len(rows) + 1)], pa.string()),
    }
    nothing = {f.name: pa.nulls(len(rows), f.type) for f in EVENTS if f.name not in columns}
    users = pa.table({"user_id": columns["user_id"].unique()})
    tables = Tables(pa.table({**columns, **nothing}, schema=EVENTS), ITEMS.empty_table(), users)
    tables, repairs = repair(tables)
    cutoffs = [*_rolling(), _cutoff(_TEST_AT, _TEST_GAP, _TEST_HORIZON, "test")]
    reading = Reading(
        "cdnow",
        "goods-en",
        tasks=("return",),
        labels={"return": {"event": "convert", "cutoffs": cutoffs}},
        split={"by": "given"},
        note="Purchases only, no items: the question is whether a customer buys again in a named window.",
    )
    return Loaded(tables, reading, [str(r) for r in repairs])


def _rolling() -> Iterator[dict[str, Any]]:
    """Cut-offs whose windows have closed by the test's own: what a model may learn from at that date."""
    for at in _TRAIN_AT:
        left = (_TEST_AT - at).days
        for gap in (g for g in _GAPS if g < left - 30):
            for horizon in sorted({min(61, left - gap), left - gap}):
                yield {**_cutoff(at, gap, horizon, "train"), "users": _TRAIN_USERS}
    for at, gap in _VALID_GAPS.items():
        yield {**_cutoff(at, gap, (_TEST_AT - at).days - gap, "valid"), "users": _VALID_USERS}


def _cutoff(at: date, gap: int, horizon: int, split: str) -> dict[str, Any]:
    """History to the end of the day `at`; the label looks at [end + gap, end + gap + horizon)."""
    return {"at": at.isoformat(), "gap": f"{gap}d", "horizon": f"{horizon}d", "split": split}
