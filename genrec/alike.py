"""What became of similar askings: a share shrunk level by level, from all earlier askings to the most similar ones."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from genrec.statistics.sums import Sums

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
    times, known = asked.ts.to_numpy(), asked.known_at.to_numpy()
    labels = asked.label.to_numpy(np.float64)
    until = times if freeze_at is None else np.minimum(times, freeze_at)
    share, above = np.full(len(asked), np.nan), np.zeros(len(asked))
    for depth, keys in enumerate(_levels(asked, visits)):
        alike = Sums(keys, known, keys, until)
        count, hits = alike.counts, alike.of(labels)
        if depth == 0:
            share, above = np.where(count >= FEWEST, (hits + 1) / (count + 2), np.nan), count
        else:
            share = np.where(count < above, (hits + PRIOR * share) / (count + PRIOR), share)
            above = np.minimum(count, above)
    return share


def _levels(asked: pd.DataFrame, visits: pd.DataFrame) -> Iterator[np.ndarray]:
    """(n,) which askings are alike, from all of them to the most similar ones."""
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
    keys = np.zeros(len(asked), np.int64)
    yield keys
    for name in ORDER:
        numbers, names = pd.factorize(columns[name])
        keys, _ = pd.factorize(keys * len(names) + numbers)
        yield keys


def _doublings(numbers: pd.Series) -> np.ndarray:
    steps: np.ndarray = np.floor(np.log2(np.nan_to_num(numbers.to_numpy(np.float64)) + 1)).astype(np.int64)
    return steps
