"""The prompts of a parity run: drawn from the test split, the same for the same data, adapter and seed."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.tasks import Task
from prompts.history import Histories
from prompts.layout import Ids, Known, Layout, Question
from serve.engine import Request

TOGETHER = 10  # candidates of one user and task: what can be ranked


class DrawnPrompt(NamedTuple):
    """questions: one, or for an item one a token of it, each the beginning of the next."""

    task: str
    user_id: str
    item_id: str
    context: Ids
    questions: tuple[Question, ...]

    @property
    def ids(self) -> Ids:
        """All that is read."""
        return (*self.context, *self.questions[-1].ids)

    def log_odds(self, rows: Sequence[np.ndarray]) -> float:
        """Of the first answer against the rest, or of the whole item; rows: log-probabilities, one array a question."""
        logprob = float(sum(row[0] for row in rows))
        if len(rows) == 1 and len(rows[0]) > 1:
            return logprob - float(np.logaddexp.reduce(rows[0][1:]))
        return logprob - float(np.log(-np.expm1(min(logprob, -1e-15))))


def draw(
    data: Prepared, layout: Layout, histories: Histories, regime: str, n: int, seed: int
) -> list[DrawnPrompt]:
    """About n prompts, as many of each task: of a user up to TOGETHER at a time, so that candidates can be ranked.

    A task with fewer test examples gives them all. Raises UserError where there is none at all.
    """
    tasks = [
        task for task in layout.tasks.values() if task.kind != "text" and len(data.rows(task.name, "test"))
    ]
    if not tasks:
        raise UserError(
            "The test split has no examples", where=data.name, cure="prepare it with another split"
        )
    found: list[DrawnPrompt] = []
    for number, task in enumerate(tasks):
        wanted = n // len(tasks) + (number < n % len(tasks))
        write = _items if task.kind == "item" else _answers
        rows = data.rows(task.name, "test")
        found += write(data, layout, histories, regime, task, rows, wanted, seed)
    return found


def requests(prompts: Sequence[DrawnPrompt]) -> tuple[list[Request], list[list[int]]]:
    """One request a context, and which prompts it asks."""
    together: dict[Ids, list[int]] = {}
    for n, prompt in enumerate(prompts):
        together.setdefault(prompt.context, []).append(n)
    asked = [
        Request(context, [question for n in numbers for question in prompts[n].questions])
        for context, numbers in together.items()
    ]
    return asked, list(together.values())


def digest(prompts: Iterable[DrawnPrompt]) -> str:
    """Changes with any token that is read and any that is asked for."""
    return hashlib.sha256(repr([tuple(prompt) for prompt in prompts]).encode()).hexdigest()


def _answers(
    data: Prepared,
    layout: Layout,
    histories: Histories,
    regime: str,
    task: Task,
    rows: np.ndarray,
    n: int,
    seed: int,
) -> list[DrawnPrompt]:
    examples = data.examples.iloc[rows]
    turn = examples.groupby("user_id").cumcount().to_numpy() // TOGETHER
    chosen = rows[_order(examples.user_id, turn, seed)[:n]]
    known = data.stats[regime].iloc[chosen].to_dict("records")
    found = []
    for example, stats in zip(data.examples.iloc[chosen].itertuples(), known, strict=True):
        what = Known.of(stats, example.horizon_days, example.gap_days)
        question = layout.question(task.name, example.item_id, what)
        context = tuple(histories.context(example.user_id, example.point).tolist())
        found.append(DrawnPrompt(task.name, example.user_id, example.item_id, context, (question,)))
    return found


def _items(
    data: Prepared,
    layout: Layout,
    histories: Histories,
    regime: str,
    task: Task,
    rows: np.ndarray,
    n: int,
    seed: int,
) -> list[DrawnPrompt]:
    """Whole items behind an item question: the one that came next, and others of the catalog."""
    examples = data.examples.iloc[rows]
    turn = examples.groupby("user_id").cumcount().to_numpy()
    chosen = rows[_order(examples.user_id, turn, seed)[: -(-n // TOGETHER)]]
    dice, catalog = np.random.default_rng(seed), sorted(layout.items)
    found = []
    known = data.stats[regime].iloc[chosen].to_dict("records")
    for example, stats in zip(data.examples.iloc[chosen].itertuples(), known, strict=True):
        context = histories.context(example.user_id, example.point).tolist()
        whole = (*context, *layout.question(task.name, known=Known(stats)).ids)
        others = dice.choice(catalog, min(TOGETHER, len(catalog)), replace=False).tolist()
        for item in [example.item_id, *(i for i in others if i != example.item_id)][:TOGETHER]:
            ids = layout.item(item)
            steps = tuple(Question(ids[:k], (ids[k],), "vocabulary") for k in range(len(ids)))
            found.append(DrawnPrompt(task.name, example.user_id, item, whole, steps))
    return found[:n]


def _order(users: pd.Series, turn: np.ndarray, seed: int) -> np.ndarray:
    """First turns of all users before second ones; users in an order that the seed draws."""

    def place(user: str) -> bytes:
        return hashlib.blake2b(f"{seed} {user}".encode()).digest()

    ranks = {user: k for k, user in enumerate(sorted(users.unique(), key=place))}
    return np.asarray(np.lexsort((users.map(ranks).to_numpy(), turn)))
