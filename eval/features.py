"""Columns for tabular models: a row's point-in-time statistics, the user's recent history, the item's and the user's
own columns, and the item's title."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from eval.recent_history import RECENT_LINES, Floats, RecentHistory
from eval.training import learnable_lines
from genrec.dataset import Prepared
from genrec.statistics import COLUMNS

SHARES = (1e-6, 1 - 1e-6)  # the range of a share whose log-odds are taken
MOST_VALUES = 50  # of one text or list column that become columns of their own
TITLE_COLUMNS = 16  # components of the titles' TF-IDF matrix
USER_STATISTICS = frozenset(name for name in COLUMNS if not name.startswith("item_"))


@dataclass(frozen=True)
class ColumnSet:
    """Which groups of columns a model reads; each tabular baseline chooses one on the valid split.

    Frozen statistics know nothing of a user who came later, though in training they knew everyone: a model that learned
    to lean on the user's statistics there is wrong about new users.
    """

    titles: bool = True
    user_statistics: bool = True

    def of(self, columns: pd.DataFrame) -> pd.DataFrame:
        """The columns (of Features.of) without those of the groups that are left out."""
        left_out = [
            name
            for name in columns
            if (name.startswith(("title_", "history_title_")) and not self.titles)
            or (name in USER_STATISTICS and not self.user_statistics)
        ]
        return columns.drop(columns=left_out)


def column_sets(regime: str) -> list[ColumnSet]:
    """Those that are tried in a regime: running statistics know every user, so they are never left out there."""
    by_statistics = (True, False) if regime == "frozen" else (True,)
    return [ColumnSet(titles, statistics) for statistics in by_statistics for titles in (True, False)]


class Features:
    """Made once for a data set; the item and user tables hold no labels, so all of their rows are read."""

    def __init__(self, data: Prepared, regime: str, history: int = RECENT_LINES) -> None:
        """history: how many of a user's latest lines are read."""
        self.regime, self.history = regime, history
        self.items = attributes(data.tables.items, "item_id", without=("title",))
        self.users = attributes(data.tables.users, "user_id")
        titles = title_vectors(data)
        self.titles = pd.DataFrame(
            titles, self.items.index, [f"title_{number}" for number in range(titles.shape[1])]
        )
        in_categories = [name for name in self.items if name.startswith("category=")]
        self.vectors = {"title": titles} if titles.shape[1] else {}
        if in_categories:
            self.vectors["category"] = normalize(self.items[in_categories].to_numpy())
        self._history: tuple[pd.DataFrame, RecentHistory] | None = None

    def of(self, data: Prepared, rows: NDArray[np.int64]) -> pd.DataFrame:
        """(n, features) float64; NaN where something is not known or makes no sense for the task."""
        asked = data.examples.iloc[rows]
        stats = data.stats[self.regime].iloc[rows]
        parts = [
            stats.select_dtypes("number"),
            asked[["horizon_days", "gap_days"]],
            self._recent(data).of(asked),
            self.items.reindex(asked.item_id).set_axis(asked.index),
            self.titles.reindex(asked.item_id).set_axis(asked.index),
            self.users.reindex(asked.user_id).set_axis(asked.index),
        ]
        whole: pd.DataFrame = pd.concat(parts, axis=1).astype(np.float64)
        return whole

    def _recent(self, data: Prepared) -> RecentHistory:
        """Made anew where the lines are others than those of the last call."""
        if self._history is None or self._history[0] is not data.lines:
            items = data.tables.items["item_id"].to_pylist()
            self._history = data.lines, RecentHistory(data, self.regime, items, self.vectors, self.history)
        return self._history[1]


def title_vectors(data: Prepared) -> Floats:
    """(items, at most TITLE_COLUMNS) rows of length 1, or 0 for a title without a known word: TF-IDF of the titles'
    letter n-grams, which needs no word boundaries, reduced by truncated SVD. Fitted on the items that training met."""
    ids, titles = (data.tables.items[name].to_pylist() for name in ("item_id", "title"))
    met = set(data.lines.item_id[learnable_lines(data)])
    fitted = [title for item, title in zip(ids, titles, strict=True) if item in met]
    weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)
    try:
        matrix = weights.fit_transform(fitted)
    except ValueError:  # no n-gram stands in two titles: nothing that a model could learn from
        return np.zeros((len(titles), 0))
    reduction = TruncatedSVD(min(TITLE_COLUMNS, len(set(fitted)), matrix.shape[1]), random_state=0).fit(
        matrix
    )
    return np.asarray(normalize(reduction.transform(weights.transform(titles))), dtype=np.float64)


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
