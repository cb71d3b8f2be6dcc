"""Contexts: each user's head and the window of history lines that stands at a point of her log."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from prompts.layout import Layout, line_days
from prompts.window import window_starts


class Histories:
    """Every user's lines as token ids, written when a user is first asked of and cut by the history window.

    lines: rows of Prepared.lines. history_tokens: the window's budget. Windows are cut by the lengths of lines written
    with statistics, so that the same lines stand in a window with and without them.
    """

    def __init__(self, layout: Layout, lines: pd.DataFrame, history_tokens: int) -> None:
        self.layout, self.history_tokens = layout, history_tokens
        self._table = lines
        self._places: dict[str, np.ndarray] = dict(lines.groupby("user_id", sort=False).indices)
        self._written: dict[tuple[str, bool], list[np.ndarray]] = {}
        self._starts: dict[str, np.ndarray] = {}
        self._heads: dict[str, np.ndarray] = {}

    def start(self, user_id: str, point: int) -> int:
        """The first line of the window at this point."""
        if user_id not in self._places:  # of someone new nothing is kept
            return 0
        if user_id not in self._starts:
            lengths = [len(ids) for ids in self._lines(user_id, with_stats=True)]
            self._starts[user_id] = window_starts(lengths, self.history_tokens)
        return int(self._starts[user_id][point])

    def context(
        self, user_id: str, point: int, with_stats: bool = True, start: int | None = None
    ) -> np.ndarray:
        """(n,) int64 ids of the context after `point` lines have become known: the window that stands there, or the
        lines from `start` on."""
        if user_id not in self._places:
            return np.asarray(self.layout.head(user_id), np.int64)
        if user_id not in self._heads:
            self._heads[user_id] = np.asarray(self.layout.head(user_id), np.int64)
        first = self.start(user_id, point) if start is None else start
        window = self._lines(user_id, with_stats)[first:point]
        return np.concatenate([self._heads[user_id], *window])

    def written(self, user_id: str) -> bool:
        """Whether the user's lines stand ready; until then a context costs the writing of her whole log."""
        return user_id in self._starts or user_id not in self._places

    def _lines(self, user_id: str, with_stats: bool) -> list[np.ndarray]:
        if (user_id, with_stats) not in self._written:
            rows: list[dict[str, Any]] = self._table.iloc[self._places[user_id]].to_dict("records")
            days = line_days([row["ts"] for row in rows])
            self._written[user_id, with_stats] = [
                np.asarray(self.layout.line(row, with_stats, d), np.int64)
                for row, d in zip(rows, days, strict=True)
            ]
        return self._written[user_id, with_stats]


def columns_by_id(table: Any, key: str) -> dict[str, Mapping[str, Any]]:
    """An items or users table (pyarrow) as column name -> value by id, the form in which templates see it."""
    return {row[key]: row for row in table.to_pylist()}
