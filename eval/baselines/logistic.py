"""Logistic regression on every statistic and column (scikit-learn)."""

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from eval.features import SHARES, Features
from eval.recommender import Floats, Rows
from eval.training import Labelled, labelled, scored_tasks, task_of
from genrec import metrics
from genrec.dataset import Prepared
from genrec.visits import VISIT_COLUMNS

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of scikit-learn: the inverse of the L2 penalty
LONG_TAILED = frozenset(
    {"item_count", "user_count", *VISIT_COLUMNS} - {"mean_value", "return_share"}
)  # counts and times: a step from 1 to 2 says more than one from 100 to 101


class Logistic:
    """Shares enter as log-odds and counts as logarithms; the penalty with the least log loss on valid is kept."""

    name = "logistic regression"

    def fit(self, data: Prepared, regime: str) -> None:
        self.features = Features(data, regime)
        self.models: dict[str, Pipeline] = {}
        for task in scored_tasks(data):
            train, valid = labelled(data, task, "train"), labelled(data, task, "valid")
            tried = [_fitted(self._columns(data, train.rows), train, c) for c in STRENGTHS]
            if len(valid.rows):
                columns = self._columns(data, valid.rows)
                losses = [
                    metrics.log_loss(valid.labels, m.predict_proba(columns)[:, 1], weights=valid.weights)
                    for m in tried
                ]
                self.models[task] = tried[int(np.argmin(losses))]
            else:
                self.models[task] = tried[-1]

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.models:
            return np.full(len(rows), np.nan)
        return np.asarray(self.models[task].predict_proba(self._columns(data, rows))[:, 1], dtype=np.float64)

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
