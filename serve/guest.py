"""Someone who is in no log: a request tells her history, and she is asked about like any other user."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from genrec.errors import UserError
from genrec.statistics import COLUMNS, Outcome
from prompts.history import Histories
from serve.predictor import Predictor
from serve.served import Served

PURCHASES = ("bought", "purchases")  # kinds of log (genrec.lines.log_kind) in which all was bought
GUEST = "guest\x1f"  # no log has this id: sources refuse the character


class Told(NamedTuple):
    """One event of a history that a request tells. click, convert: None where the request does not say or know it.
    ts: seconds, 0 where not told."""

    item_id: str
    click: bool | None = None
    convert: bool | None = None
    value: float = float("nan")
    ts: float = 0.0


def guest(served: Served, told: Sequence[Told]) -> Served:
    """The same adapter on a data set of one user, GUEST: her lines, with the statistics of the log's end and of her own
    outcomes so far. The log's own users, items and counts stay as they are.

    Where the log does not say what was shown, an event is a touch or a purchase. Raises UserError for one that says it
    is neither.
    """
    statistics, rows = served.data.statistics_now().aside(), list[dict[str, Any]]()
    impressions = "click" in served.layout.tasks
    if impressions:
        known = statistics.meet([_outcome(what) for what in told])
    else:
        known = statistics.read_items(GUEST, [what.item_id for what in told])
    for n, (what, numbers) in enumerate(zip(told, known.tolist(), strict=True)):
        if impressions:
            convert = (-1 if what.convert is None else int(what.convert)) if what.click else 0
            outcome = {"kind": "impression", "click": int(bool(what.click)), "convert": convert}
        else:
            _check_said(what, served, f"history.{n}")
            bought_here = bool(what.convert) or served.layout.log in PURCHASES
            kind = "purchase" if bought_here else "touch"
            outcome = {"kind": kind, "click": int(what.click is not False), "convert": int(bought_here)}
        rows.append(
            {
                "user_id": GUEST, "item_id": what.item_id, "ts": int(what.ts * 1e6), "known_at": 0, **outcome,
                "value": what.value, "impression": -1, **dict(zip(COLUMNS, numbers, strict=True)),
            }
        )  # fmt: skip
    lines = pd.DataFrame(rows, columns=[*_LINE, *COLUMNS])
    data = replace(served.data, lines=lines, examples=served.data.examples.iloc[:0], latest=statistics)
    histories = Histories(served.layout, lines, served.histories.history_tokens)
    predictor = Predictor(served.layout, histories, served.engine, served.predictor.calibrations)
    return Served(served.card, data, served.layout, histories, served.engine, predictor, served.catalog)


def _outcome(what: Told) -> Outcome:
    """Of an impression. What was not clicked did not convert."""
    convert = None if what.convert is None else int(bool(what.convert and what.click))
    return Outcome(GUEST, what.item_id, int(bool(what.click)), convert)


def _check_said(what: Told, served: Served, where: str) -> None:
    """Refuse an event that no log of this kind holds: one without a click where nothing says what was shown, one
    without a conversion where all was bought."""
    log = served.layout.log
    if log in PURCHASES and what.convert is False:
        field, says = "convert", "purchases alone"
    elif log != "seen" and what.click is False:
        field, says = (
            "click",
            "purchases alone" if log in PURCHASES else "what was chosen, and not what was shown",
        )
    else:
        return
    raise UserError(
        f'"{field}": false says nothing here: the log that the adapter serves holds {says}',
        where=f"{where}.{field}",
        cure="leave the event out, or the field if the event belongs to the history",
    )


_LINE = ("user_id", "item_id", "ts", "known_at", "kind", "click", "convert", "value", "impression")
