"""What became of similar askings: a share shrunk level by level, from all earlier askings to the most similar ones."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

PRIOR = 20.0  # pseudo-askings of the level above behind each level's share
FEWEST = 20  # askings whose outcome is known, below which nothing is said
# Recency as a share of her age, as BG/NBD reads it (Fader, Hardie and Lee 2005); horizons last, so that one nobody was
# asked about before still finds those who came as often and as lately.
ORDER = ("recent_sessions", "recency", "own", "session_events", "horizon_days", "gap_days")


def share_of_alike(asked: pd.DataFrame, visits: pd.DataFrame, freeze_at: int | None = None) -> np.ndarray:
    """(n,) the share of yes expected of each asking, from the labels known strictly before its ts; NaN where those are
    fewer than FEWEST.

    asked: label, known_at, ts, horizon_days, gap_days. visits: the same askings' VISIT_COLUMNS. freeze_at: labels known
    from then on are not learned from. Levels: ORDER; one that holds the same askings as that above it adds nothing.
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
        above, hits = learned[()]
        share = (hits + 1) / (above + 2) if above >= FEWEST else np.nan
        for level in levels[k][1:]:
            count, hits = learned.get(level, (0.0, 0.0))
            if count < above:
                share, above = (hits + PRIOR * share) / (count + PRIOR), count
        shares[k] = share
    return shares


def _levels(asked: pd.DataFrame, visits: pd.DataFrame) -> Sequence[list[tuple[int, ...]]]:
    """Per asking its keys, from () to the most similar."""
    chances = visits.return_chances.to_numpy()
    ratio = (visits.return_count.to_numpy() + 0.35) / (chances + 1)
    age = np.maximum(visits.days_since_first.to_numpy(), 1e-9)
    columns = {
        "horizon_days": _doublings(asked.horizon_days),
        "gap_days": _doublings(asked.gap_days),
        "recent_sessions": np.minimum(visits.recent_sessions.to_numpy(), 4).astype(np.int64),
        "recency": np.floor(8 * np.clip(visits.days_since_last.to_numpy() / age, 0, 1)).astype(np.int64),
        "own": np.where(chances > 0, np.floor(4 * ratio), -1).astype(np.int64),
        "session_events": _doublings(visits.session_events) // 2,
    }
    rows = np.column_stack([columns[name] for name in ORDER]).tolist()
    return [[tuple(row[:depth]) for depth in range(len(ORDER) + 1)] for row in rows]


def _doublings(numbers: pd.Series) -> np.ndarray:
    steps: np.ndarray = np.floor(np.log2(np.nan_to_num(numbers.to_numpy(np.float64)) + 1)).astype(np.int64)
    return steps
