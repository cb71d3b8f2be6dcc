"""Small logs for tests: events written as short rows, and hypothesis strategies full of ties and boundaries."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from genrec import dataset, labels, lines
from genrec.reading import Loaded, Reading
from genrec.statistics import COLUMNS
from genrec.statistics.replay import replay
from genrec.tables import EVENTS, Tables
from genrec.tasks import Task

MINUTE, DAY = 60_000_000, 86_400_000_000
START = 19_000 * DAY  # a midnight
NEVER = 2**62
Row = dict[str, Any]

CLICK = Task(
    "click", "binary", answers=(" yes", " no"), label={"rule": "follows", "event": "click", "within": "10m"}
)
CONVERT = Task(
    "convert", "binary", answers=(" yes", " no"), given="click",
    label={"rule": "follows", "event": "convert", "within": "20m"},
)  # fmt: skip
RETURN = Task(
    "return", "binary", answers=(" yes", " no"),
    label={"rule": "returns", "event": "any", "session_gap": "15m", "horizon": "60m"},
)  # fmt: skip
NEXT = Task("next", "item", label={"rule": "next_item", "event": "click"})
STARS = Task("stars", "choice", answers=("1", "2", "3"), label={"rule": "value", "values": [1, 2, 3]})
TASKS = {t.name: t for t in (CLICK, CONVERT, RETURN, NEXT, STARS)}
CATEGORIES = {"a": ("x",), "b": ("x", "y"), "c": ("y",)}


def row(user: str, item: str | None, minute: float, event: str, **more: Any) -> Row:
    return {"user_id": user, "item_id": item, "ts": START + round(minute * MINUTE), "event": event, **more}


def table(rows: Sequence[Row]) -> pa.Table:
    """The events table of rows made by `row`."""
    columns = {name: [r.get(name) for r in rows] for name in EVENTS.names}
    ts = pa.array(columns.pop("ts"), pa.int64()).cast(EVENTS.field("ts").type)
    return pa.table(
        {f.name: ts if f.name == "ts" else pa.array(columns[f.name], f.type) for f in EVENTS}, schema=EVENTS
    )


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    return labels.event_frame(table(rows))


def shown(rows: Sequence[Row], tasks: dict[str, Task] = TASKS) -> pd.DataFrame:
    return labels.impressions(frame(rows), tasks)


def examples(rows: Sequence[Row], *tasks: Task) -> pd.DataFrame:
    """The examples of these tasks, their times in minutes from the log's start."""
    named = {t.name: t for t in tasks}
    found = labels.examples(frame(rows), shown(rows, named), named)
    return found.assign(minute=(found.ts - START) / MINUTE, known=(found.known_at - START) / MINUTE)


def tables(rows: Sequence[Row]) -> Tables:
    items = pa.table(
        {"item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "category": [["x"], ["x", "y"], ["y"]]}
    )
    users = pa.table({"user_id": pa.array(sorted({r["user_id"] for r in rows}), pa.string())})
    return Tables(table(rows), items, users)


def prepared(rows: Sequence[Row], tasks: dict[str, Task] = TASKS, **split: Any) -> dataset.Prepared:
    reading = Reading("small", "goods-en", tuple(tasks), split=split or {"by": "time"})
    return dataset.prepare(Loaded(tables(rows), reading, []), tasks)


def derived(
    rows: Sequence[Row], freeze_at: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """examples (with `point`, running and frozen statistics, and the `row` number of the event behind each), lines,
    impressions: everything but the split, which looks at the whole log."""
    log = frame([{**r, "event_id": r.get("event_id") or f"e{k}"} for k, r in enumerate(rows)])
    seen = labels.impressions(log, TASKS)
    history = lines.lines(log, seen, TASKS)
    found = labels.examples(log, seen, TASKS)
    found["point"] = lines.points(found, history)
    by_impression, _ = replay(seen, CATEGORIES, freeze_at, NEVER)
    stats = dataset._example_stats(by_impression, found, log, TASKS, freeze_at)
    dataset._add_candidates(stats, NEXT, found, history, freeze_at, NEVER)
    parts = [of_regime.add_prefix(f"{regime}_") for regime, of_regime in stats.items()]
    ids = [*seen.event_id, ""]  # the last one stands for -1, no impression
    found["event_id"] = [ids[k] for k in found.impression]
    history["event_id"] = [ids[k] for k in history.impression]
    for column, values in zip(COLUMNS, by_impression["running"].T, strict=True):
        seen[column] = values
    return pd.concat([found, *parts], axis=1), history, seen, log


@st.composite
def logs(draw: st.DrawFn, low: int = 0, high: int = 120, max_size: int = 24, users: str = "uvw") -> list[Row]:
    """Events on a five-minute grid in [low, high), where windows of 10, 15, 20 and 60 minutes close on it too."""
    event = st.sampled_from(["impression", "impression", "click", "convert", "visit"])
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(users), st.sampled_from("abc"), st.integers(low // 5, (high - 1) // 5), event,
                st.sampled_from([None, 1.0, 2.0, 3.0, 5.0]), st.sampled_from([None, None, "r1", "r2"]),
                st.sampled_from([None, 0, 1]), st.sampled_from([None, None, 4.0]),
            ),
            max_size=max_size,
        )
    )  # fmt: skip
    return [
        row(
            u,
            None if e == "visit" else i,
            5 * k,
            e,
            value=v,
            request_id=r if e == "impression" else None,
            position=p,
            weight=w if e == "impression" else None,
        )
        for u, i, k, e, v, r, p, w in rows
    ]
