"""A table written as CSV, JSONL or Parquet: every type of column goes out, or is refused with its column and row.

Parquet keeps the types. JSONL and CSV hold times, dates and durations as text in ISO 8601, categories by their values,
uuids as text and bytes as the UTF-8 text that they are. JSONL has decimals as numbers where a float or a 64-bit integer
holds each value of the column exactly, else as text; lists and structs as they are, and of a map a list of its pairs.
Times of day within them go to the microsecond, and finer ones are refused. A CSV cannot hold lists, structs and maps.
"""

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from genrec.sources.files.text import is_bytes, plain

FORMATS = (".csv", ".jsonl", ".parquet")
ROWS = 2000  # that are converted at once

Convert = Callable[[Any], Any]  # of a value as to_pylist has it, into one that json.dumps takes


class Unwritable(Exception):
    """A column that a format cannot hold, and why. row: of the first value that does not fit, from 0; None: all."""

    def __init__(self, why: str, column: str = "", row: int | None = None) -> None:
        self.why, self.column, self.row = why, column, row
        super().__init__(why)


def write_table(table: pa.Table, path: Path, suffix: str) -> None:
    """suffix: one of FORMATS, whatever the path ends in. Raises Unwritable; OSError where the place is the trouble."""
    if suffix == ".parquet":
        try:
            pq.write_table(table, path, compression="zstd")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Unwritable(str(error)) from error
    elif suffix == ".csv":
        arrow_csv.write_csv(_for_csv(table), path)
    else:
        _write_jsonl(table, path)


def _for_csv(table: pa.Table) -> pa.Table:
    """The same columns, in types that Arrow writes as CSV."""
    columns = {}
    for name in table.column_names:
        column = _unwrapped(table[name])
        kind = column.type
        if pa.types.is_nested(kind):
            raise Unwritable("a CSV file cannot hold lists, structs or maps", name)
        if pa.types.is_decimal(kind) or pa.types.is_string_view(kind):
            column = column.cast(pa.string())
        elif not (pa.types.is_floating(kind) or _is_plain(kind)):
            texts = _converted(column, _of_column(kind, name), name)
            column = pa.chunked_array([pa.array(texts, pa.string())])
        columns[name] = column
    return pa.table(columns)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    columns, converters = [], []
    for name in table.column_names:
        column = _unwrapped(table[name])
        if pa.types.is_decimal(column.type) and None in map(_number, column.drop_null().unique().to_pylist()):
            column = column.cast(pa.string())  # all of it, so that a column is of one type
        columns.append(column)
        converters.append(_of_column(column.type, name))
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(table), ROWS):
            parts = [
                _converted(column.slice(start, ROWS), convert, name, start)
                for column, convert, name in zip(columns, converters, table.column_names, strict=True)
            ]
            for row in zip(*parts, strict=True):
                record = dict(zip(table.column_names, row, strict=True))
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _unwrapped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As plain() has it, and times of day as text, for as Python's they would lose their nanoseconds."""
    array = plain(column)
    return pa.chunked_array([array.cast(pa.string()) if pa.types.is_time(array.type) else array])


def _of_column(kind: pa.DataType, name: str) -> Convert:
    try:
        return _converter(kind)
    except Unwritable as error:
        raise Unwritable(error.why, name) from error


def _converted(column: pa.ChunkedArray, convert: Convert, name: str, start: int = 0) -> list[object]:
    """start: how many rows of the table stand before these."""
    if _loses_digits(column):
        row = next(n for n in range(len(column)) if _loses_digits(column.slice(n, 1)))
        raise Unwritable("a time of day finer than a microsecond within a list or struct", name, start + row)
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError) as error:  # a time that no calendar of Python's has
        raise Unwritable(f"a value of type {column.type} has no text: {error}", name) from error
    converted: list[object] = []
    for value in values:
        try:
            converted.append(convert(value))
        except ValueError as error:
            raise Unwritable(str(error), name, start + len(converted)) from error
    return converted


def _loses_digits(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a time of day in the column, or within its lists, structs and maps, has no exact `datetime.time`."""
    types, kind = pa.types, column.type
    if isinstance(column, pa.ChunkedArray):
        return any(_loses_digits(chunk) for chunk in column.chunks)
    if isinstance(kind, pa.BaseExtensionType):
        return _loses_digits(column.storage)
    if types.is_dictionary(kind):
        return _loses_digits(column.dictionary_decode())
    if types.is_struct(kind):
        return any(_loses_digits(values) for values in column.flatten())
    if types.is_map(kind):
        pairs = column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return _loses_digits(pairs)
    if types.is_nested(kind) and not types.is_union(kind):  # the kinds of lists
        return _loses_digits(column.flatten())
    if kind != pa.time64("ns"):
        return False
    nanoseconds = column.cast(pa.int64())
    whole = pc.multiply(pc.divide(nanoseconds, 1000), 1000)
    return bool(pc.any(pc.not_equal(nanoseconds, whole)).as_py())


def _converter(kind: pa.DataType) -> Convert:
    """What makes a value of a type, or null, one that JSON has. Raises Unwritable for a type that has no text."""
    types = pa.types
    if _is_plain(kind):
        return lambda value: value
    if types.is_dictionary(kind):
        return _converter(kind.value_type)
    if types.is_map(kind):
        key, item = _converter(kind.key_type), _converter(kind.item_type)
        return _unless_null(lambda pairs: [[key(k), item(v)] for k, v in pairs])
    if types.is_struct(kind):
        fields = {field.name: _converter(field.type) for field in kind}
        return _unless_null(lambda row: {name: convert(row[name]) for name, convert in fields.items()})
    if types.is_nested(kind) and not types.is_union(kind):  # the kinds of lists
        of_one = _converter(kind.value_type)
        return _unless_null(lambda values: [of_one(value) for value in values])
    for fits, convert in _SCALARS:
        if fits(kind):
            return _unless_null(convert)
    raise Unwritable(f"values of type {kind} have no text")


def _unless_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether JSON has its values as they are."""
    return any(fits(kind) for fits in _PLAIN)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _float(value: float) -> float | None:
    """JSON has no NaN, which is null there as it is in pandas."""
    if math.isinf(value):
        raise ValueError("JSON has no infinity")
    return None if math.isnan(value) else float(value)


def _number(value: Decimal) -> int | float | None:
    """The number as JSON has it: a whole one in 64 bits, another one as a float; None where neither is exact."""
    if int(value.as_tuple().exponent) >= 0:
        return int(value) if -(2**63) <= value < 2**64 else None
    return float(value) if Decimal(repr(float(value))) == value else None


def _decimal(value: Decimal) -> int | float | str:
    number = _number(value)
    return str(value) if number is None else number


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"bytes that are no UTF-8 text: {error}") from error


def _moment(value: date) -> str:
    return value.isoformat()


def _duration(value: timedelta) -> str:
    return str(pd.Timedelta(value).isoformat())


_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_boolean, pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    pa.types.is_null,
)  # fmt: skip
_SCALARS: tuple[tuple[Callable[[pa.DataType], bool], Convert], ...] = (
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (_is_uuid, str),
    (is_bytes, _bytes_text),
    (pa.types.is_timestamp, _moment),
    (pa.types.is_date, _moment),
    (pa.types.is_time, _moment),
    (pa.types.is_duration, _duration),
)
