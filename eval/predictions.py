"""Files of predictions as contestants: which of them answer which task, and what to say where one cannot."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from eval.answers import as_task, asked
from eval.baselines.file import FilePredictions
from eval.results_file import in_file_names
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.errors import UserError


def read_files(
    paths: Iterable[Path], data: Prepared, tasks: Sequence[str], taken: Collection[str], split: str = "test"
) -> list[FilePredictions]:
    """Each file as a model called as the file is. taken: names that others have.

    Raises UserError for a file that cannot be read, a name that is taken, and a file that answers none of the tasks.
    """
    files: list[FilePredictions] = []
    for path in paths:
        file = FilePredictions(path)
        if in_file_names(file.name) in map(in_file_names, {*taken, *(other.name for other in files)}):
            raise UserError(f"Two models are called {file.name!r}", str(path), "give the file another name")
        if not any(answered(file, data, task, split) for task in tasks):
            raise UserError(
                f"No prediction is of a {split} example of {', '.join(tasks)}",
                str(path),
                "take task, user_id, item_id and ts as they stand in prepared/examples.parquet of the data",
            )
        files.append(file)
    return files


def those_for(
    task: str, files: Sequence[FilePredictions], data: Prepared, split: str = "test"
) -> list[FilePredictions]:
    """The files that take part in a task; says which do not, and how much the others leave out."""
    found = []
    for file in files:
        rows, n = asked(data, task, split).rows, answered(file, data, task, split)
        if n:
            found.append(file)
            print(f"{task}: {file.name} predicts {n:,} of {len(rows):,}")
        else:
            print(f"{task}: {file.name} does not take part{_why(task)}")
    return found


def _why(task: str) -> str:
    return ": it needs click and convert rows of all impressions, clicked or not" if task == CTCVR else ""


def answered(file: FilePredictions, data: Prepared, task: str, split: str = "test") -> int:
    """How many examples of a split a file predicts; of ctcvr none if conversions are predicted of clicked impressions
    alone, since those are no sample of all."""
    rows = asked(data, task, split).rows
    if task != CTCVR:
        return int(np.isfinite(file.predict(data, rows)).sum()) if data.tasks[task].kind == "binary" else 0
    both = np.isfinite(file.predict(data, rows))
    both &= np.isfinite(file.predict(as_task(data, rows, "convert"), np.arange(len(rows))))
    refused = (data.examples.label.iloc[rows] == 0).to_numpy()
    return int(both.sum()) if both[refused].any() else 0
