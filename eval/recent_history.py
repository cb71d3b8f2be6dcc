"""A user's recent history as columns: what tabular models read of the lines that a prompt's window holds.

A prompt shows the language model the user's latest history lines. These columns summarize the same lines, so that a
tabular baseline has the same information in each regime, also where the statistics stopped at the end of training.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genrec.dataset import Prepared
from genrec.durations import DAY
from genrec.lines import log_kind

RECENT_LINES = (
    35  # without an adapter: what a full window of 512 tokens, the default, holds of MovieLens-100K
)
PRIOR = 5.0  # pseudo-lines with a residual of 0 behind every mean residual, as in genrec.statistics
HISTORY_AMOUNTS = (
    "history_count",
    "history_same_item",
    "days_since_line",
    "history_gap_days",
    "history_last_gap_days",
    "history_days",
)  # columns that count lines or days
CHUNK = 20_000  # examples whose lines are gathered at a time

Floats = NDArray[np.float64]
Vectors = dict[
    str, Floats
]  # by name: (items, width), rows of length 1 or 0; their products say how alike two items are


class RecentHistory:
    """Summarizes the last `length` lines that had become known before an example: those below its `point`.

    A residual is an outcome minus the share that the line states of its item, in the regime's statistics.
    """

    def __init__(
        self, data: Prepared, regime: str, items: Sequence[str], vectors: Vectors, length: int = RECENT_LINES
    ) -> None:
        """items: ids, in the order of the rows of each of the vectors."""
        self.length = length
        lines = data.lines_in(regime)
        self.place = {item: number for number, item in enumerate(items)}
        self.vectors = vectors
        users = lines.groupby("user_id", sort=False).indices
        self.first = {str(user): int(rows.min()) for user, rows in users.items()}
        impression = (lines.kind == "impression").to_numpy()
        self.item = _places(lines.item_id, self.place)
        self.ts = lines.ts.to_numpy(np.float64)
        self.click = np.where(impression, lines.click.to_numpy(np.float64), np.nan)
        self.residual = self.click - lines.item_share.to_numpy(np.float64)
        self.match_residual = self.click - lines.match_share.to_numpy(np.float64)
        self.convert = (lines.convert == 1).to_numpy(np.float64)
        converted = np.where(impression & (lines.convert >= 0) & (lines.click == 1), lines.convert, np.nan)
        self.convert_residual = converted - lines.match_convert_share.to_numpy(np.float64)
        # The text of a line states its value only in a log whose lines have no answers.
        stated = log_kind(lines, data.tasks) != "shown"
        self.value = lines["value"].to_numpy(np.float64) if stated else np.full(len(lines), np.nan)

    def of(self, examples: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) float64, indexed as examples (user_id, item_id, ts, point); NaN where there is no such line."""
        first = examples.user_id.map(self.first).fillna(0).to_numpy(np.int64)
        point = examples.point.to_numpy(np.int64)
        item = _places(examples.item_id, self.place)
        ts = examples.ts.to_numpy(np.float64)
        chunks = [
            self._chunk(first[part], point[part], item[part], ts[part])
            for part in np.split(np.arange(len(examples)), range(CHUNK, len(examples), CHUNK))
        ]
        whole: pd.DataFrame = pd.concat(chunks, ignore_index=True).set_axis(examples.index)
        return whole

    def _chunk(
        self, first: NDArray[np.int64], point: NDArray[np.int64], item: NDArray[np.int64], ts: Floats
    ) -> pd.DataFrame:
        """All arguments (n,): the row of the user's first line, and the example's own point, item and time."""
        # (n, length) numbers of the user's lines, latest first
        at = point[:, None] - 1 - np.arange(self.length)
        known = at >= 0
        rows = np.where(known, first[:, None] + at, 0)

        def lines(column: Floats) -> Floats:
            """(n, length) a column of these lines; NaN where the user has fewer."""
            return np.where(known, column[rows], np.nan) if len(column) else np.full(known.shape, np.nan)

        click, residual = lines(self.click), lines(self.residual)
        times = -np.sort(-lines(self.ts), axis=1)  # a conversion becomes known after lines of later moments
        gaps = (times[:, :-1] - times[:, 1:]) / DAY
        line_items = np.where(known, self.item[rows], -1) if len(self.item) else np.full(known.shape, -1)
        columns = {
            "history_count": known.sum(1),
            "history_clicks": _mean(click),
            "history_converts": _mean(lines(self.convert)),
            "history_last3": _mean(click[:, :3]),
            "history_last10": _mean(click[:, :10]),
            "history_residual": _shrunk(residual),
            "history_match_residual": _shrunk(lines(self.match_residual)),
            "history_convert_residual": _shrunk(lines(self.convert_residual)),
            "history_value": _mean(lines(self.value)),
            "days_since_line": (ts - times[:, 0]) / DAY,
            "history_gap_days": _mean(gaps),
            "history_last_gap_days": gaps[:, 0],
            "history_days": (times[:, 0] - np.fmin.reduce(times, axis=1)) / DAY,
        }  # fmt: skip
        same = (line_items == item[:, None]) & (item[:, None] >= 0)
        columns["history_same_item"] = same.sum(1)
        columns["history_same_item_residual"] = _shrunk(np.where(same, residual, np.nan))
        for name, vectors in self.vectors.items():
            alike = np.where(
                (line_items >= 0) & (item[:, None] >= 0), _products(vectors, item, line_items), np.nan
            )
            columns[f"history_{name}_alike"] = _mean(alike)
            columns[f"history_{name}_residual"] = _shrunk(residual, alike)
        return pd.DataFrame(columns, dtype=np.float64)


def _products(vectors: Floats, item: NDArray[np.int64], line_items: NDArray[np.int64]) -> Floats:
    """(n, length) the product of each line's item and the example's own, summed one component at a time: all at
    once would take `length` times the memory."""
    found = np.zeros(line_items.shape)
    for component in vectors.T:
        found += component[line_items] * component[item][:, None]
    return found


def _places(ids: pd.Series, place: dict[str, int]) -> NDArray[np.int64]:
    """(n,) each item's place; -1 of one that is not there."""
    return np.asarray(ids.map(place).fillna(-1), dtype=np.int64)


def _mean(values: Floats) -> Floats:
    """(n,) the mean of each row's known values; NaN where there is none."""
    count = np.isfinite(values).sum(1)
    return np.where(count, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def _shrunk(residual: Floats, weights: Floats | None = None) -> Floats:
    """(n,) the weighted mean residual of each row, with PRIOR lines of none behind it; 0 where none is known."""
    weights = np.ones_like(residual) if weights is None else np.maximum(weights, 0)
    known = np.isfinite(residual) & np.isfinite(weights)
    weights = np.where(known, weights, 0.0)
    return np.asarray((weights * np.where(known, residual, 0)).sum(1) / (weights.sum(1) + PRIOR))
