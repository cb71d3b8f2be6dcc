"""Statistics at the time of each example: the log replayed in order, every question answered from what had matured."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from genrec.durations import DAY
from genrec.labels import known_together, sessions
from genrec.statistics import COLUMNS, Outcome, Statistics

VISIT_COLUMNS = (
    "sessions",  # of the user so far, this one counted (for cut-offs: days with a purchase)
    "session_events",
    "session_minutes",
    "days_since_first",
    "days_since_last",
    "gap_days_mean",  # between her sessions; NaN with only one
    "return_count",  # of her earlier sessions whose horizon had closed, those she came back after
    "return_chances",
    "mean_value",
)
Fact = tuple[int, str, Outcome]  # known_at, "outcome" | "convert", what


def facts(shown: pd.DataFrame) -> Iterator[Fact]:
    """Outcomes in the order in which they matured; a late conversion is a fact of its own."""
    inline = known_together(shown)
    rows = []
    for k, (user, item, click, known, convert, is_inline, bought) in enumerate(
        zip(
            shown.user_id, shown.item_id, shown.click, shown.click_known_at, shown.convert, inline, shown.convert_ts,
            strict=True,
        )
    ):  # fmt: skip
        rows.append((known, 0, k, Outcome(user, item, click, convert if is_inline else None)))
        if convert and not is_inline:
            rows.append((max(bought, known), 1, k, Outcome(user, item, click, convert)))
    rows.sort(key=lambda r: r[:3])
    for known, late, _, outcome in rows:
        yield known, "convert" if late else "outcome", outcome


def learn(statistics: Statistics, batch: Sequence[Fact]) -> None:
    """Facts of one moment."""
    statistics.observe([what for _, kind, what in batch if kind == "outcome"])
    for _, kind, what in batch:
        if kind == "convert":
            statistics.observe_convert(what.user_id, what.item_id)


def replay(
    shown: pd.DataFrame, categories: Mapping[str, Sequence[str]], freeze_at: int
) -> tuple[dict[str, np.ndarray], Statistics]:
    """{"running", "frozen"}: (impressions, COLUMNS) read strictly before each one's question, and the final state.

    Frozen statistics hold the facts matured before freeze_at, for every impression from then on.
    """
    running = np.empty((len(shown), len(COLUMNS)))
    frozen = np.empty_like(running)
    statistics, at_freeze = Statistics(categories), None
    log = list(facts(shown))
    times, users, items = shown.asked.to_numpy(), shown.user_id.to_numpy(), shown.item_id.to_numpy()
    done = 0
    for k in tqdm(
        np.argsort(times, kind="stable"), desc="statistics", unit="impression", leave=False, mininterval=0.5
    ):
        if at_freeze is None and times[k] >= freeze_at:
            done = _learn_until(statistics, log, done, freeze_at)
            at_freeze = copy.deepcopy(statistics)
        done = _learn_until(statistics, log, done, times[k])
        running[k] = statistics.read(users[k], items[k])
        frozen[k] = running[k] if at_freeze is None else at_freeze.read(users[k], items[k])
    _learn_until(statistics, log, done, np.iinfo(np.int64).max)
    return {"running": running, "frozen": frozen}, statistics


def _learn_until(statistics: Statistics, log: list[Fact], done: int, ts: int) -> int:
    """Feed the facts with known_at < ts, those of one moment together; returns how many have been fed in all."""
    while done < len(log) and log[done][0] < ts:
        end = done
        while end < len(log) and log[end][0] == log[done][0]:
            end += 1
        learn(statistics, log[done:end])
        done = end
    return done


class _Past(NamedTuple):
    """One user's log as arrays: moments and values of events, sessions' starts and ends, and the questions asked."""

    times: np.ndarray
    values: np.ndarray
    moments: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    known_at: np.ndarray
    labels: np.ndarray


def visits(frame: pd.DataFrame, asked: pd.DataFrame, gap: int) -> pd.DataFrame:
    """VISIT_COLUMNS for examples of one return task (asked: user_id, ts, label, known_at): the user's own past only."""
    acts = frame[frame.user_id.isin(set(asked.user_id))]
    events = _by_user(acts, "ts", "value")
    moments = _by_user(acts.drop_duplicates(["user_id", "ts", "item_id"]), "ts")
    runs = _by_user(sessions(acts, gap), "start", "end")
    questions = _by_user(asked, "known_at", "label")
    past = {user: _Past(*events[user], *moments[user], *runs[user], *questions[user]) for user in events}
    rows = [_visit(past[user], ts) for user, ts in zip(asked.user_id, asked.ts, strict=True)]
    return pd.DataFrame(rows, columns=list(VISIT_COLUMNS), index=asked.index)


def _by_user(frame: pd.DataFrame, *columns: str) -> dict[str, tuple[np.ndarray, ...]]:
    arrays = [frame[column].to_numpy() for column in columns]
    places = frame.groupby("user_id", sort=False).indices
    return {str(user): tuple(array[at] for array in arrays) for user, at in places.items()}


def _visit(past: _Past, ts: int) -> list[float]:
    """What was so strictly before ts; the user had an event before it."""
    seen = past.times[: np.searchsorted(past.times, ts)]
    values = past.values[: len(seen)]
    values = values[values == values]
    k = int(np.searchsorted(past.starts, ts))  # sessions that began before ts
    last_start = past.starts[k - 1]
    # As sessions do: an impression and the clicks at its own moment are one event.
    in_session = int(np.searchsorted(past.moments, ts) - np.searchsorted(past.moments, last_start))
    known = past.known_at < ts
    gaps = past.starts[1:k] - past.ends[: k - 1]
    return [
        float(k),
        float(in_session),
        (seen[-1] - last_start) / 60e6,
        (ts - seen[0]) / DAY,
        (ts - seen[-1]) / DAY,
        float(gaps.mean() / DAY) if k > 1 else np.nan,
        float(past.labels[known].sum()),
        float(known.sum()),
        float(values.mean()) if len(values) else np.nan,
    ]
