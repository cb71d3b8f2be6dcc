"""A file of predictions from the model that a team has today: CSV or Parquet, one row an example."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eval.recommender import Floats, Rows
from genrec.dataset import Prepared
from genrec.errors import UserError

KEY = ["task", "user_id", "item_id", "ts"]


class FilePredictions:
    """Columns task, user_id, item_id (empty where the task has none), ts (microseconds or ISO 8601, UTC), p.

    An example that the file does not hold, or whose p is empty, is NaN: not scored, and counted. For `ctcvr` the
    file holds `convert` rows of all impressions, the clicked ones or not.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path, self.name = path, name or path.stem
        table = _read(path)
        twice = table.duplicated(KEY)
        if twice.any():
            row = int(np.flatnonzero(twice)[0])
            raise UserError(
                "An example has two predictions",
                f"{path}, {_line(path, row)}",
                "keep one row for each example",
            )
        outside = (table.p < 0) | (table.p > 1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise UserError(
                f"p is {table.p.iloc[row]}",
                f"{path}, {_line(path, row)}, column p",
                "write probabilities from 0 to 1",
            )
        self.p = table.set_index(KEY).p

    def fit(self, data: Prepared, regime: str) -> None:
        """Nothing: the file's own model was fitted by its owner."""

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        wanted = pd.MultiIndex.from_frame(data.examples.iloc[rows][KEY])
        return np.asarray(self.p.reindex(wanted).to_numpy(np.float64), dtype=np.float64)


def _read(path: Path) -> pd.DataFrame:
    cure = "write CSV in UTF-8 or Parquet with the columns " + ", ".join([*KEY, "p"])
    texts = dict.fromkeys(KEY, str)
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path).to_pandas()
        else:
            table = pd.read_csv(path, dtype=texts, keep_default_na=False)
    except (OSError, UnicodeDecodeError, ValueError, pa.ArrowException) as error:
        raise UserError(f"Cannot read the predictions: {error}", str(path), cure) from error
    if missing := [name for name in (*KEY, "p") if name not in table]:
        raise UserError(f"No column {missing[0]!r}", str(path), cure)
    table["item_id"] = table.item_id.fillna("")
    table = table.astype(dict.fromkeys(("task", "user_id", "item_id"), str))
    table["ts"] = _column(
        table.ts, _microseconds, path, "ts", "write microseconds since 1970 or ISO 8601, in UTC"
    )
    table["p"] = _column(
        table.p.replace("", np.nan), pd.to_numeric, path, "p", "write numbers, or nothing if not scored"
    )
    return table[[*KEY, "p"]]


def _column(
    values: pd.Series, convert: Callable[[pd.Series], pd.Series], path: Path, name: str, cure: str
) -> pd.Series:
    try:
        return convert(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"A value is of the wrong type: {error}", f"{path}, column {name}", cure) from error


def _microseconds(values: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        moments = pd.to_datetime(values, utc=True)
    elif pd.api.types.is_numeric_dtype(values) or values.str.fullmatch(r"-?\d+").all():
        return values.astype(np.int64)
    else:
        moments = pd.to_datetime(values, utc=True, format="ISO8601")
    return moments.map(lambda moment: moment.value // 1000)


def _line(path: Path, row: int) -> str:
    return f"row {row + 1}" if path.suffix == ".parquet" else f"line {row + 2}"
