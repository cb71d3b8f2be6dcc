"""Visits: how often, how long and how lately a user came, at the moment when she is asked about."""

import numpy as np
import pandas as pd

from genrec.alike import share_of_alike
from genrec.durations import DAY
from genrec.labels import sessions
from genrec.statistics.sums import Sums, codes

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


def visits(frame: pd.DataFrame, asked: pd.DataFrame, gap: int) -> pd.DataFrame:
    """VISIT_COLUMNS for examples of one return task (asked: user_id, ts, label, known_at, horizon_days, gap_days): the
    user's own past, and, in return_share, what became of everyone's. Each user had an event before."""
    acts = frame[frame.user_id.isin(set(asked.user_id))]
    distinct = acts.drop_duplicates(["user_id", "ts", "item_id"])  # as sessions count events
    runs = sessions(acts, gap)
    of_acts, of_distinct, of_runs, users = codes(acts.user_id, distinct.user_id, runs.user_id, asked.user_id)
    ts, horizon = asked.ts.to_numpy(), asked.horizon_days.to_numpy() * DAY
    times, start = acts.ts.to_numpy(), runs.start.to_numpy()
    seen, begun = Sums(of_acts, times, users, ts), Sums(of_runs, start, users, ts)
    values = acts.value.to_numpy(np.float64)
    known_value = np.column_stack([np.nan_to_num(values), ~np.isnan(values)])
    total, count = seen.of(known_value).T
    number = begun.counts
    last_start = start[begun.latest()]
    between = np.zeros(len(runs))
    between[1:] = np.where(of_runs[1:] == of_runs[:-1], start[1:] - runs.end.to_numpy()[:-1], 0)
    moments = distinct.ts.to_numpy()
    in_session = (
        Sums(of_distinct, moments, users, ts).counts - Sums(of_distinct, moments, users, last_start).counts
    )
    own = pd.DataFrame(
        {
            "sessions": number.astype(np.float64),
            "recent_sessions": (number - Sums(of_runs, start, users, ts - horizon).counts).astype(np.float64),
            "session_events": in_session.astype(np.float64),
            "session_minutes": (times[seen.latest()] - last_start) / 60e6,
            "days_since_first": (ts - times[seen.earliest()]) / DAY,
            "days_since_last": (ts - times[seen.latest()]) / DAY,
            "gap_days_mean": np.where(
                number > 1, begun.of(between) / np.maximum(number - 1, 1) / DAY, np.nan
            ),
            "mean_value": np.where(count, total / np.maximum(count, 1), np.nan),
        },
        index=asked.index,
    )
    return told(asked, own)


def told(asked: pd.DataFrame, found: pd.DataFrame, freeze_at: int | None = None) -> pd.DataFrame:
    """found with what labels say: return_count, return_chances, return_share. freeze_at: labels known from then on say
    nothing."""
    times = asked.ts.to_numpy() if freeze_at is None else np.minimum(asked.ts.to_numpy(), freeze_at)
    (users,) = codes(asked.user_id)
    closed = Sums(users, asked.known_at.to_numpy(), users, times)
    labels = asked.label.to_numpy(np.float64)
    found = found.assign(return_count=closed.of(labels), return_chances=closed.counts.astype(np.float64))
    return found.assign(return_share=share_of_alike(asked, found, freeze_at))[list(VISIT_COLUMNS)]
