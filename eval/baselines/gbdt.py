"""Gradient-boosted trees (LightGBM) on the same statistics and columns: the model that most teams have today."""

from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pandas as pd
from scipy.special import expit, logit

from eval.features import SHARES, ColumnSet, Features, column_sets
from eval.recent_history import RECENT_LINES
from eval.recommender import Floats, Rows
from eval.training import Labelled, labelled, scored_tasks, task_of
from genrec.dataset import Prepared
from genrec.progress import progress
from genrec.stated import stated

ROUNDS, PATIENCE = 2000, 50
FIXED = {
    "objective": "binary",
    "metric": "binary_logloss",
    "verbosity": -1,
    "bagging_freq": 1,
    "deterministic": True,
    "feature_pre_filter": False,  # so that settings of different min_data_in_leaf can share the binned columns
}


class GbdtChoice(NamedTuple):
    """What validation chose for a task."""

    columns: ColumnSet
    settings: dict[str, Any]
    rounds: int
    valid_log_loss: float | None  # None: there were no validation examples


class Gbdt:
    """The best setting, each stopped early, by log loss on valid: the library's own with every set of columns, then
    `configurations` random ones with the best set.

    history: how many of a user's latest lines it reads. from_stated: boosting starts at the log-odds of the number that
    our prompts state (LightGBM's init_score), and the trees learn what is left. NaN for a task of which nothing is
    stated.
    """

    def __init__(
        self,
        configurations: int = 8,
        seed: int = 0,
        threads: int = 1,
        from_stated: bool = False,
        history: int = RECENT_LINES,
    ) -> None:
        self.history = history
        self.configurations, self.seed, self.threads = configurations, seed, threads
        self.from_stated = from_stated
        self.name = "LightGBM with init_score" if from_stated else "LightGBM"
        self.chosen: dict[str, GbdtChoice] = {}

    def fit(self, data: Prepared, regime: str) -> None:
        self.regime, self.features = regime, Features(data, regime, self.history)
        self.models: dict[str, lightgbm.Booster] = {}
        self.base: dict[str, float] = {}
        for task in scored_tasks(data):
            if not self.from_stated or stated(data.tasks[task]):
                self.models[task] = self._search(data, task)

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.models:
            return np.full(len(rows), np.nan)
        columns = self.chosen[task].columns.of(self.features.of(data, rows)).to_numpy()
        scores = self.models[task].predict(columns, num_threads=self.threads, raw_score=True)
        offset = self._offset(data, task, rows)
        return np.asarray(expit(scores if offset is None else scores + offset), dtype=np.float64)

    def _offset(self, data: Prepared, task: str, rows: Rows) -> Floats | None:
        """(n,) the stated number's log-odds; where none is stated yet, those of the share of yes in training."""
        if not self.from_stated:
            return None
        shares = data.stats[self.regime][stated(data.tasks[task])].to_numpy(np.float64)[rows]
        offsets = logit(np.clip(np.where(np.isnan(shares), self.base[task], shares), *SHARES))
        return np.asarray(offsets, dtype=np.float64)

    def _search(self, data: Prepared, task: str) -> lightgbm.Booster:
        """Every set of columns with the library's own settings, then random settings with the best set."""
        train, valid = labelled(data, task, "train"), labelled(data, task, "valid")
        self.base[task] = float(np.average(train.labels, weights=train.weights))
        columns, held = (self.features.of(data, part.rows) for part in (train, valid))
        offsets = [self._offset(data, task, part.rows) for part in (train, valid)]
        sets = column_sets(self.regime)
        random = np.random.default_rng(self.seed)
        best: lightgbm.Booster | None = None
        least = float("inf")
        shown = f"{self.name}, {task}"
        for number in progress(range(len(sets) + self.configurations), shown, "setting"):
            settings = {} if number < len(sets) else _drawn(random)
            chosen = sets[number] if number < len(sets) else self.chosen[task].columns
            if number <= len(sets):
                binned = _binned(chosen.of(columns), chosen.of(held), train, valid, offsets)
            booster = lightgbm.train(
                {**settings, **FIXED, "num_threads": self.threads, "seed": self.seed},
                binned[0],
                num_boost_round=ROUNDS if len(valid.rows) else 100,
                valid_sets=[binned[1]] if len(valid.rows) else None,
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)] if len(valid.rows) else None,
            )
            loss = booster.best_score.get("valid_0", {}).get("binary_logloss")
            if best is None or (loss is not None and loss < least):
                best, least = booster, least if loss is None else loss
                self.chosen[task] = GbdtChoice(chosen, settings, booster.best_iteration, loss)
        assert best is not None
        return best


def _binned(
    columns: pd.DataFrame, held: pd.DataFrame, train: Labelled, valid: Labelled, offsets: list[Floats | None]
) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """The columns of train and valid in LightGBM's bins, made once for all settings."""
    params = {name: FIXED[name] for name in ("verbosity", "feature_pre_filter")}
    whole = lightgbm.Dataset(
        columns.to_numpy(), train.labels, weight=train.weights, init_score=offsets[0], params=params
    )
    return whole, lightgbm.Dataset(
        held.to_numpy(),
        valid.labels,
        reference=whole,
        weight=valid.weights,
        init_score=offsets[1],
        params=params,
    )


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
