"""Many rows at once: a file of users and items in, the same file with probabilities out, resumable after a kill."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from genrec.chain import CHAIN, CTCVR, chained
from genrec.errors import UserError
from genrec.files import file_tried, file_written_whole
from genrec.item_names import ItemName
from genrec.progress import Progress
from genrec.sources.files.sheet import Sheet
from genrec.sources.files.text import NotText, as_text
from genrec.tasks import Task
from serve.score_parts import PARTS, claimed, cleared
from serve.served import Served
from serve.table_formats import FORMATS, Unwritable, write_table

PART = 2000  # rows that a kill can cost
ROW = "row"


def score_file(
    served: Served,
    mark: str,
    tasks: Sequence[str],
    sheet: Sheet,
    out: Path,
    restart: bool = False,
    parts_folder: Path | None = None,
) -> int:
    """Write `out`: the rows and columns of `sheet`, in its order, and a column a task of probabilities as of the log's
    end; one an answer ("rating: 4") of a task with more than two, `ctcvr` where click and convert are both asked.
    Returns how many rows there are.

    sheet: with the columns user_id and, for tasks about an item, item_id, which holds ids or titles; what the log does
    not know is scored as new. tasks: names. mark: AdapterCard.fingerprint. restart, parts_folder: as claimed() has
    them; the parts are kept until `out` is whole.
    Raises UserError before any work for what cannot be scored or written, for an output or parts inside the folder that
    is read, and for parts of another run; and where the place stops taking what is written, with the folder of what was
    computed.
    """
    chosen = [served.layout.tasks[name] for name in tasks]
    about_items = [task for task in served.tasks_about(item=True) if task.name in tasks]
    columns = columns_of(served, chosen)
    users = ids(sheet, "user_id")
    items = [name.item_id for name in items_named(served, sheet)] if about_items else [""] * len(users)
    _check_apart(sheet, out, "--out")
    if parts_folder:
        _check_apart(sheet, parts_folder, "--parts")
    check_output(sheet, columns, out)
    run = {**_made_of(served, mark, sheet), "tasks": list(tasks), "part": PART}
    order = np.argsort(pd.factorize(np.array(users, object))[0], kind="stable")
    with claimed(out, run, parts_folder, restart) as parts:
        with Progress("scored", len(users), "row") as progress:
            for number, at in enumerate(_cut(order)):
                path = parts / f"{number:06d}.parquet"
                if not path.exists():
                    asked_users, asked_items = [users[i] for i in at], [items[i] for i in at]
                    answers = _scored(served, chosen, about_items, asked_users, asked_items)
                    _write(pa.table({ROW: at, **{name: answers[name] for name in columns}}), path, parts)
                progress.advance(len(at))
        whole = pa.concat_tables(pq.read_table(path) for path in sorted(parts.glob(PARTS))).sort_by(ROW)
        _write(_with_columns(sheet.table, {name: whole[name] for name in columns}), out, parts)
        cleared(parts)
    return len(users)


def _with_columns(table: pa.Table, columns: dict[str, Any]) -> pa.Table:
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _write(table: pa.Table, path: Path, parts: Path) -> None:
    """The table, whole or not at all. Raises UserError that says where the parts are kept."""
    try:
        with file_written_whole(path) as part:
            write_table(table, part, path.suffix)
    except (UserError, OSError, Unwritable) as error:
        what = error.what if isinstance(error, UserError) else f"Cannot write: {error}"
        cure = f"make room, or name another --out: with --parts {parts} it goes on from what was computed"
        raise UserError(what, str(path), cure) from error


def columns_of(served: Served, tasks: Sequence[Task]) -> list[str]:
    """The columns that are added, in order."""
    names: list[str] = []
    for task in tasks:
        names += [task.name] if task.kind == "binary" else [f"{task.name}: {a.strip()}" for a in task.answers]
    if set(CHAIN) <= {task.name for task in tasks} and chained(served.layout.tasks):
        names.append(CTCVR)
    return names


def _check_apart(sheet: Sheet, place: Path, option: str) -> None:
    """Raises UserError for a place inside the folder that is read: the next run would read what is written there."""
    if sheet.parts and place.resolve().is_relative_to(sheet.path.resolve()):
        raise UserError(
            "That is inside the folder that is read",
            f"{option} {place}",
            f"name a place outside {sheet.path}",
        )


def check_output(sheet: Sheet, columns: Sequence[str], out: Path) -> None:
    """Raises UserError for a format that is not written, a folder that is not there, a column that is there already,
    and for whatever keeps such a table from being written there: one of its size is, and is taken away again."""
    if out.suffix not in FORMATS:
        raise UserError(f"Unknown format {out.suffix or out.name!r}", str(out), f"write {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise UserError("No such folder", where=str(out.parent), cure="make it, or name another --out")
    if out.is_dir():
        raise UserError("There is a folder of that name", where=str(out), cure="name another --out")
    if taken := [name for name in columns if name in sheet.table.column_names]:
        raise UserError(
            f"There is a column {taken[0]!r} already",
            str(sheet.path),
            "rename it: the probability is called so",
        )
    thirds = np.full(len(sheet.table), 1 / 3)  # as long, as text, as any probability
    whole = _with_columns(sheet.table, {name: pa.array(thirds) for name in columns})
    try:
        with file_tried(out) as trial:
            write_table(whole, trial, out.suffix)
    except Unwritable as error:
        where = str(sheet.path) if error.row is None else sheet.where(error.row)
        where += f", column {error.column}" if error.column else ""
        others = ", ".join(suffix for suffix in FORMATS if suffix != out.suffix)
        what = f"{out.suffix} cannot hold what is there: {error.why}"
        raise UserError(what, where, f"write {others}, or leave that column out") from error


def ids(sheet: Sheet, column: str) -> list[str]:
    """A column of ids as text. Raises UserError where it is not there, or empty in a row."""
    if column not in sheet.table.column_names:
        there = ", ".join(sheet.table.column_names)
        raise UserError(f"No column {column!r}", str(sheet.path), f"name one so; the file has {there}")
    try:
        texts: list[str | None] = as_text(sheet.table[column]).to_pylist()
    except NotText as error:
        row = int(np.flatnonzero(error.rows)[0])
        raise UserError(f"An id is {error.what}", sheet.where(row, column), error.cure) from error
    for row, text in enumerate(texts):
        if not text:
            raise UserError("An id is missing", sheet.where(row, column), "fill it in, or take the row out")
    return [text for text in texts if text]


def items_named(served: Served, sheet: Sheet) -> list[ItemName]:
    """How item_id is read, a row: it holds ids or titles. Raises UserError for one that fits several items."""
    read: dict[str, ItemName] = {}
    names = ids(sheet, "item_id")
    for row, name in enumerate(names):
        if name not in read:
            try:
                read[name] = served.names.read(name, "item_id")
            except UserError as error:
                raise UserError(error.what, sheet.where(row, "item_id"), error.cure) from error
    return [read[name] for name in names]


def _scored(
    served: Served,
    tasks: Sequence[Task],
    about_items: Sequence[Task],
    users: Sequence[str],
    items: Sequence[str],
) -> dict[str, pa.Array]:
    """Per column a probability a row. about_items: those of tasks that are."""
    found: dict[str, Any] = {}
    if about_items:
        asked = [
            row
            for user, pairs in groupby(zip(users, items, strict=True), key=itemgetter(0))
            for row in served.rows(user, [item for _, item in pairs])
        ]
        answers = served.predictor.predict(asked, [task.name for task in about_items])
        for task in about_items:
            p = answers.pop(task.name)
            found |= dict(zip(columns_of(served, [task]), p.T if p.ndim == 2 else [p], strict=True))
        found |= answers  # what follows from them: ctcvr
    for task in tasks:
        if task not in about_items:
            found[task.name] = _of_users(served, task.name, users)
    return {name: pa.array(p, pa.float64()) for name, p in found.items()}


def _of_users(served: Served, task: str, users: Sequence[str]) -> np.ndarray:
    """(n,) of a task about the user alone: asked once a user."""
    asked = list(dict.fromkeys(users))
    p = served.predictor.predict([served.user_row(user, task) for user in asked], [task])[task]
    by_user = dict(zip(asked, p.tolist(), strict=True))
    return np.array([by_user[user] for user in users], np.float64)


def _cut(order: np.ndarray) -> Iterator[np.ndarray]:
    """In parts; no rows are one empty part."""
    for start in range(0, max(len(order), 1), PART):
        yield order[start : start + PART]


def _hash(sheet: Sheet) -> str:
    """SHA-256 of a file's delimiter and bytes; of a folder, of the name of each file that is read and of all that."""
    if not sheet.parts:
        return hashlib.sha256(sheet.delimiter.encode() + sheet.path.read_bytes()).hexdigest()
    names = [str(part.path.relative_to(sheet.path)) for part in sheet.parts]
    marks = [_hash(part) for part in sheet.parts]
    return hashlib.sha256(json.dumps([names, marks]).encode()).hexdigest()


def _made_of(served: Served, mark: str, sheet: Sheet) -> dict[str, str]:
    """What the answers depend on, as marks that change with it."""
    return {
        "input": _hash(sheet),
        "adapter": hashlib.sha256(
            json.dumps([mark, served.engine.name, served.card.calibration], sort_keys=True).encode()
        ).hexdigest(),
        "data": served.data.fingerprint(served.card.regime),
    }
