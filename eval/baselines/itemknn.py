"""Item-based nearest neighbours (LensKit): items that the same users touched, next to what this user touched last."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from lenskit.data import Dataset, ItemList, from_interactions_df
from lenskit.knn import ItemKNNScorer

from eval.recommender import Rows
from eval.training import learnable_lines, task_of
from genrec import metrics
from genrec.dataset import Prepared
from genrec.lines import touches
from genrec.progress import progress
from genrec.touches import Touches

CHOSEN_ON = 1500  # examples that settings are chosen on, spread evenly over the valid split
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
RECENT = (1, 3, 5, 10, 20, 50, 1000)  # latest touches of the user that make the query


@dataclass(frozen=True)
class Setting:
    """What is searched. neighbours: LensKit's k. recent: touches in the query."""

    feedback: str = "implicit"
    neighbours: int = 20
    recent: int = 1000


QUICK = (Setting(neighbours=5, recent=5), Setting(neighbours=20, recent=20), Setting(neighbours=20))


class ItemKnn:
    """Trained on the touches known before the end of training; the query is the user's history at the example's time.

    Settings are chosen by NDCG@10 on the valid split. Explicit feedback takes the lines' values (ratings); it is tried
    where every touch has one. Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004.
    """

    name = "item-kNN"

    def __init__(self, settings: Sequence[Setting] | None = None) -> None:
        self.settings = settings
        self.chosen: dict[str, Setting] = {}
        self.tried: dict[str, list[tuple[Setting, float]]] = {}

    def fit(self, data: Prepared, regime: str) -> None:
        self.catalog: list[str] = data.tables.items["item_id"].to_pylist()
        self.logs: dict[str, Dataset] = {}
        self._trained: tuple[str, Setting, ItemKNNScorer] | None = None
        for task in (t for t in data.tasks.values() if t.kind == "item"):
            rows = _spread(data.rows(task.name, "valid"))
            touched = data.lines[touches(data.lines, task) & learnable_lines(data)]
            rated = bool(touched["value"].notna().all()) and touched["value"].nunique() > 1
            columns = ["user_id", "item_id", "value"] if rated else ["user_id", "item_id"]
            self.logs[task.name] = from_interactions_df(
                touched.drop_duplicates(["user_id", "item_id"], keep="last")[columns].rename(
                    columns={"value": "rating"}
                )
            )
            self._search(data, task.name, rows, rated)

    def _search(self, data: Prepared, task: str, rows: Rows, rated: bool) -> None:
        settings = self.settings or _grid(rated)
        self.tried[task] = []
        for setting in progress(settings, f"{self.name}, {task}", "setting"):
            if len(settings) > 1 and len(rows):
                targets = data.examples.item_id.iloc[rows].tolist()
                lists = self._rank(data, rows, 10, setting)
                self.tried[task].append((setting, metrics.ndcg(metrics.ranks(lists, targets), k=10)))
        best = max(self.tried[task], key=lambda pair: pair[1], default=(settings[0], float("nan")))
        self.chosen[task] = best[0]

    def rank(self, data: Prepared, rows: Rows, k: int) -> list[list[str] | None]:
        """A user without history, or whose items training never saw, gets what no neighbour supports: an empty list."""
        return list(self._rank(data, rows, k, self.chosen[task_of(data, rows)]))

    def _rank(self, data: Prepared, rows: Rows, k: int, setting: Setting) -> list[list[str]]:
        task = task_of(data, rows)
        scorer = self._model(task, setting)
        past = Touches(data, data.tasks[task])
        known = [item for item in self.catalog if item in scorer.items]
        place = {item: number for number, item in enumerate(known)}
        candidates = ItemList(known)
        ranked = []
        for user, point in data.examples.iloc[rows][["user_id", "point"]].itertuples(index=False):
            seen, values = past.items(user, point), past.values(user, point)
            # LensKit 2025.8 fails on an item that it was not trained on
            kept = [n for n, item in enumerate(seen) if item in place][-setting.recent :]
            query = ItemList(item_ids=[seen[n] for n in kept], rating=values[kept])
            scores = scorer(query, candidates).scores() if kept else None
            mask = [place[item] for item in seen if item in place]
            ranked.append([] if scores is None else _best(scores, mask, k, known))
        return ranked

    def _model(self, task: str, setting: Setting) -> ItemKNNScorer:
        """The query's length alone changes no model: settings that share one follow each other, and it is kept."""
        key = replace(setting, recent=0)
        if self._trained is None or self._trained[:2] != (task, key):
            scorer = ItemKNNScorer(max_nbrs=setting.neighbours, feedback=setting.feedback)
            scorer.train(self.logs[task])
            self._trained = (task, key, scorer)
        return self._trained[2]


def _best(scores: Any, seen: list[int], k: int, catalog: list[str]) -> list[str]:
    values = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-np.inf)
    values[seen] = -np.inf
    order = np.argsort(-values, kind="stable")[:k]
    return [catalog[place] for place in order if np.isfinite(values[place])]


def _grid(rated: bool) -> list[Setting]:
    """Implicit: every k and every query no shorter than k; explicit, where there are ratings: every third k."""
    implicit = [Setting("implicit", k, recent) for k, recent in product(NEIGHBOURS, RECENT) if recent >= k]
    return implicit + [Setting("explicit", k) for k in NEIGHBOURS[::-3]] * rated


def _spread(rows: Rows) -> Rows:
    return rows[:: max(1, len(rows) // CHOSEN_ON)]
