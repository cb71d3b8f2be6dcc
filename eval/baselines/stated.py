"""The statistic that our prompts state, taken at its word: what the language model must add to."""

import numpy as np

from eval.recommender import Floats, Rows
from eval.training import task_of
from genrec.dataset import Prepared
from genrec.stated import stated
from genrec.statistics.co_occurrence import named

CLOSEST = 1e-6  # to 0 and 1: a share may be either, and no log loss survives that


class Stated:
    """match_share for what follows an impression, match_convert_share for what follows its click, return_share for
    returns, the candidates for items."""

    name = "stated statistic"

    def fit(self, data: Prepared, regime: str) -> None:
        self.regime = regime

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = data.tasks[task_of(data, rows)]
        column = stated(task)
        if column is None:
            return np.full(len(rows), np.nan)
        shares = data.stats[self.regime][column].to_numpy(np.float64)[rows]
        return np.asarray(np.clip(shares, CLOSEST, 1 - CLOSEST), dtype=np.float64)

    def rank(self, data: Prepared, rows: Rows, k: int) -> list[list[str] | None]:
        return [named(candidates)[:k] for candidates in data.stats[self.regime].candidates.iloc[rows]]
