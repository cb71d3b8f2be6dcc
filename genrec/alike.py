"""What became of similar askings: a share shrunk level by level, from all earlier askings to the most similar ones."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

PRIOR = 20.0  # pseudo-askings of the level above behind each level's share
ORDER = ("horizon_days", "gap_days", "recent_sessions", "days_since_last", "own", "session_events")


def share_of_alike(asked: pd.DataFrame, visits: pd.DataFrame, freeze_at: int | None = None) -> np.ndarray:
    """(n,) the share of yes expected of each asking, from the labels known strictly before its ts.

    asked: label, known_at, ts, horizon_days, gap_days. visits: the same askings' VISIT_COLUMNS. freeze_at: labels known
    from then on are not learned from. Levels: ORDER, numbers in steps of doubling.
    """
    levels = _levels(asked, visits)
    times, known, labels = (asked[c].to_numpy() for c in ("ts", "known_at", "label"))
    matured = np.argsort(known, kind="stable")
    learned: dict[Hashable, list[float]] = defaultdict(lambda: [0.0, 0.0])
    shares, done = np.empty(len(asked)), 0
    for k in np.argsort(times, kind="stable"):
        until = times[k] if freeze_at is None else min(times[k], freeze_at)
        while done < len(matured) and known[matured[done]] < until:
            for level in levels[matured[done]]:
                learned[level][0] += 1
                learned[level][1] += labels[matured[done]]
            done += 1
        share = 0.5
        for level in levels[k]:
            count, hits = learned.get(level, (0.0, 0.0))
            prior = PRIOR if level else 2.0
            share = (hits + prior * share) / (count + prior)
        shares[k] = share
    return shares


def _levels(asked: pd.DataFrame, visits: pd.DataFrame) -> Sequence[list[tuple[int, ...]]]:
    """Per asking its keys, from () to the most similar."""
    chances = visits.return_chances.to_numpy()
    ratio = (visits.return_count.to_numpy() + 0.35) / (chances + 1)
    columns = {
        "horizon_days": _doublings(asked.horizon_days),
        "gap_days": _doublings(asked.gap_days),
        "recent_sessions": np.minimum(visits.recent_sessions.to_numpy(), 4).astype(np.int64),
        "days_since_last": _doublings(visits.days_since_last),
        "own": np.where(chances > 0, np.floor(4 * ratio), -1).astype(np.int64),
        "session_events": _doublings(visits.session_events) // 2,
    }
    rows = np.column_stack([columns[name] for name in ORDER]).tolist()
    return [[tuple(row[:depth]) for depth in range(len(ORDER) + 1)] for row in rows]


def _doublings(numbers: pd.Series) -> np.ndarray:
    steps: np.ndarray = np.floor(np.log2(np.nan_to_num(numbers.to_numpy(np.float64)) + 1)).astype(np.int64)
    return steps
