"""Someone who is in no log: a request tells her history, and she is asked about like any other user."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from genrec.statistics import COLUMNS, Outcome
from prompts.history import Histories
from serve.predictor import Predictor
from serve.served import Served

GUEST = "guest\x1f"  # no log has this id: sources refuse the character


class Told(NamedTuple):
    """One thing she was shown, oldest first. convert: None while that is not known. ts: seconds, 0 where not told."""

    item_id: str
    click: bool
    convert: bool | None = None
    value: float = float("nan")
    ts: float = 0.0


def guest(served: Served, told: Sequence[Told]) -> Served:
    """The same adapter on a data set of one user, GUEST: her lines, with the statistics of the log's end and of her own
    outcomes so far. The log's own users, items and counts stay as they are."""
    statistics, rows = served.data.statistics_now().aside(), list[dict[str, Any]]()
    impressions = "click" in served.layout.tasks
    for what in told:
        known = dict(zip(COLUMNS, statistics.read(GUEST, what.item_id).tolist(), strict=True))
        if impressions:
            convert = (-1 if what.convert is None else int(what.convert)) if what.click else 0
            outcome = {"kind": "impression", "click": int(what.click), "convert": convert}
        else:
            bought_here = bool(what.convert) or served.layout.log in ("bought", "purchases")
            kind = "purchase" if bought_here else "touch"
            outcome = {"kind": kind, "click": 1, "convert": int(bought_here)}
        rows.append(
            {
                "user_id": GUEST, "item_id": what.item_id, "ts": int(what.ts * 1e6), "known_at": 0, **outcome,
                "value": what.value, "impression": -1, **known,
            }
        )  # fmt: skip
        if impressions:
            bought = None if what.convert is None else int(what.convert and what.click)
            statistics.meet(Outcome(GUEST, what.item_id, int(what.click), bought))
    for task in served.layout.tasks.values():
        if task.kind == "item":
            served.data.followers_now(task.name)
    lines = pd.DataFrame(rows, columns=[*_LINE, *COLUMNS])
    data = replace(served.data, lines=lines, examples=served.data.examples.iloc[:0], latest=statistics)
    histories = Histories(served.layout, lines, served.histories.history_tokens)
    predictor = Predictor(served.layout, histories, served.engine, served.predictor.calibrations)
    return Served(served.card, data, served.layout, histories, served.engine, predictor, served.catalog)


_LINE = ("user_id", "item_id", "ts", "known_at", "kind", "click", "convert", "value", "impression")
