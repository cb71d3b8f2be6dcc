"""Many rows at once: a file of users and items in, the same file with probabilities out, resumable after a kill."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from tqdm import tqdm

from genrec.chain import CHAIN, CTCVR, chained
from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import file_written_whole
from genrec.sources.files.sheet import Sheet
from genrec.tasks import Task
from serve.served import Served

PART = 2000  # rows that a kill can cost
FORMATS = (".csv", ".jsonl", ".parquet")
IDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
ROW = "row"
RUN = {"input": str, "adapter": str, "data": str, "tasks": [str], "part": int}


def score_file(
    served: Served, mark: str, tasks: Sequence[str], sheet: Sheet, out: Path, restart: bool = False
) -> int:
    """Write `out`: the rows and columns of `sheet`, in its order, and a column a task of probabilities as of the log's
    end; one an answer ("rating: 4") of a task with more than two, `ctcvr` where click and convert are both asked.
    Returns how many rows there are.

    sheet: with the columns user_id and, for tasks about an item, item_id; ids that the log does not know are scored as
    new. Parts that are done are kept beside `out` until it is whole. tasks: names. mark: AdapterCard.fingerprint.
    Raises UserError before any work for what cannot be scored or written, or goes on from another run's parts.
    """
    chosen = [served.layout.tasks[name] for name in tasks]
    about_items = [task for task in served.tasks_about(item=True) if task.name in tasks]
    columns = columns_of(served, chosen)
    check_output(sheet, columns, out)
    users = ids(sheet, "user_id")
    items = ids(sheet, "item_id") if about_items else [""] * len(users)
    parts = out.with_name(f".{out.name}.parts")
    _claim(parts, {**_made_of(served, mark, sheet.path), "tasks": list(tasks), "part": PART}, restart)
    order = np.argsort(pd.factorize(np.array(users, object))[0], kind="stable")
    with tqdm(total=len(users), desc="scored", unit="row", disable=None) as bar:
        for number, at in enumerate(_cut(order)):
            path = parts / f"{number:06d}.parquet"
            if not path.exists():
                answers = _scored(served, chosen, about_items, [users[i] for i in at], [items[i] for i in at])
                _write(pa.table({ROW: at, **{name: answers[name] for name in columns}}), path)
            bar.update(len(at))
    whole = pa.concat_tables(pq.read_table(path) for path in sorted(parts.glob("*.parquet"))).sort_by(ROW)
    table = sheet.table
    for name in columns:
        table = table.append_column(name, whole[name])
    _write(table, out)
    shutil.rmtree(parts)
    return len(users)


def columns_of(served: Served, tasks: Sequence[Task]) -> list[str]:
    """The columns that are added, in order."""
    names: list[str] = []
    for task in tasks:
        names += [task.name] if task.kind == "binary" else [f"{task.name}: {a.strip()}" for a in task.answers]
    if set(CHAIN) <= {task.name for task in tasks} and chained(served.layout.tasks):
        names.append(CTCVR)
    return names


def check_output(sheet: Sheet, columns: Sequence[str], out: Path) -> None:
    """Raises UserError for a format that is not written, a folder that is not there, a column that is there already."""
    if out.suffix not in FORMATS:
        raise UserError(f"Unknown format {out.suffix or out.name!r}", str(out), f"write {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise UserError("No such folder", where=str(out.parent), cure="make it, or name another --out")
    if taken := [name for name in columns if name in sheet.table.column_names]:
        raise UserError(
            f"There is a column {taken[0]!r} already",
            str(sheet.path),
            "rename it: the probability is called so",
        )
    nested = [field.name for field in sheet.table.schema if pa.types.is_nested(field.type)]
    if nested and out.suffix == ".csv":
        cure = "write .jsonl or .parquet"
        raise UserError(f"A CSV file cannot hold the lists of column {nested[0]!r}", str(out), cure)


def ids(sheet: Sheet, column: str) -> list[str]:
    """A column of ids as text. Raises UserError where it is not there, or empty in a row."""
    if column not in sheet.table.column_names:
        there = ", ".join(sheet.table.column_names)
        raise UserError(f"No column {column!r}", str(sheet.path), f"name one so; the file has {there}")
    values = sheet.table[column]
    if not any(fits(values.type) for fits in IDS):
        cure = "write them as text or whole numbers"
        raise UserError(f"Ids are {values.type}", f"{sheet.path}, column {column}", cure)
    texts: list[str | None] = pc.cast(values, pa.string()).to_pylist()
    for row, text in enumerate(texts):
        if not text:
            raise UserError("An id is missing", sheet.where(row, column), "fill it in, or take the row out")
    return [text for text in texts if text]


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
        asked = [served.row(user, item) for user, item in zip(users, items, strict=True)]
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


def _made_of(served: Served, mark: str, source: Path) -> dict[str, str]:
    """What the answers depend on, as marks that change with it."""
    return {
        "input": hashlib.sha256(source.read_bytes()).hexdigest(),
        "adapter": hashlib.sha256(
            json.dumps([mark, served.engine.name, served.card.calibration], sort_keys=True).encode()
        ).hexdigest(),
        "data": served.data.fingerprint(served.card.regime),
    }


def _claim(parts: Path, run: dict[str, Any], restart: bool) -> None:
    """Make the folder of parts, or go on with the one that is there if the same run made it."""
    path = parts / "run.json"
    if restart:
        shutil.rmtree(parts, ignore_errors=True)
    if path.exists():
        before = read_stored(path, RUN, "start anew with --restart")
        if changed := sorted(name for name in run if before[name] != run[name]):
            raise UserError(
                f"Parts of another run are there: its {', '.join(changed)} differ",
                where=str(parts),
                cure="name another --out, or start anew with --restart",
            )
        return
    parts.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as part:
        part.write_text(json.dumps(run))


def _write(table: pa.Table, path: Path) -> None:
    with file_written_whole(path) as part:
        if path.suffix == ".parquet":
            pq.write_table(table, part, compression="zstd")
        elif path.suffix == ".csv":
            arrow_csv.write_csv(table, part)
        else:
            with part.open("w", encoding="utf-8") as file:
                for batch in table.to_batches(max_chunksize=PART):
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
