"""Which lines of a history moved an answer: the answer is asked for again without them."""

import copy
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from scipy.special import logit

from genrec.errors import UserError
from prompts.history import Histories
from serve.gateway import schemas
from serve.gateway.work import Person, names_read
from serve.predictor import Predictor, Row


def explain(who: Person, model: str, body: schemas.ExplainBody) -> schemas.ExplainReply:
    """Each line of the window is left out in turn; what the log says of the item stays as it is."""
    served = who.served
    binary = [task.name for task in served.tasks_about(item=True) if task.kind == "binary"]
    if body.task not in binary:
        raise UserError(f"There is no task {body.task!r} about an item", where="task", cure=", ".join(binary))
    name, window = served.names.read(body.item, "item"), lines_read(who)
    item = name.item_id
    whole, *without = without_lines(who, item, body.task, [(), *((n,) for n in range(len(window)))])
    effects = logit(whole) - logit(np.array(without))
    order = np.argsort(-np.abs(effects), kind="stable")[: body.lines]
    return schemas.ExplainReply(
        model=model, user=who.name, known=who.known, item=item, title=served.title(item), task=body.task,
        probability=whole, names=names_read(history=who.read, item=[name]),
        lines=[
            schemas.Moved(
                line=int(len(window) - 1 - n), item=str(window.item_id.iloc[n]), effect=float(effects[n]),
                title=served.title(str(window.item_id.iloc[n])), click=bool(window.click.iloc[n]),
            )
            for n in order
        ],
    )  # fmt: skip


def lines_read(who: Person) -> pd.DataFrame:
    """The rows of Prepared.lines that stand in her window now, oldest first."""
    lines = who.served.data.lines
    hers = lines[lines.user_id == who.user_id].iloc[: who.lines]
    return hers.iloc[who.served.histories.start(who.user_id, who.lines) :]


def without_lines(who: Person, item: str, task: str, left_out: Sequence[Collection[int]]) -> list[float]:
    """The probability, once for each set of lines left out together: places in her window, from the oldest, which
    is 0."""
    served, known, window = who.served, who.row(item).known, lines_read(who)
    rows = []
    lines = []
    for n, places in enumerate(left_out):
        frame = window.drop(window.index[sorted(places)])
        user = f"{who.user_id}\x1f{n}"
        lines.append(frame.assign(user_id=user))
        rows.append(Row(user, len(frame), item, known))
    layout = copy.copy(served.layout)
    profile = layout.users.get(who.user_id, {})
    layout.users = {row.user_id: profile for row in rows}
    histories = Histories(layout, pd.concat(lines), 10 * served.histories.history_tokens)
    calibrations = served.predictor.calibrations
    return [
        float(p)
        for p in Predictor(layout, histories, served.engine, calibrations).predict(rows, [task])[task]
    ]
