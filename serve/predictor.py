"""Probabilities of every task for rows of (user, point, item): what the commands and the eval harness share.

P(click) and P(convert | click) are both asked at the impression's own point; "ctcvr" is their product, so never above.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from genrec.calibration import Calibration
from genrec.chain import CHAIN, CTCVR, chained
from genrec.progress import Progress
from prompts.history import Histories
from prompts.layout import Known, Layout, Question
from serve.engine import Engine, Request

BATCH = 512  # questions a call, or more where one window has more


@dataclass(frozen=True)
class Row:
    """Something to predict: what this user does about this item ("" where the task has none), asked when `point` of
    her history lines are known. known.stats None: neither the question nor the history says any statistics."""

    user_id: str
    point: int
    item_id: str = ""
    known: Known = field(default_factory=Known)


class Predictor:
    """calibrations: by task, those of binary tasks; a task without one keeps the model's own probabilities."""

    def __init__(
        self,
        layout: Layout,
        histories: Histories,
        engine: Engine,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self.layout, self.histories, self.engine = layout, histories, engine
        self.calibrations = dict(calibrations or {})

    def predict(
        self, rows: Sequence[Row], tasks: Sequence[str], query: str | None = None
    ) -> dict[str, np.ndarray]:
        """Per task float64 probabilities: (n,) of the first answer for binary tasks, (n, answers) for choices; and
        "ctcvr" (n,) where click and convert are both asked and convert continues click.

        query: ask in these words instead of each task's own; such probabilities are not calibrated.
        Raises ValueError for a task that has no answers to choose from.
        """
        for task in tasks:
            if self.layout.tasks[task].kind not in ("binary", "choice"):
                raise ValueError(f"task {task!r} has no answers to choose from")
        logprobs = self._scored(rows, tasks, query)
        found = {}
        for k, task in enumerate(tasks):
            answers = len(self.layout.answers[task])
            p = np.exp(np.array([row[k] for row in logprobs], dtype=np.float64).reshape(len(rows), answers))
            if self.layout.tasks[task].kind == "binary":
                p = p[:, 0]
                if query is None and task in self.calibrations:
                    p = self.calibrations[task].apply(p)
            found[task] = p
        if set(CHAIN) <= set(found) and chained(self.layout.tasks):
            found[CTCVR] = found["click"] * found["convert"]
        return found

    def _scored(self, rows: Sequence[Row], tasks: Sequence[str], query: str | None) -> list[list[np.ndarray]]:
        """Per row and task the answers' log-probabilities."""
        scored: list[list[np.ndarray]] = [[]] * len(rows)
        with Progress("scoring", total=len(rows), unit="row") as shown:
            for batch in self._batches(rows, len(tasks)):
                requests = [
                    Request(
                        self._context(rows[at[0]]),
                        [q for i in at for q in self._questions(rows[i], tasks, query)],
                    )
                    for at in batch
                ]
                for at, answers in zip(batch, self.engine.score(requests), strict=True):
                    for place, i in enumerate(at):
                        scored[i] = answers[place * len(tasks) : (place + 1) * len(tasks)]
                    shown.advance(len(at))
        return scored

    def _batches(self, rows: Sequence[Row], questions: int) -> Iterator[list[list[int]]]:
        """Rows of the same context together, contexts of the same window in one batch: one trunk for an engine."""
        windows: dict[tuple[str, int, bool], dict[int, list[int]]] = {}
        for i, row in enumerate(rows):
            key = (row.user_id, self.histories.start(row.user_id, row.point), row.known.stats is not None)
            windows.setdefault(key, {}).setdefault(row.point, []).append(i)
        batch: list[list[int]] = []
        for points in windows.values():
            batch += points.values()
            if sum(map(len, batch)) * questions >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _context(self, row: Row) -> tuple[int, ...]:
        return tuple(self.histories.context(row.user_id, row.point, row.known.stats is not None).tolist())

    def _questions(self, row: Row, tasks: Sequence[str], query: str | None) -> list[Question]:
        return [self.layout.question(task, row.item_id, row.known, query) for task in tasks]
