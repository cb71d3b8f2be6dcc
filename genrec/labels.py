"""Labels, derived from events and never given; each with the moment at which it has matured.

An impression's click label exists once its click window has closed, a conversion's once its attribution window has,
a return's once its horizon has. The same rows in any order give the same labels.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrec.attribution import attributed, credited, uncredited
from genrec.days import day_end, next_midnight
from genrec.durations import DAY, microseconds
from genrec.errors import UserError
from genrec.tasks import Task

# Every column.
ORDER = ["ts", "user_id", "item_id", "event", "event_id", "request_id", "position", "value", "weight"]
EXAMPLE_COLUMNS = [
    "task", "user_id", "item_id", "ts", "label", "known_at", "weight", "horizon_days", "gap_days", "hint", "impression",
]  # fmt: skip


def event_frame(events: pa.Table) -> pd.DataFrame:
    """events as a frame in canonical order: ts in int64 microseconds, ids "" where null."""
    frame = events.to_pandas()
    frame["ts"] = events["ts"].cast(pa.int64()).to_numpy()
    for name in ("item_id", "event_id", "request_id"):
        frame[name] = frame[name].fillna("").astype(object)
    frame["weight"] = frame["weight"].fillna(1.0)
    return frame.sort_values(ORDER, kind="stable", ignore_index=True)


def impressions(frame: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """One row an impression with its click and convert outcomes.

    Columns: user_id, item_id, ts, asked (when its question is asked: at its request's first impression, so that those
    of one request do not see each other), value, weight, click, click_known_at, convert (of clicked ones; 0 elsewhere),
    convert_ts (first attributed conversion, -1 if none), convert_known_at (without a click: when that of a click at the
    last moment would have been).
    """
    shown = frame[frame.event == "impression"].reset_index(drop=True)
    first = shown.groupby(["user_id", "request_id"], sort=False).ts.transform("min")
    shown["asked"] = np.where(shown.request_id == "", shown.ts, first)
    shown["position_in_log"] = np.arange(len(shown))
    click_rule = followed(tasks, "click")
    within = microseconds(click_rule["within"], "task click, label.within")
    clicks = attributed(frame, click_rule["event"], shown, "ts", within)
    shown["click_ts"] = clicks
    shown["click"] = (clicks >= 0).astype(int)
    shown["click_known_at"] = shown.ts + within
    rule = followed(tasks, "convert")
    window = microseconds(rule["within"], "task convert, label.within")
    clicked = shown[shown.click == 1]
    converts = attributed(frame, rule["event"], clicked, "click_ts", window)
    shown["convert_ts"] = -1
    shown.loc[clicked.index, "convert_ts"] = converts
    shown["convert"] = (shown.convert_ts >= 0).astype(int)
    shown["convert_known_at"] = np.where(shown.click == 1, clicks, shown.click_known_at) + window
    return shown


def followed(tasks: Mapping[str, Task], name: str) -> Mapping[str, Any]:
    """The label rule of that task; where it is none of an event within a window, that event at the same moment."""
    label = tasks[name].label if name in tasks else {}
    return label if {"event", "within"} <= set(label) else {"event": name, "within": "0s"}


def known_together(shown: pd.DataFrame) -> pd.Series:
    """Where the convert outcome had matured by the time the click outcome did."""
    return shown.convert_known_at <= shown.click_known_at


def uncredited_events(
    frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task]
) -> dict[str, pd.DataFrame]:
    """By task, click and convert, the rows of frame that are an event of its label and have nothing within their window
    to be credited to."""
    lost = {}
    for name, targets, at in (("click", shown, "ts"), ("convert", shown[shown.click == 1], "click_ts")):
        rule = followed(tasks, name)
        within = microseconds(rule["within"], f"task {name}, label.within")
        lost[name] = uncredited(frame, rule["event"], targets, at, within)
    return lost


def touch_events(frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The rows of frame by which a user touches an item although no impression's line says so.

    Where there is a click task these are clicks and conversions that no impression can be credited with, conversions
    without an item, and events of the user's own that an item task reads. Elsewhere every event with an item is one,
    and so is a conversion without.
    """
    has_item = frame.item_id != ""
    converted = frame.event == followed(tasks, "convert")["event"]
    if "click" not in tasks or shown.empty:
        return frame[(has_item & (frame.event != "impression")) | converted]
    lost = pd.concat(uncredited_events(frame, shown, tasks).values())
    labelled = {followed(tasks, name)["event"] for name in ("click", "convert")} | {"impression"}
    own = {t.label.get("event", "click") for t in tasks.values() if t.kind == "item"} - labelled
    touched = frame.index.isin(lost.index) | frame.event.isin(own)
    return frame[touched & (has_item | converted)]


def further_conversions(frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The conversions credited to a click that has an earlier one: rows of frame, with `target`, their impression's row
    in shown. A click has one conversion label, by its first."""
    rule = followed(tasks, "convert")
    clicked = shown[shown.click == 1]
    within = microseconds(rule["within"], "task convert, label.within")
    credited_ = credited(frame, rule["event"], clicked, "click_ts", within)
    later = credited_[credited_.sort_values(["event_ts", "place"]).duplicated("row").reindex(credited_.index)]
    targets = clicked.index.to_numpy()[later.row.to_numpy(np.int64)]
    return frame.loc[later.place.to_numpy(np.int64)].assign(target=targets)


def unlisted(shown: pd.DataFrame, tasks: Mapping[str, Task]) -> dict[str, int]:
    """By task whose answer is the impression's own value, how many impressions have one that it does not list."""
    return {
        task.name: int((~shown.value.isin([float(v) for v in task.label["values"]])).sum())
        for task in tasks.values()
        if task.label["rule"] == "value"
    }


def examples(
    frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task], time_zone: str = "UTC"
) -> pd.DataFrame:
    """Every task's labelled questions, EXAMPLE_COLUMNS, in canonical order; splits come later.

    time_zone: an IANA name, where the days of cut-offs end and those of `later_day` begin.
    """
    parts = []
    for task in tasks.values():
        rule = task.label["rule"]
        if rule == "follows":
            parts.append(_follows(task, frame, shown, tasks))
        elif rule == "value":
            parts.append(_value(task, shown))
        elif rule == "next_item":
            parts.append(_next_item(task, frame, shown, touch_events(frame, shown, tasks)))
        elif rule == "returns":
            derived = _cutoffs if "cutoffs" in task.label else _returns
            parts.append(derived(task, frame, time_zone))
    if not parts:
        raise UserError(
            "No task derives a label", where=", ".join(tasks), cure="add a task whose label.rule is not none"
        )
    whole = pd.concat([_complete(p) for p in parts], ignore_index=True)
    return whole.sort_values(
        ["task", "ts", "user_id", "item_id", "impression"], kind="stable", ignore_index=True
    )


def _complete(part: pd.DataFrame) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "item_id": "", "weight": 1.0, "horizon_days": np.nan, "gap_days": np.nan, "hint": "", "impression": -1,
    }  # fmt: skip
    whole = part.assign(**{k: v for k, v in defaults.items() if k not in part})[EXAMPLE_COLUMNS]
    # Without rows pandas would guess at types, and concat would follow its guess.
    text, whole_numbers = ("task", "user_id", "item_id", "hint"), ("ts", "label", "known_at", "impression")
    types = {**dict.fromkeys(text, object), **dict.fromkeys(whole_numbers, np.int64)}
    return whole.astype({c: types.get(c, np.float64) for c in EXAMPLE_COLUMNS})


def _follows(task: Task, frame: pd.DataFrame, shown: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Asked of each impression; of a task that continues another, where that one's answer was yes, and counted from the
    event that made it so."""
    rows, at = shown, "ts"
    if task.given is not None:
        before = tasks[task.given]
        within = microseconds(before.label["within"], f"task {before.name}, label.within")
        rows = shown.assign(before=attributed(frame, before.label["event"], shown, "ts", within))
        rows, at = rows[rows.before >= 0], "before"
    within = microseconds(task.label["within"], f"task {task.name}, label.within")
    happened = attributed(frame, task.label["event"], rows, at, within)
    return pd.DataFrame(
        {
            "task": task.name, "user_id": rows.user_id, "item_id": rows.item_id, "ts": rows.asked,
            "label": (happened >= 0).astype(int), "known_at": rows[at] + within, "weight": rows.weight,
            "impression": rows.position_in_log,
        }
    )  # fmt: skip


def _value(task: Task, shown: pd.DataFrame) -> pd.DataFrame:
    """An answer read off the impression's own value, such as the rating itself; binary labels are 1 for the first."""
    values = [float(v) for v in task.label.get("values", ())]
    if len(values) != len(task.answers):
        raise UserError(
            f"Task {task.name!r} has {len(task.answers)} answers and {len(values)} label values",
            cure="list label.values in the order of the answers",
        )
    rows = shown[shown.value.isin(values)]
    return pd.DataFrame(
        {
            "task": task.name, "user_id": rows.user_id, "item_id": rows.item_id, "ts": rows.asked,
            "label": rows.value.map(lambda v: task.answer_index(values.index(v))), "known_at": rows.click_known_at,
            "weight": rows.weight, "impression": rows.position_in_log,
        }
    )  # fmt: skip


def _next_item(task: Task, frame: pd.DataFrame, shown: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The item of each touch, asked just before it. An item touched before is no new target: seen items are masked.

    others: further touches (touch_events), which are no targets. A conversion is asked for whatever was touched.
    """
    event = task.label.get("event", "click")
    touched = shown if event == "impression" else frame[(frame.event == event) & (frame.item_id != "")]
    touched = touched[~touched.duplicated(["user_id", "item_id"])]
    if event != "convert":
        first = others.groupby(["user_id", "item_id"]).ts.min()
        before = pd.MultiIndex.from_frame(touched[["user_id", "item_id"]]).map(first).to_numpy(np.float64)
        asked_at = touched.asked if event == "impression" else touched.ts
        touched = touched[~(before < asked_at.to_numpy())]
    return pd.DataFrame(
        {
            "task": task.name, "user_id": touched.user_id, "item_id": touched.item_id,
            "ts": touched.asked if event == "impression" else touched.ts, "label": -1,
            "known_at": touched.ts, "weight": touched.weight,
            "impression": touched.position_in_log if event == "impression" else -1,
        }
    )  # fmt: skip


def sessions(frame: pd.DataFrame, gap: int) -> pd.DataFrame:
    """Runs of a user's events less than `gap` microseconds apart, so that one is over `gap` after its last: user_id,
    start, end, events, next_start (-1: none seen). An impression and the clicks at its own moment are one event."""
    moments = frame.drop_duplicates(["user_id", "ts", "item_id"])[["user_id", "ts"]]
    moments = moments.sort_values(["user_id", "ts"], kind="stable", ignore_index=True)
    new = (moments.user_id != moments.user_id.shift()) | (moments.ts - moments.ts.shift() >= gap)
    grouped = moments.groupby(new.cumsum(), sort=False)
    found = pd.DataFrame(
        {
            "user_id": grouped.user_id.first(),
            "start": grouped.ts.min(),
            "end": grouped.ts.max(),
            "events": grouped.size(),
        }
    ).reset_index(drop=True)
    same = found.user_id == found.user_id.shift(-1)
    found["next_start"] = np.where(same, found.start.shift(-1), -1).astype(np.int64)
    return found


def _returns(task: Task, frame: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Asked once a session is known to be over; yes = an event within the horizon of its last one, on a later day there
    if the rule says so. Known when the horizon closes, also where the user came back early."""
    gap = microseconds(task.label["session_gap"], f"task {task.name}, label.session_gap")
    horizon = microseconds(task.label["horizon"], f"task {task.name}, label.horizon")
    if horizon <= gap:
        raise UserError(
            "The horizon is over before the question is asked, a session gap after the session's last event",
            where=f"task {task.name}, label.horizon",
            cure=f"make it longer than label.session_gap, {task.label['session_gap']}",
        )
    if task.label.get("event", "any") != "any":
        frame = frame[frame.event == task.label["event"]]
    found = sessions(frame, gap)
    later = _first_later(found, frame, time_zone) if task.label.get("later_day") else found.next_start
    label = (later >= 0) & (later - found.end <= horizon)
    return pd.DataFrame(
        {
            "task": task.name, "user_id": found.user_id, "ts": found.end + gap, "label": label.astype(int),
            "known_at": found.end + horizon, "horizon_days": horizon / DAY,
        }
    )  # fmt: skip


def _first_later(found: pd.DataFrame, frame: pd.DataFrame, time_zone: str) -> pd.Series:
    """Per session the user's first event on a later day than its last one, else -1."""
    times = {user: np.unique(part.to_numpy()) for user, part in frame.groupby("user_id").ts}
    out = []
    for user, midnight in zip(found.user_id, next_midnight(found.end.to_numpy(), time_zone), strict=True):
        of_user = times[user]
        k = np.searchsorted(of_user, midnight)
        out.append(of_user[k] if k < len(of_user) else -1)
    return pd.Series(out, index=found.index, dtype=np.int64)


def _cutoffs(task: Task, frame: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Rolling cut-offs: every user seen before one is asked there whether they act in [gap, gap + horizon) after it."""
    acts = frame if task.label.get("event", "any") == "any" else frame[frame.event == task.label["event"]]
    share = acts.user_id.map({u: hash_share(u) for u in acts.user_id.unique()})
    parts = []
    for number, cutoff in enumerate(task.label["cutoffs"]):
        at = day_end(cutoff["at"], f"task {task.name}, label.cutoffs[{number}].at", time_zone)
        gap = microseconds(cutoff.get("gap", "0s"), f"task {task.name}, label.cutoffs[{number}].gap")
        horizon = microseconds(cutoff["horizon"], f"task {task.name}, label.cutoffs[{number}].horizon")
        low, high = cutoff.get("users", (0.0, 1.0))
        mine = acts[(share >= low) & (share < high)]
        users = np.sort(mine.loc[mine.ts < at, "user_id"].unique())
        active = mine.loc[(mine.ts >= at + gap) & (mine.ts < at + gap + horizon), "user_id"].unique()
        parts.append(
            pd.DataFrame(
                {
                    "task": task.name, "user_id": users, "ts": at, "label": np.isin(users, active).astype(int),
                    "known_at": at + gap + horizon, "horizon_days": horizon / DAY, "gap_days": gap / DAY,
                    "hint": cutoff["split"],
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def horizon_of(task: Task) -> tuple[float, float]:
    """(horizon, gap) in days of a returns task, of its latest cut-off where it has some; gap NaN where it has none."""
    where = f"task {task.name}, label"
    if "cutoffs" not in task.label:
        return microseconds(task.label["horizon"], f"{where}.horizon") / DAY, np.nan
    latest = max(task.label["cutoffs"], key=lambda cutoff: day_end(cutoff["at"], f"{where}.cutoffs"))
    days, gap = (
        microseconds(latest.get(name, "0s"), f"{where}.cutoffs") / DAY for name in ("horizon", "gap")
    )
    return days, gap


def hash_share(user_id: str) -> float:
    """A stable number in [0, 1) for a user, so that a share of users is the same share everywhere."""
    return zlib.crc32(user_id.encode()) % 1000 / 1000
