"""Logistic regression on every statistic and column (scikit-learn)."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from eval.features import SHARES, ColumnSet, Features, column_sets
from eval.recent_history import HISTORY_AMOUNTS, RECENT_LINES
from eval.recommender import Floats, Rows
from eval.training import Labelled, labelled, scored_tasks, task_of
from genrec import metrics
from genrec.dataset import Prepared
from genrec.visits import VISIT_COLUMNS

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of scikit-learn: the inverse of the L2 penalty
LONG_TAILED = frozenset(
    {"item_count", "user_count", *VISIT_COLUMNS, *HISTORY_AMOUNTS} - {"mean_value", "return_share"}
)  # counts and times: a step from 1 to 2 says more than one from 100 to 101


class LogisticChoice(NamedTuple):
    """What validation chose for a task."""

    columns: ColumnSet
    strength: float
    valid_log_loss: float | None  # None: there were no validation examples


class Logistic:
    """Shares enter as log-odds and counts as logarithms; of each penalty and set of columns the one with the least log
    loss on valid is kept."""

    name = "logistic regression"

    def __init__(self, history: int = RECENT_LINES) -> None:
        """history: how many of a user's latest lines it reads."""
        self.history = history

    def fit(self, data: Prepared, regime: str) -> None:
        self.features = Features(data, regime, self.history)
        self.models: dict[str, Pipeline] = {}
        self.chosen: dict[str, LogisticChoice] = {}
        for task in scored_tasks(data):
            train, valid = labelled(data, task, "train"), labelled(data, task, "valid")
            columns, held = (self._columns(data, part.rows) for part in (train, valid))
            best = float("inf")
            for chosen, strength in product(column_sets(regime), STRENGTHS):
                model = _fitted(chosen.of(columns), train, strength)
                p = model.predict_proba(chosen.of(held))[:, 1] if len(valid.rows) else None
                # Without validation rows the first set of columns and the weakest penalty are kept.
                loss = -strength if p is None else metrics.log_loss(valid.labels, p, weights=valid.weights)
                if loss < best:
                    best, self.models[task] = loss, model
                    measured = None if p is None else loss
                    self.chosen[task] = LogisticChoice(chosen, strength, measured)

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.models:
            return np.full(len(rows), np.nan)
        columns = self.chosen[task].columns.of(self._columns(data, rows))
        return np.asarray(self.models[task].predict_proba(columns)[:, 1], dtype=np.float64)

    def _columns(self, data: Prepared, rows: Rows) -> pd.DataFrame:
        columns = self.features.of(data, rows)
        for name in columns:
            if name.endswith("_share"):
                columns[name] = logit(columns[name].clip(*SHARES))
            elif name in LONG_TAILED:
                columns[name] = np.log1p(columns[name])
        return columns


def _fitted(columns: pd.DataFrame, train: Labelled, strength: float) -> Pipeline:
    model = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=strength, max_iter=1000),
    )
    return model.fit(columns, train.labels, logisticregression__sample_weight=train.weights)
