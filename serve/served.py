"""An adapter opened on a data set: everything that answers a request, loaded once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.followers import CANDIDATES, joined
from genrec.statistics import COLUMNS
from genrec.tasks import Task
from genrec.touches import Touches
from prompts.adapter import AdapterCard, histories_of, layout_of, prompts_hash
from prompts.history import Histories
from prompts.language_model import fingerprint, load_tokenizer
from prompts.layout import Known, Layout
from prompts.trie import Trie
from serve.engine import Engine
from serve.predictor import Predictor, Row
from serve.search import Found, top_items
from serve.torch_engine import load


@dataclass
class Served:
    """card: what the adapter says of itself; predictor: with its calibrations."""

    card: AdapterCard
    data: Prepared
    layout: Layout
    histories: Histories
    engine: Engine
    predictor: Predictor
    _past: dict[str, Touches] = field(default_factory=dict, init=False)  # by item task, when first asked for

    @cached_property
    def trie(self) -> Trie:
        """The whole catalog."""
        ids = self.data.tables.items["item_id"].to_pylist()
        return Trie({item: self.layout.item(item) for item in ids})

    @cached_property
    def _points(self) -> dict[str, int]:
        return self.data.points_now()

    def point(self, user_id: str) -> int:
        """How many of the user's lines are known at the log's end: 0 for one who is new."""
        return self._points.get(user_id, 0)

    def touched(self, user_id: str, task: Task, point: int | None = None) -> list[str]:
        """Items that she has touched, as an item task means it, in order: in her first `point` lines, or in all."""
        if task.name not in self._past:
            self._past[task.name] = Touches(self.data, task)
        return self._past[task.name].items(user_id, point)

    def tasks_about(self, item: bool) -> list[Task]:
        """The tasks with answers that are asked about an item, or about the user alone."""
        rules = ("follows", "value") if item else ("returns",)
        return [task for task in self.layout.tasks.values() if task.answers and task.label["rule"] in rules]

    def item_task(self) -> Task:
        """The task that recommends."""
        for task in self.layout.tasks.values():
            if task.kind == "item":
                return task
        raise UserError(
            "No task of this adapter names items",
            where=f"its tasks: {', '.join(self.layout.tasks)}",
            cure="train one with an item task, such as next",
        )

    def row(self, user_id: str, item_id: str) -> Row:
        """A question about an item, asked just after the log's end."""
        stats = dict(zip(COLUMNS, self.data.statistics_now().read(user_id, item_id).tolist(), strict=True))
        return Row(user_id, self.point(user_id), item_id, Known(stats))

    def return_row(self, user_id: str, task: str) -> Row | None:
        """The question asked when the user's last session was over; None for one who is new."""
        examples = self.data.examples
        mine = np.flatnonzero((examples.task == task).to_numpy() & (examples.user_id == user_id).to_numpy())
        if not len(mine):
            return None
        last = examples.iloc[mine[-1]]
        stats = self.data.stats["running"].iloc[mine[-1]].to_dict()
        point = min(int(last.point), self.point(user_id))
        return Row(user_id, point, "", Known.of(stats, last.horizon_days, last.gap_days))

    def recommend(self, user_id: str, k: int, nodes: int | None = None) -> Found:
        """The k items most likely to be next, of all that she has not touched: exact, or within so many nodes."""
        task = self.item_task()
        known = self.touched(user_id, task, self.point(user_id))
        candidates = self.data.followers_now(task.name).candidates(known, CANDIDATES)
        question = self.layout.question(task.name, known=Known({"candidates": joined(candidates)}))
        context = self.histories.context(user_id, self.point(user_id))
        asked, touched = (*context.tolist(), *question.ids), set(self.touched(user_id, task))
        return top_items(self.engine, asked, self.trie, k, exclude=touched, node_budget=nodes)


def open_adapter(folder: Path, data: Prepared, base: str = "", regime: str = "") -> Served:
    """Open an adapter (merged into its base) on the data set that it serves.

    base: where its model is kept here. regime: whose statistics the history lines say; the adapter's own if "".
    """
    card = AdapterCard.load(folder)
    name = base or card.base["name"]
    card.check_base(name, fingerprint(name), folder)
    layout = layout_of(data, load_tokenizer(name), card.pack, card.task_objects())
    if (now := prompts_hash(layout)) != card.data["prompts"]:
        raise UserError(
            f"The prompts have changed since the adapter was trained ({card.data['prompts']} then, {now} now)",
            where=str(folder),
            cure="train it again, or bring back the pack and tasks it was trained with",
        )
    histories = histories_of(data, layout, card.history["tokens"], regime or card.regime)
    lines = card.calibrations()
    engine = load(name, card.dtype, folder)
    return Served(card, data, layout, histories, engine, Predictor(layout, histories, engine, lines))


def newest_adapter(runs: Path) -> Path:
    """The adapter that was finished last under a folder of runs."""
    found = sorted(runs.glob("*/adapter/genrec.json"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise UserError(
            "There is no adapter yet", where=str(runs), cure="run `genrec train`, or name one with --adapter"
        )
    return found[-1].parent
