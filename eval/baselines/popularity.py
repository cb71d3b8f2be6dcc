"""The most touched items so far that the user has not touched."""

import numpy as np

from eval.recommender import Rows
from eval.training import task_of
from genrec.dataset import Prepared
from genrec.lines import touches
from genrec.touches import Touches


class Popularity:
    """Counts the touches known before the example's time (running) or before the end of training (frozen)."""

    name = "popularity"

    def fit(self, data: Prepared, regime: str) -> None:
        self.regime = regime
        self.catalog = data.tables.items["item_id"].to_pylist()
        self.place = {item: number for number, item in enumerate(self.catalog)}

    def rank(self, data: Prepared, rows: Rows, k: int) -> list[list[str] | None]:
        task = data.tasks[task_of(data, rows)]
        past = Touches(data, task)
        touched = data.lines[touches(data.lines, task)].sort_values("known_at", kind="stable")
        known = touched.known_at.to_numpy()
        places = np.array([self.place[item] for item in touched.item_id], dtype=np.int64)
        asked = data.examples.iloc[rows]
        ranked: list[list[str] | None] = [None] * len(rows)
        counts, done = np.zeros(len(self.catalog)), 0
        for number in np.argsort(asked.ts.to_numpy(), kind="stable"):
            user, ts, point = asked.user_id.iloc[number], asked.ts.iloc[number], asked.point.iloc[number]
            until = np.searchsorted(known, min(ts, data.train_end) if self.regime == "frozen" else ts)
            np.add.at(counts, places[done:until], 1)
            done = max(done, int(until))
            scores = counts.copy()
            scores[[self.place[item] for item in past.items(user, point)]] = -1
            best = np.argsort(-scores, kind="stable")[:k]
            ranked[number] = [self.catalog[place] for place in best if scores[place] >= 0]
        return ranked
