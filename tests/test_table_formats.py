"""Every type of column that Parquet can bring goes out in each format, or is refused with its column and row."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.table_formats import Unwritable, write_table

SOME = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2024, 5, 31, 12, 30, 0, 5, UTC)
# name: (column, as JSONL has it, as CSV has it)
COLUMNS: dict[str, tuple[pa.Array, list[Any], list[str]]] = {
    "category": (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None], ["a", "b", ""]),
    "number category": (pa.array([7, 8, None]).dictionary_encode(), [7, 8, None], ["7", "8", ""]),
    "time": (pa.array([NOON, None]), [NOON.isoformat(), None], ["2024-05-31T12:30:00.000005+00:00", ""]),
    "zoned": (
        pa.array([NOON.astimezone(ZoneInfo("Europe/Berlin"))], pa.timestamp("us", "Europe/Berlin")),
        ["2024-05-31T14:30:00.000005+02:00"], ["2024-05-31T14:30:00.000005+02:00"],
    ),
    "nanoseconds": (
        pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"], ["1970-01-01T00:00:00.000000001"],
    ),
    "date": (pa.array([date(2024, 5, 31)]), ["2024-05-31"], ["2024-05-31"]),
    "milliseconds date": (pa.array([date(2024, 5, 31)], pa.date64()), ["2024-05-31"], ["2024-05-31"]),
    "time of day": (pa.array([1], pa.time64("ns")), ["00:00:00.000000001"], ["00:00:00.000000001"]),
    "duration": (pa.array([timedelta(minutes=1), None]), ["P0DT0H1M0S", None], ["P0DT0H1M0S", ""]),
    "price": (pa.array([Decimal("1.50"), Decimal("2.00")]), [1.5, 2.0], ["1.50", "2.00"]),
    "whole decimal": (
        pa.array([Decimal(2**64 - 1), None], pa.decimal128(38, 0)), [2**64 - 1, None], [str(2**64 - 1), ""],
    ),
    "long decimal": (
        pa.array([Decimal("0.12345678901234567890"), Decimal("0.5")], pa.decimal128(38, 20)),
        ["0.12345678901234567890", "0.50000000000000000000"], ["0.12345678901234567890", "0.50000000000000000000"],
    ),
    "bytes": (pa.array(["é".encode(), None]), ["é", None], ["é", ""]),
    "fixed bytes": (pa.array([b"ab"], pa.binary(2)), ["ab"], ["ab"]),
    "uuid": (pa.array([SOME.bytes, None], pa.uuid()), [str(SOME), None], [str(SOME), ""]),
    "view": (pa.array(["a", None], pa.string_view()), ["a", None], ["a", ""]),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1], [str(2**64 - 1)]),
    "half": (pa.array(np.array([0.5], np.float16)), [0.5], ["0.5"]),
    "unknown number": (pa.array([float("nan"), None, 1.0]), [None, None, 1.0], ["nan", "", "1"]),
    "true": (pa.array([True, None]), [True, None], ["true", ""]),
    "nothing": (pa.nulls(2), [None, None], ["", ""]),
    "text": (pa.array(['a "b", c\nd', None]), ['a "b", c\nd', None], ['a "b", c\nd', ""]),
}  # fmt: skip
FINE = pa.time64("ns")
NESTED: dict[str, tuple[pa.Array, list[Any]]] = {
    "list": (pa.array([[NOON, None], None]), [["2024-05-31T12:30:00.000005+00:00", None], None]),
    "struct": (pa.array([{"a": Decimal("1.5"), "b": [b"x"]}, None]), [{"a": 1.5, "b": ["x"]}, None]),
    "map": (pa.array([[("k", date(2024, 5, 31))]], pa.map_(pa.string(), pa.date32())), [[["k", "2024-05-31"]]]),
    "time of day in a list": (pa.array([[5_000, None], None], pa.list_(FINE)), [["00:00:00.000005", None], None]),
    "nanoseconds in a struct": (
        pa.array([{"t": 1}, None], pa.struct([("t", pa.timestamp("ns"))])),
        [{"t": "1970-01-01T00:00:00.000000001"}, None],
    ),
    "fixed list": (pa.array([[1.0, float("nan")]], pa.list_(pa.float64(), 2)), [[1.0, None]]),
}  # fmt: skip


def written(column: pa.Array, suffix: str, folder: Path) -> Path:
    path = folder / f"out{suffix}"
    write_table(pa.table({"n": range(len(column)), "x": column}), path, suffix)
    return path


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_goes_out_in_each_format(name: str, tmp_path: Path) -> None:
    column, in_json, in_csv = COLUMNS[name]
    lines = written(column, ".jsonl", tmp_path).read_text("utf-8").splitlines()
    values = [json.loads(line)["x"] for line in lines]
    assert values == in_json
    assert [type(value) for value in values] == [type(value) for value in in_json]
    frame = pd.read_csv(written(column, ".csv", tmp_path), dtype=str, keep_default_na=False)
    assert frame.x.tolist() == in_csv
    again = pq.read_table(written(column, ".parquet", tmp_path))["x"]
    if not pa.types.is_floating(column.type):
        assert again.to_pylist() == column.to_pylist()


@pytest.mark.parametrize("name", NESTED)
def test_lists_structs_and_maps_go_out_where_the_format_has_them(name: str, tmp_path: Path) -> None:
    column, in_json = NESTED[name]
    lines = written(column, ".jsonl", tmp_path).read_text("utf-8").splitlines()
    assert [json.loads(line)["x"] for line in lines] == in_json
    assert written(column, ".parquet", tmp_path).exists()
    with pytest.raises(Unwritable, match="lists, structs or maps") as refused:
        written(column, ".csv", tmp_path)
    assert refused.value.column == "x"


@pytest.mark.parametrize(
    ("column", "suffixes", "why", "row"),
    [
        (pa.array([b"a", b"\xff"]), (".jsonl", ".csv"), "no UTF-8", 1),
        (pa.array([0.5, float("-inf")]), (".jsonl",), "no infinity", 1),
        (pa.array([[0.5], [float("inf")]]), (".jsonl",), "no infinity", 1),
        *(
            (pa.array([None, [1_000], [2_001]], kind), (".jsonl",), "finer than a microsecond", 2)
            for kind in (pa.list_(FINE), pa.large_list(FINE), pa.list_view(FINE), pa.list_(FINE, 1))
        ),
        (pa.array([None, {"a": 1_000}, {"a": 1}], pa.struct([("a", FINE)])), (".jsonl",), "finer than", 2),
        (
            pa.array([[{"a": 1_000}], [{"a": 1}]], pa.list_(pa.struct([("a", FINE)]))),
            (".jsonl",),
            "finer than",
            1,
        ),
        (pa.array([[("k", 1_000)], [("k", 1)]], pa.map_(pa.string(), FINE)), (".jsonl",), "finer than", 1),
        (pa.array([2**62], pa.timestamp("s")), (".jsonl", ".csv"), "has no text", None),
        (pa.array([{}], pa.struct([])), (".parquet",), "no child field", None),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_column_and_row(
    column: pa.Array, suffixes: tuple[str, ...], why: str, row: int | None, tmp_path: Path
) -> None:
    for suffix in suffixes:
        with pytest.raises(Unwritable, match=why) as refused:
            written(column, suffix, tmp_path)
        assert refused.value.row == row


def test_a_later_batch_of_rows_is_told_by_its_own_row(tmp_path: Path) -> None:
    column = pa.array([0.5] * 2345 + [float("inf")])
    with pytest.raises(Unwritable) as refused:
        written(column, ".jsonl", tmp_path)
    assert refused.value.row == 2345
    assert len(written(column.slice(0, 2345), ".jsonl", tmp_path).read_text().splitlines()) == 2345


def test_time_types_of_python_agree_with_those_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-05-31", None]), "d": pd.to_timedelta(["90s", None])})
    path = tmp_path / "out.jsonl"
    write_table(pa.Table.from_pandas(frame), path, ".jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"t": "2024-05-31T00:00:00", "d": "P0DT0H1M30S"}, {"t": None, "d": None}]
