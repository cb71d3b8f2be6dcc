"""Gradient-boosted trees (LightGBM) on the same statistics and columns: the model that most teams have today."""

from typing import Any

import lightgbm
import numpy as np

from eval.features import Features
from eval.recommender import Floats, Rows
from eval.training import labelled, scored_tasks, task_of
from genrec.dataset import Prepared

ROUNDS, PATIENCE = 2000, 50
FIXED = {
    "objective": "binary",
    "metric": "binary_logloss",
    "verbosity": -1,
    "bagging_freq": 1,
    "deterministic": True,
}


class Gbdt:
    """The best of `configurations` random settings, each stopped early, by log loss on valid."""

    name = "LightGBM"

    def __init__(self, configurations: int = 16, seed: int = 0, threads: int = 1) -> None:
        self.configurations, self.seed, self.threads = configurations, seed, threads
        self.chosen: dict[str, dict[str, Any]] = {}

    def fit(self, data: Prepared, regime: str) -> None:
        self.features = Features(data, regime)
        self.models: dict[str, lightgbm.Booster] = {}
        for task in scored_tasks(data):
            self.models[task] = self._search(data, task)

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.models:
            return np.full(len(rows), np.nan)
        columns = self.features.of(data, rows).to_numpy()
        return np.asarray(self.models[task].predict(columns, num_threads=self.threads), dtype=np.float64)

    def _search(self, data: Prepared, task: str) -> lightgbm.Booster:
        train, valid = labelled(data, task, "train"), labelled(data, task, "valid")
        columns = self.features.of(data, train.rows).to_numpy()
        held = self.features.of(data, valid.rows).to_numpy()
        random = np.random.default_rng(self.seed)
        best: tuple[float, lightgbm.Booster] | None = None
        for number in range(self.configurations):
            settings = {} if number == 0 else _drawn(random)  # the library's own settings are tried first
            fixed = {**FIXED, "num_threads": self.threads, "seed": self.seed}
            booster = lightgbm.train(
                {"learning_rate": 0.05, **settings, **fixed},
                lightgbm.Dataset(columns, train.labels, weight=train.weights, params={"verbosity": -1}),
                num_boost_round=ROUNDS if len(valid.rows) else 100,
                valid_sets=[lightgbm.Dataset(held, valid.labels, weight=valid.weights)]
                if len(valid.rows)
                else None,
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)] if len(valid.rows) else None,
            )
            loss = booster.best_score.get("valid_0", {}).get("binary_logloss", float(number))
            if best is None or loss < best[0]:
                best = (loss, booster)
                self.chosen[task] = {**settings, "rounds": booster.best_iteration, "valid_log_loss": loss}
        assert best is not None
        return best[1]


def _drawn(random: np.random.Generator) -> dict[str, Any]:
    """One random setting: few small trees for small data, many large ones for large."""
    return {
        "learning_rate": float(random.choice([0.02, 0.04])),
        "num_leaves": int(random.choice([4, 8, 16, 32, 64, 128])),
        "min_data_in_leaf": int(random.choice([10, 30, 100, 300, 1000])),
        "feature_fraction": float(random.uniform(0.5, 1.0)),
        "bagging_fraction": float(random.uniform(0.5, 1.0)),
        "lambda_l2": float(10 ** random.uniform(-2, 2)),
        "path_smooth": float(random.choice([0, 0, 10, 100])),
    }
