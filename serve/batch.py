"""Many rows at once: a file of users and items in, the same file with probabilities out, resumable after a kill."""

import hashlib
import json
import os
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
from genrec.sources.files.sheet import Sheet, read_sheet
from genrec.tasks import Task
from serve.predictor import Row
from serve.served import Served

PART = 2000  # rows that a kill can cost
FORMATS = (".csv", ".jsonl", ".parquet")
IDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
ROW = "row"
RUN = {"input": str, "adapter": str, "data": str, "tasks": [str], "part": int}


def score_file(
    served: Served, mark: str, tasks: Sequence[str], source: Path, out: Path, restart: bool = False
) -> int:
    """Write `out`: the rows and columns of `source`, in its order, and a column a task of probabilities as of the log's
    end; one an answer ("rating: 4") of a task with more than two, `ctcvr` where click and convert are both asked. A
    question about a user that the log never asked is null. Returns how many rows there are.

    source: CSV, JSONL or Parquet with the columns user_id and, for tasks about an item, item_id; ids that the log does
    not know are scored as new. Parts that are done are kept beside `out` until it is whole. tasks: names.
    mark: AdapterCard.fingerprint.
    Raises UserError before any work for what cannot be scored or written, or goes on from another run's parts.
    """
    sheet = read_sheet(source)
    chosen = [served.layout.tasks[name] for name in tasks]
    columns = columns_of(served, chosen)
    check_output(sheet, columns, out)
    users, items = ids(sheet, "user_id"), ids(sheet, "item_id") if _about_items(served, chosen) else None
    parts = out.with_name(f".{out.name}.parts")
    _claim(parts, {**_made_of(served, mark, source), "tasks": list(tasks), "part": PART}, restart)
    order = np.argsort(pd.factorize(np.array(users, object))[0], kind="stable")
    with tqdm(total=len(users), desc="scored", unit="row", disable=None) as bar:
        for number, at in enumerate(_cut(order)):
            path = parts / f"{number:06d}.parquet"
            if not path.exists():
                rows = [(users[i], items[i] if items is not None else "") for i in at]
                _write(pa.table({ROW: at, **_scored(served, chosen, rows, columns)}), path)
            bar.update(len(at))
    whole = [pq.read_table(path) for path in sorted(parts.glob("*.parquet"))]
    answers = pa.concat_tables(whole).sort_by(ROW).drop_columns([ROW]) if whole else None
    table = sheet.table
    for name in columns:
        values = answers[name] if answers is not None else pa.array([], pa.float64())
        table = table.append_column(name, values)
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


def _about_items(served: Served, tasks: Sequence[Task]) -> bool:
    about = {task.name for task in served.tasks_about(item=True)}
    return any(task.name in about for task in tasks)


def _scored(
    served: Served, tasks: Sequence[Task], rows: Sequence[tuple[str, str]], columns: Sequence[str]
) -> dict[str, pa.Array]:
    """Per column a probability a row, null where nothing was asked."""
    of_items = {task.name for task in served.tasks_about(item=True)}
    about_items = [task for task in tasks if task.name in of_items]
    found: dict[str, Any] = {}
    if about_items:
        asked = [served.row(user, item) for user, item in rows]
        answers = served.predictor.predict(asked, [task.name for task in about_items])
        for task in about_items:
            p = answers[task.name]
            found |= dict(zip(columns_of(served, [task]), p.T if p.ndim == 2 else [p], strict=True))
        found |= {name: answers[name] for name in (CTCVR,) if name in answers}
    for task in tasks:
        if task.name not in of_items:
            found[task.name] = _of_users(served, task.name, [user for user, _ in rows])
    return {name: pa.array(found[name], pa.float64(), from_pandas=True) for name in columns}


def _of_users(served: Served, task: str, users: Sequence[str]) -> np.ndarray:
    """(n,) of a task about the user alone: asked once a user, NaN for one that the log never asked it of."""
    asked: dict[str, Row] = {}
    for user in dict.fromkeys(users):
        if row := served.return_row(user, task):
            asked[user] = row
    p = served.predictor.predict(list(asked.values()), [task])[task] if asked else np.empty(0)
    by_user = dict(zip(asked, p.tolist(), strict=True))
    return np.array([by_user.get(user, np.nan) for user in users], np.float64)


def _cut(order: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(order), PART):
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
    part = parts / ".run.json"
    part.write_text(json.dumps(run))
    part.replace(path)


def _write(table: pa.Table, path: Path) -> None:
    """A file that is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".parquet":
        pq.write_table(table, part, compression="zstd")
    elif path.suffix == ".csv":
        arrow_csv.write_csv(table, part)
    else:
        with part.open("w", encoding="utf-8") as file:
            for batch in table.to_batches(max_chunksize=PART):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
    part.replace(path)
