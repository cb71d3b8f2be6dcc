"""Columns for tabular models: the point-in-time statistics of a row, its item's and its user's own columns."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from genrec.dataset import Prepared

SHARES = (1e-6, 1 - 1e-6)  # the range of a share whose log-odds are taken
MOST_VALUES = 50  # of one text or list column that become columns of their own


class Features:
    """Made once for a data set; the item and user tables hold no labels, so all of their rows are read."""

    def __init__(self, data: Prepared, regime: str) -> None:
        self.regime = regime
        self.items = attributes(data.tables.items, "item_id", without=("title",))
        self.users = attributes(data.tables.users, "user_id")

    def of(self, data: Prepared, rows: NDArray[np.int64]) -> pd.DataFrame:
        """(n, features) float64; NaN where something is not known or makes no sense for the task."""
        asked = data.examples.iloc[rows]
        stats = data.stats[self.regime].iloc[rows]
        parts = [
            stats.select_dtypes("number"),
            asked[["horizon_days", "gap_days"]],
            self.items.reindex(asked.item_id).set_axis(asked.index),
            self.users.reindex(asked.user_id).set_axis(asked.index),
        ]
        whole: pd.DataFrame = pd.concat(parts, axis=1).astype(np.float64)
        return whole


def attributes(table: pa.Table, key: str, without: Iterable[str] = ()) -> pd.DataFrame:
    """A table as numbers, indexed by id: numbers as they are, the commonest values of text and lists as 0 and 1."""
    frame = table.to_pandas().set_index(key)
    columns: dict[str, pd.Series] = {}
    for name in frame.columns.difference([*without, "valid_from"], sort=False):
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            columns[name] = column.astype(np.float64)
            continue
        values = column.map(lambda v: list(v) if isinstance(v, (list, tuple, np.ndarray)) else [v])
        common = values.explode().dropna().value_counts().index[:MOST_VALUES]
        if len(values.explode().unique()) > max(MOST_VALUES, len(frame) // 2):
            continue  # nearly every row has a text of its own: nothing a table could learn from
        for value in common:
            columns[f"{name}={value}"] = values.map(lambda v, value=value: float(value in v))
    return pd.DataFrame(columns, index=frame.index)
