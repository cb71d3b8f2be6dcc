"""Running means: how often this user, or this item, was clicked (converted, came back) so far."""

from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from eval.features import SHARES
from eval.recommender import Floats, Rows
from eval.training import labelled, scored_tasks, task_of
from genrec.dataset import Prepared
from genrec.tasks import Task

Of = Literal["user", "item", "both"]
PRIOR = (
    5.0  # pseudo-sessions behind a user's share of returns, as behind the other shares (genrec.statistics)
)


class Means:
    """One logistic regression on the log-odds of the user's share, of the item's, or of both.

    The regression makes a share of one thing (all impressions) a probability of another (the clicked ones); it
    leaves the order of a single share as it is. NaN where a task has no such mean, as an item's for a return.
    """

    def __init__(self, of: Of) -> None:
        self.of = of
        self.name = {"user": "user mean", "item": "item mean", "both": "user and item mean"}[of]

    def fit(self, data: Prepared, regime: str) -> None:
        self.regime = regime
        self.models: dict[str, LogisticRegression] = {}
        for task in scored_tasks(data):
            train = labelled(data, task, "train")
            if (columns := self._columns(data, train.rows, task)) is not None:
                model = LogisticRegression(C=1e6)
                self.models[task] = model.fit(columns, train.labels, sample_weight=train.weights)

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        columns = self._columns(data, rows, task)
        if columns is None or task not in self.models:
            return np.full(len(rows), np.nan)
        return np.asarray(self.models[task].predict_proba(columns)[:, 1], dtype=np.float64)

    def _columns(self, data: Prepared, rows: Rows, task: str) -> Floats | None:
        """(n, 1 or 2) log-odds of the shares."""
        stats = data.stats[self.regime].iloc[rows]
        shares = []
        for who in ("user", "item"):
            if self.of in (who, "both"):
                if (share := _share(stats, who, data.tasks[task])) is None:
                    return None
                shares.append(share)
        return np.asarray(logit(np.clip(np.column_stack(shares), *SHARES)), dtype=np.float64)


def _share(stats: pd.DataFrame, who: str, task: Task) -> Floats | None:
    if stats[f"{who}_share"].notna().all():
        share = stats[f"{who}_share"].to_numpy(np.float64)
        if (task.name, task.given) == ("convert", "click"):  # of the clicks, not of all impressions
            return np.asarray(stats[f"{who}_convert_share"].to_numpy(np.float64) / np.maximum(share, 1e-6))
        return np.asarray(share)
    if who == "user" and stats.return_chances.notna().all():
        return np.asarray((stats.return_count + PRIOR / 2) / (stats.return_chances + PRIOR), dtype=np.float64)
    return None
