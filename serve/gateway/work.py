"""What the recommendation routes answer, without HTTP: plain functions of an adapter, its engine and a request."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genrec.chain import CHAIN, CTCVR, chained
from genrec.errors import UserError
from genrec.item_names import ItemName
from genrec.stated import stated
from serve.every_task import every_task
from serve.gateway import schemas
from serve.guest import GUEST, Told, guest
from serve.nearest import nearest
from serve.predictor import Row
from serve.search import Found
from serve.served import Served

FOR_RETRIEVAL = 0.5  # of the time until a deadline
SCORED_AT_ONCE = 16  # candidates between two looks at the clock, where there is a deadline


class Person:
    """One user of a request: an adapter that knows them, and their id there. read: the names in a told history."""

    def __init__(self, served: Served, user_id: str, name: str | None, read: Sequence[ItemName] = ()) -> None:
        self.served, self.user_id, self.name, self.read = served, user_id, name, read

    @property
    def known(self) -> bool:
        """Whether the log tells of her."""
        return self.name is not None and self.served.knows(self.name)

    @property
    def lines(self) -> int:
        return self.served.point(self.user_id)

    @property
    def context(self) -> np.ndarray:
        """(n,) ids of what every question about her stands behind."""
        return self.served.histories.context(self.user_id, self.lines)

    @property
    def window(self) -> int:
        """How many of her lines stand there."""
        return self.lines - self.served.histories.start(self.user_id, self.lines)

    def row(self, item_id: str) -> Row:
        return self.served.row(self.user_id, item_id)

    def rows(self, item_ids: Sequence[str]) -> list[Row]:
        return self.served.rows(self.user_id, item_ids)


def person(served: Served, about: schemas.About) -> Person:
    """Raises UserError for one who is both named and told."""
    if about.history is not None:
        if about.user is not None:
            raise UserError("user and history exclude each other", where="history", cure="give one of them")
        read = served.names.read_all([event.item for event in about.history], "history")
        told = [
            Told(name.item_id, True if e.convert else e.click if "click" in e.model_fields_set else None, e.convert,
                 float("nan") if e.value is None else e.value, e.ts or 0.0)
            for e, name in zip(about.history, read, strict=True)
        ]  # fmt: skip
        return Person(guest(served, told), GUEST, None, read)
    return Person(served, about.user if about.user is not None else GUEST, about.user)


def names_read(**fields: Iterable[ItemName]) -> list[schemas.NameRead]:
    """By field of the request the names in it, but for exact ids that mean nothing else."""
    return [
        schemas.NameRead(field=field, name=name.name, item=name.item_id, read_as=name.read_as, note=name.note)
        for field, names in fields.items()
        for name in names
        if name.read_as != "id" or name.note
    ]


# ---- predict ------------------------------------------------------------------------------------------------


def predict(who: Person, model: str, body: schemas.PredictBody) -> schemas.PredictReply:
    served = who.served
    items = served.names.read_all(body.items, "items")
    found = every_task(served, who.user_id, [item.item_id for item in items], body.tasks, body.query)
    return schemas.PredictReply(
        model=model, user=who.name, known=who.known, history_lines=who.lines,
        about_user=found.about_user, calibrated=found.calibrated, names=names_read(history=who.read),
        items=[
            schemas.Prediction(
                item=item.item_id, title=served.title(item.item_id), known=item.known,
                read_as=item.read_as, note=item.note,
                probabilities={task: p[k].tolist() for task, p in found.about_items.items()},
            )
            for k, item in enumerate(items)
        ],
    )  # fmt: skip


# ---- recommend ----------------------------------------------------------------------------------------------


def recommend(
    who: Person, model: str, body: schemas.RecommendBody, received: float
) -> schemas.RecommendReply:
    """received: when, by time.monotonic; the deadline counts from then."""
    served, deadline = who.served, Deadline.of(received, body.deadline_ms)
    weights = body.weights if body.weights is not None else {first_task(served): 1.0}
    tasks = _tasks_of(served, weights)
    _check_columns(served, body.columns)
    touched = set(who.served.touched(who.user_id, served.item_task()))
    excluded = served.names.read_all(body.exclude, "exclude")
    available = served.names.read_all(body.available or [], "available")
    gone = {name.item_id for name in excluded} | (touched if body.repeat == "never" else set())
    if body.available is not None:
        gone |= set(served.layout.items) - {name.item_id for name in available}
    found, fallback = _retrieved(who, body, gone, deadline)
    items = [item for item, _ in found.items]
    rows = who.rows(items)
    p = _scored(served, rows, tasks, deadline)
    if p is None:
        fallback, p = "not scored", _stated(served, tasks, rows)
    weighed = {name: w for name, w in weights.items() if set(_parts(name)) <= set(p)}
    score = _combined(served, items, p, weighed, body.columns)
    order = _diverse(served, items, score, body.k, body.diversify)
    return schemas.RecommendReply(
        model=model, user=who.name, known=who.known,
        exact=found.exact, gap=found.gap if np.isfinite(found.gap) else None,
        fallback=fallback, left_out=[name for name in weights if name not in weighed],
        names=names_read(history=who.read, exclude=excluded, available=available),
        items=[
            schemas.Recommendation(
                item=items[n], title=served.title(items[n]), score=float(score[n]),
                probabilities={task: float(p[task][n]) for task in p},
                reason=_reason(served, rows[n]),
            )
            for n in order
        ],
    )  # fmt: skip


class Deadline(NamedTuple):
    """From `start`, `seconds` later; time.monotonic's seconds."""

    start: float
    seconds: float

    @classmethod
    def of(cls, received: float, ms: int | None) -> "Deadline":
        return cls(received, float("inf") if ms is None else ms / 1000)

    def spent(self, ahead: float = 0.0) -> float:
        """The share of the time that is over; or will be, so many seconds ahead."""
        return (time.monotonic() + ahead - self.start) / self.seconds


def _retrieved(
    who: Person, body: schemas.RecommendBody, gone: set[str], deadline: Deadline
) -> tuple[Found, schemas.Fallback]:
    """The candidates, and what was done instead where half of the time was over first."""
    n = max(body.candidates, body.k)
    if body.retrieve == "followers":
        return _followed(who, n, gone), ""

    def late() -> bool:
        return deadline.spent() > FOR_RETRIEVAL

    if body.retrieve == "search":
        found = who.served.next_items(who.user_id, n, gone, body.nodes, late)
    else:
        found = _nearest(who, n, gone, late)
    if found.exact or found.items:
        return found, "" if found.exact or not late() else "search stopped"
    return _followed(who, n, gone), "followers"


def _scored(
    served: Served, rows: Sequence[Row], tasks: Sequence[str], deadline: Deadline
) -> dict[str, np.ndarray] | None:
    """The tasks' probabilities; None where the deadline comes first, as far as the slowest batch so far tells."""
    if np.isinf(deadline.seconds):
        return served.predictor.predict(rows, tasks)
    parts, slowest = [served.predictor.predict([], tasks)], 0.0
    for start in range(0, len(rows), SCORED_AT_ONCE):
        begun = time.monotonic()
        if deadline.spent(slowest) > 1:
            return None
        parts.append(served.predictor.predict(rows[start : start + SCORED_AT_ONCE], tasks))
        slowest = max(slowest, time.monotonic() - begun)
    return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}


def first_task(served: Served) -> str:
    names = [task.name for task in served.tasks_about(item=True) if task.kind == "binary"]
    if not names:
        raise UserError("No binary task of this adapter is about an item", where="weights", cure="give none")
    return names[0]


def _parts(weighed: str) -> Sequence[str]:
    """The tasks behind a weight's name."""
    return CHAIN if weighed == CTCVR else (weighed,)


def _tasks_of(served: Served, weights: Mapping[str, float]) -> list[str]:
    """The tasks to ask for these weights; ctcvr is asked as its two."""
    known = [task.name for task in served.tasks_about(item=True) if task.kind == "binary"]
    known += [CTCVR] if chained(served.layout.tasks) else []
    if odd := [name for name in weights if name not in known]:
        what = f"There is no task {odd[0]!r} to weigh"
        raise UserError(what, where="weights", cure=f"choose among {', '.join(known)}")
    return list(dict.fromkeys(task for name in weights for task in _parts(name)))


def _nearest(who: Person, n: int, gone: set[str], stop: Callable[[], bool]) -> Found:
    served = who.served
    asked = served.next_question(who.user_id)
    return nearest(served.engine, asked, served.catalog.vectors, n, exclude=gone, stop=stop)


def _followed(who: Person, n: int, gone: set[str]) -> Found:
    found = [(item, float("nan")) for item in who.served.followers(who.user_id, n, gone)]
    return Found(found, False, float("inf"), 0)


def _stated(served: Served, tasks: Sequence[str], rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """What the prompts state, of the tasks of which they state anything."""
    columns = {task: stated(served.layout.tasks[task]) for task in tasks}
    return {
        task: np.array([(row.known.stats or {})[column] for row in rows], np.float64)
        for task, column in columns.items()
        if column is not None
    }


def _combined(
    served: Served,
    items: Sequence[str],
    p: Mapping[str, Any],
    weights: Mapping[str, float],
    columns: Mapping[str, float],
) -> np.ndarray:
    score = np.zeros(len(items))
    for name, weight in weights.items():
        score += weight * np.prod([p[task] for task in _parts(name)], axis=0)
    for name, weight in columns.items():
        values = np.array([_number(served, item, name) for item in items])
        known = values[np.isfinite(values)]
        if len(known) and known.max() > known.min():
            score += weight * np.nan_to_num((values - known.min()) / (known.max() - known.min()))
    return score


def _check_columns(served: Served, columns: Mapping[str, float]) -> None:
    for column in columns:
        if all(np.isnan(_number(served, item, column)) for item in served.layout.items):
            raise UserError(
                f"Items have no number column {column!r}", where="columns", cure="name one that they have"
            )


def _number(served: Served, item: str, column: str) -> float:
    value = served.layout.items.get(item, {}).get(column)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return float("nan")
    return float(value)


def _diverse(served: Served, items: Sequence[str], score: np.ndarray, k: int, cost: float) -> list[int]:
    """Greedy: each item loses cost times the share of its categories that stand in the list already."""
    left, listed, order = list(range(len(items))), set[str](), list[int]()
    categories = [set(served.layout.items.get(item, {}).get("category") or ()) for item in items]
    while left and len(order) < k:
        spent = [
            score[n] - cost * (len(categories[n] & listed) / len(categories[n]) if categories[n] else 0)
            for n in left
        ]
        best = left.pop(int(np.argmax(spent)))
        order.append(best)
        listed |= categories[best]
    return order


def _reason(served: Served, row: Row) -> str:
    """From what the prompt stated, nothing that the model made up."""
    words, stats = served.layout.pack.words, row.known.stats or {}
    share, match = stats.get("item_share"), stats.get("match_share")
    parts = []
    if share is not None and np.isfinite(share):
        parts.append(f"{round(100 * share)}% {words['clicked']} it")
    if match is not None and np.isfinite(match):
        parts.append(f"its record and this {words['person']}'s say {round(100 * match)}%")
    return "; ".join(parts) or "no record of it yet"
