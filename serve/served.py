"""An adapter on the data set that it serves: everything that answers a request, loaded once. Knows no model library."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.item_names import ItemNames
from genrec.lines import LOG_KINDS
from genrec.statistics.co_occurrence import CANDIDATES, joined
from genrec.tasks import Task
from prompts.adapter import AdapterCard, histories_of, layout_of, prompts_hash
from prompts.history import Histories
from prompts.layout import Known, Layout
from prompts.now import Now
from prompts.tokens import Tokenizer
from prompts.trie import Trie
from serve.engine import Engine
from serve.nearest import ItemVectors, embedded
from serve.node_budget import NODES
from serve.predictor import Predictor, Row
from serve.search import Found, ListRequest, top_items


class Catalog:
    """The items, found by their tokens, by their names and by their embeddings; made when first needed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.vectors = ItemVectors(layout)

    @cached_property
    def trie(self) -> Trie:
        return Trie((item, self._layout.item(item)) for item in self._layout.items)

    @cached_property
    def names(self) -> ItemNames:
        return ItemNames({item: str(row.get("title") or "") for item, row in self._layout.items.items()})


@dataclass
class Served:
    """card: what the adapter says of itself; predictor: with its calibrations."""

    card: AdapterCard
    data: Prepared
    layout: Layout
    histories: Histories
    engine: Engine
    predictor: Predictor
    catalog: Catalog

    @cached_property
    def _now(self) -> Now:
        return Now(self.data)

    def point(self, user_id: str) -> int:
        """How many of the user's lines are known at the log's end: 0 for one who is new."""
        return self._now.point(user_id)

    def knows(self, user_id: str) -> bool:
        """Whether the log tells of this user."""
        return user_id in self._now.points or user_id in self.layout.users

    @cached_property
    def _user_forms(self) -> frozenset[str]:
        return frozenset(form(user) for user in (*self._now.points, *self.layout.users))

    def writes_users_so(self, text: str) -> bool:
        """Whether a text with digits in it is written like a user id of the log: a number where ids are numbers,
        "u7" where they are "u00001"."""
        return any(map(str.isdigit, text)) and form(text) in self._user_forms

    def touched(self, user_id: str, task: Task, point: int | None = None) -> list[str]:
        """Items that she has touched, as an item task means it, in order: in her first `point` lines, or in all."""
        return self._now.touched(user_id, task, point)

    @property
    def names(self) -> ItemNames:
        """How names of items are read."""
        return self.catalog.names

    def title(self, item_id: str) -> str:
        return str(self.layout.items.get(item_id, {}).get("title") or f"(new) {item_id}")

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
        return self.rows(user_id, [item_id])[0]

    def rows(self, user_id: str, item_ids: Sequence[str]) -> list[Row]:
        """A question about each of some items, asked just after the log's end."""
        point, known = self.point(user_id), self._now.about_items(user_id, item_ids)
        return [Row(user_id, point, *about) for about in zip(item_ids, known, strict=True)]

    def user_row(self, user_id: str, task: str) -> Row:
        """The question about the user alone, as prompts.now.Now.about_user says it."""
        point, known = self._now.about_user(user_id, self.layout.tasks[task])
        return Row(user_id, point, "", known)

    def recommend(self, user_id: str, k: int, nodes: int = NODES) -> Found:
        """The k items most likely to be next, of all that the user has not touched. nodes: paths of the catalog's trie
        that the search extends at most; 0: as many as it takes to be exact."""
        return self.next_items(user_id, k, self.touched(user_id, self.item_task()), nodes)

    def next_items(
        self,
        user_id: str,
        k: int,
        exclude: Collection[str],
        nodes: int = NODES,
        stop: Callable[[], bool] = lambda: False,
    ) -> Found:
        """The k items most likely to be next, of all but `exclude`; nodes: as in `recommend`."""
        return top_items(self.engine, self.catalog.trie, self.list_request(user_id, k, exclude, nodes), stop)

    def list_request(self, user_id: str, k: int, exclude: Collection[str], nodes: int | None) -> ListRequest:
        """What a search for the user's next items is asked; nodes: as in `recommend`."""
        likely = self.followers(user_id)
        return ListRequest(self._next_question(user_id, likely), k, exclude, likely, nodes or None)

    def embed_users(self, user_ids: Sequence[str]) -> np.ndarray:
        """(n, width) float32, of length 1: each user's context and the question what comes next, as of the log's end.

        An inner product with a row of embed_items says how near she stands to an item. New users are embedded too.
        """
        return self.engine.embed([self.next_question(user) for user in user_ids])

    def embed_items(self, item_ids: Sequence[str]) -> np.ndarray:
        """(n, width) float32, of length 1: each item's own tokens, as a prompt. New items are embedded too."""
        return embedded(self.engine, self.layout, item_ids)

    def next_question(self, user_id: str) -> tuple[int, ...]:
        """The ids behind which an item is the next one: her context, and the item task's question."""
        return self._next_question(user_id, self.followers(user_id))

    def _next_question(self, user_id: str, candidates: Sequence[str]) -> tuple[int, ...]:
        question = self.layout.question(
            self.item_task().name, known=Known({"candidates": joined(candidates)})
        )
        context = self.histories.context(user_id, self.point(user_id))
        return (*context.tolist(), *question.ids)

    def followers(self, user_id: str, n: int = CANDIDATES, exclude: Collection[str] = ()) -> list[str]:
        """The n items, `exclude` left out, that followed what she touched last, best first, none that she has touched.
        The first CANDIDATES of all are those that her next question names."""
        return self._now.candidates(user_id, self.item_task(), n, exclude)


def served(
    folder: Path, card: AdapterCard, data: Prepared, tokenizer: Tokenizer, engine: Engine, regime: str = ""
) -> Served:
    """Everything but the model: the engine runs it, wherever it is. folder: the adapter's, for messages.

    regime: whose statistics the history lines say; the adapter's own if "". Raises UserError where the log is of
    another kind than that of the training, where the prompts are no longer those of the training, or where the data set
    derives a task's labels by another rule. On a data set of another name nothing is calibrated.
    """
    layout = layout_of(data, tokenizer, card.pack, card.task_objects())
    trained_on = str(card.data.get("log", layout.log))  # cards of earlier versions do not say it
    if layout.log != trained_on:
        kinds = [f"{kind} ({LOG_KINDS.get(kind, 'unknown here')})" for kind in (trained_on, layout.log)]
        raise UserError(
            f"{data.name} is another kind of log than the adapter was trained on: {kinds[0]} then, {kinds[1]} now",
            where=str(folder),
            cure="train it again on this data set, or name one of the kind it was trained on (--data)",
        )
    if (now := prompts_hash(layout)) != card.data["prompts"]:
        raise UserError(
            f"The prompts have changed since the adapter was trained ({card.data['prompts']} then, {now} now)",
            where=str(folder),
            cure="train it again, or bring back the pack and tasks it was trained with",
        )
    for name, task in layout.tasks.items():
        if name in data.tasks and plain(data.tasks[name].label) != plain(task.label):
            raise UserError(
                f"{data.name} was prepared with another label rule of {name} than the adapter was trained with",
                where=str(folder),
                cure="train it again on this data set, or prepare that with the labels it was trained with",
            )
    histories = histories_of(data, layout, card.history["tokens"], regime or card.regime)
    calibrations = card.calibrations() if data.name == card.data["name"] else {}
    predictor = Predictor(layout, histories, engine, calibrations)
    return Served(card, data, layout, histories, engine, predictor, Catalog(layout))


def form(user_id: str) -> str:
    """What ids of one kind have in common: every run of digits is one, every long hexadecimal number is one.

    >>> form("u00001") == form("u7"), form("42") == form("99999"), form("42") == form("room 42")
    (True, True, False)
    """
    hexadecimal = re.fullmatch(r"[0-9a-fA-F-]{16,}", user_id) and not user_id.isdigit()
    return "hexadecimal" if hexadecimal else re.sub(r"\d+", "0", user_id)


def plain(rule: Mapping[str, Any]) -> str:
    """A label rule as text, alike for one that was read from YAML and from JSON."""
    return json.dumps(dict(rule), sort_keys=True, default=str)


def chosen_adapter(named: str | None, runs: str = "runs") -> Path:
    """The adapter's folder that an option names, or the newest under a folder of runs."""
    return Path(named) if named else newest_adapter(Path(runs))


def newest_adapter(runs: Path) -> Path:
    """The adapter that was finished last under a folder of runs."""
    found = sorted(runs.glob("*/adapter/genrec.json"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise UserError(
            "There is no adapter yet", where=str(runs), cure="run `genrec train`, or name one with --adapter"
        )
    return found[-1].parent
