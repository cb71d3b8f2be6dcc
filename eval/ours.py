"""Our model as the harness sees it: the language model behind any engine, trained or not."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.recommender import ChainAnswer, Floats, Rows, Searches, Work
from genrec.chain import CHAIN, CTCVR, chained
from genrec.dataset import Prepared
from genrec.progress import Progress
from genrec.statistics.co_occurrence import named
from genrec.touches import Touches
from prompts.history import Histories
from prompts.layout import Known, Layout
from prompts.trie import Trie
from serve.engine import Engine
from serve.node_budget import NODES
from serve.predictor import Predictor, Row
from serve.search import ListRequest, all_top_items


class Genrec:
    """name: in tables. fingerprint: changes with the weights, the prompts and the history window.

    with_stats False: neither questions nor history say statistics. query: a template of free words to ask in, instead
    of the tasks' own wording. nodes: paths that a search for next items extends at most; 0: until it is exact.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        histories: Histories,
        engine: Engine,
        fingerprint: str,
        with_stats: bool = True,
        query: str | None = None,
        nodes: int = NODES,
    ) -> None:
        self.name, self.layout, self.histories, self.engine = name, layout, histories, engine
        self.with_stats, self.query, self.nodes = with_stats, query, nodes
        bound = f" {nodes} paths" if nodes else ""
        self.fingerprint = f"{fingerprint} {engine.name} {with_stats} {query}{bound}"
        self.regime = "running"
        self._predictor = Predictor(layout, histories, engine)
        self._trie: Trie | None = None
        self._chained: dict[tuple[str, int, str], tuple[float, float, str]] = {}  # by whose pass
        self._questions, self._remembered, self._searches = 0, Counter[str](), Searches()

    @property
    def work(self) -> Work:
        return Work(self._questions, dict(self._remembered), self._searches)

    def fit(self, data: Prepared, regime: str) -> None:
        """Nothing is learned here; the regime is that of the statistics to be read."""
        if regime != self.regime:
            self._chained.clear()
        self.regime = regime

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = self._task(data, rows)
        if task in CHAIN and self.query is None and chained(self.layout.tasks):
            return self._chain(data, rows, task)[CHAIN.index(task)]
        return np.asarray(self._asked(data, rows, [task])[task], dtype=np.float64)

    def predict_chain(self, data: Prepared, rows: Rows) -> ChainAnswer:
        return self._chain(data, rows, CTCVR)

    def rank(self, data: Prepared, rows: Rows, k: int) -> Sequence[Sequence[str] | None]:
        if self._trie is None:
            self._trie = Trie((i, self.layout.item(i)) for i in data.tables.items["item_id"].to_pylist())
        requests = self._list_requests(data, rows, k)
        lists = [list[str]()] * len(requests)
        with Progress("searching", total=len(requests), unit="list") as shown:
            for number, found in all_top_items(self.engine, self._trie, requests):
                lists[number] = [item for item, _ in found.items]
                self._searches = self._searches.and_one(found.gap)
                shown.advance(1)
        self._questions += len(lists)
        return lists

    def _list_requests(self, data: Prepared, rows: Rows, k: int) -> list[ListRequest]:
        task = self._task(data, rows)
        past = Touches(data, data.tasks[task])
        stats = data.stats[self.regime].iloc[rows].to_dict("records")
        requests = []
        for example, known in zip(data.examples.iloc[rows].itertuples(), stats, strict=True):
            context = self.histories.context(example.user_id, example.point, self.with_stats)
            question = self.layout.question(task, known=Known(known if self.with_stats else None))
            seen = set(past.items(example.user_id, example.point))
            likely = named(known.get("candidates", "")) if self.with_stats else []
            requests.append(
                ListRequest((*context.tolist(), *question.ids), k, seen, likely, self.nodes or None)
            )
        return requests

    def _chain(self, data: Prepared, rows: Rows, task: str) -> ChainAnswer:
        """P(click), P(convert | click) of impressions; one pass answers both, and is remembered as this task's."""
        examples = data.examples.iloc[rows]
        keys = list(zip(examples.user_id, examples.ts, examples.item_id, strict=True))
        self._remembered.update(self._chained[key][2] for key in keys if key in self._chained)
        missing = np.flatnonzero([key not in self._chained for key in keys])
        if len(missing):
            found = self._asked(data, np.asarray(rows)[missing], list(CHAIN))
            for i, click, convert in zip(missing, found["click"], found["convert"], strict=True):
                self._chained[keys[i]] = (float(click), float(convert), task)
        pairs = np.array([self._chained[key][:2] for key in keys], dtype=np.float64).reshape(-1, 2)
        return ChainAnswer(pairs[:, 0], pairs[:, 1])

    def _asked(self, data: Prepared, rows: Rows, tasks: list[str]) -> dict[str, Any]:
        stats = data.stats[self.regime].iloc[rows].to_dict("records")
        asked = []
        for example, known in zip(data.examples.iloc[rows].itertuples(), stats, strict=True):
            what = Known.of(known if self.with_stats else None, example.horizon_days, example.gap_days)
            asked.append(Row(example.user_id, example.point, example.item_id, what))
        self._questions += len(asked) * len(tasks)
        if self.query is None:
            return self._predictor.predict(asked, tasks)
        words = np.array([self.layout.wording(tasks[0], self.query, row.known) for row in asked])
        found = {task: np.empty(len(asked)) for task in tasks}
        for query in np.unique(words):  # one for each horizon that it names
            at = np.flatnonzero(words == query)
            part = self._predictor.predict([asked[i] for i in at], tasks, str(query))
            for task in tasks:
                found[task][at] = part[task]
        return found

    def _task(self, data: Prepared, rows: Rows) -> str:
        return str(data.examples.task.iloc[rows[0]]) if len(rows) else "click"
