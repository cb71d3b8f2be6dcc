"""The share of each answer in training: what a model has to beat to have learned anything."""

import numpy as np

from eval.recommender import Floats, Rows
from eval.training import labelled, task_of
from genrec.dataset import Prepared


class Prior:
    """P = the answer's weighted share among the train examples of the task."""

    name = "prior"

    def fit(self, data: Prepared, regime: str) -> None:
        self.shares: dict[str, Floats] = {}
        for task in data.tasks.values():
            if task.kind in ("binary", "choice"):
                train = labelled(data, task.name, "train")
                counts = np.bincount(train.labels, train.weights, minlength=max(len(task.answers), 2))
                self.shares[task.name] = (counts + 1) / (counts + 1).sum()

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        shares = np.tile(self.shares[task], (len(rows), 1))
        return shares if data.tasks[task].kind == "choice" else shares[:, 1]
