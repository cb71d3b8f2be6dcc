"""Visits: how often, how long and how lately a user came, at the moment when she is asked about."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from genrec.alike import share_of_alike
from genrec.durations import DAY
from genrec.labels import sessions

VISIT_COLUMNS = (
    "sessions",  # of the user so far, this one counted (for cut-offs: days with a purchase)
    "recent_sessions",  # of them, those that began within the last horizon
    "session_events",
    "session_minutes",
    "days_since_first",
    "days_since_last",
    "gap_days_mean",  # between her sessions; NaN with only one
    "return_count",  # of her earlier sessions whose horizon had closed, those she came back after
    "return_chances",
    "mean_value",
    "return_share",  # what became of similar askings (genrec.alike)
)


class _Past(NamedTuple):
    """One user's log as arrays: moments and values of events, sessions' starts and ends."""

    times: np.ndarray
    values: np.ndarray
    moments: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def visits(frame: pd.DataFrame, asked: pd.DataFrame, gap: int) -> pd.DataFrame:
    """VISIT_COLUMNS for examples of one return task (asked: user_id, ts, label, known_at, horizon_days, gap_days): the
    user's own past, and, in return_share, what became of everyone's."""
    acts = frame[frame.user_id.isin(set(asked.user_id))]
    events = _by_user(acts, "ts", "value")
    moments = _by_user(acts.drop_duplicates(["user_id", "ts", "item_id"]), "ts")
    runs = _by_user(sessions(acts, gap), "start", "end")
    past = {user: _Past(*events[user], *moments[user], *runs[user]) for user in events}
    rows = [
        _visit(past[user], ts, horizon * DAY)
        for user, ts, horizon in zip(asked.user_id, asked.ts, asked.horizon_days, strict=True)
    ]
    own = [name for name in VISIT_COLUMNS if not name.startswith("return_")]
    return told(asked, pd.DataFrame(rows, columns=own, index=asked.index))


def told(asked: pd.DataFrame, found: pd.DataFrame, freeze_at: int | None = None) -> pd.DataFrame:
    """found with what labels say: return_count, return_chances, return_share. freeze_at: labels known from then on say
    nothing."""
    times = asked.ts.to_numpy() if freeze_at is None else np.minimum(asked.ts.to_numpy(), freeze_at)
    labels = _by_user(asked, "known_at", "label")
    counts = [
        ((mine := labels[user])[1][before := mine[0] < ts].sum(), before.sum())
        for user, ts in zip(asked.user_id, times, strict=True)
    ]
    known = np.array(counts, np.float64).reshape(-1, 2)
    found = found.assign(return_count=known[:, 0], return_chances=known[:, 1])
    return found.assign(return_share=share_of_alike(asked, found, freeze_at))[list(VISIT_COLUMNS)]


def _by_user(frame: pd.DataFrame, *columns: str) -> dict[str, tuple[np.ndarray, ...]]:
    arrays = [frame[column].to_numpy() for column in columns]
    places = frame.groupby("user_id", sort=False).indices
    return {str(user): tuple(array[at] for array in arrays) for user, at in places.items()}


def _visit(past: _Past, ts: int, horizon: float) -> list[float]:
    """What was so strictly before ts; the user had an event before it."""
    seen = past.times[: np.searchsorted(past.times, ts)]
    values = past.values[: len(seen)]
    values = values[values == values]
    k = int(np.searchsorted(past.starts, ts))  # sessions that began before ts
    last_start = past.starts[k - 1]
    # As sessions do: an impression and the clicks at its own moment are one event.
    in_session = int(np.searchsorted(past.moments, ts) - np.searchsorted(past.moments, last_start))
    gaps = past.starts[1:k] - past.ends[: k - 1]
    return [
        float(k),
        float(k - np.searchsorted(past.starts, ts - horizon)),
        float(in_session),
        (seen[-1] - last_start) / 60e6,
        (ts - seen[0]) / DAY,
        (ts - seen[-1]) / DAY,
        float(gaps.mean() / DAY) if k > 1 else np.nan,
        float(values.mean()) if len(values) else np.nan,
    ]
