"""One CSV, JSONL or Parquet file as raw columns that still know the line they came from."""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from genrec.errors import UserError

_TO_UTF8 = "save the file as UTF-8, for example: iconv -f latin1 -t utf-8 OLD > NEW"
_FORMATS = "write .csv, .tsv or .jsonl (also .gz), or .parquet"


@dataclass(frozen=True)
class Sheet:
    """table: raw columns; those of a CSV are strings, "" is null. Only asked where a row is, it counts lines."""

    path: Path
    table: pa.Table
    delimiter: str = ""  # of a CSV

    def where(self, row: int, column: str = "") -> str:
        """ "log.csv, line 17, column time" (Parquet: row 17); lines and rows count from 1, a header is line 1."""
        at = f"row {row + 1}" if self.path.suffix == ".parquet" else f"line {self._line(row)}"
        return f"{self.path}, {at}" + (f", column {column}" if column else "")

    def _line(self, row: int) -> int:
        if self.delimiter:
            for record, (line, _) in enumerate(_csv_records(self.path, self.delimiter)):
                if record == row + 1:
                    return line
        for record, (line, _) in enumerate(_json_lines(self.path)):
            if record == row:
                return line
        return row + 1


def read_sheet(path: Path, delimiter: str = "") -> Sheet:
    """Raises UserError: not there, unknown format, not UTF-8, ragged rows, broken JSON, cut-off file."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if not path.is_file():
        raise UserError(
            "No such file",
            where=str(path),
            cure="check the path; a mapping's are relative to the data's folder",
        )
    try:
        if suffix in (".csv", ".tsv", ".csv.gz", ".tsv.gz"):
            return _read_csv(path, delimiter or ("\t" if suffix.startswith(".tsv") else ","))
        if suffix in (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"):
            return Sheet(path, _read_jsonl(path))
        if suffix == ".parquet":
            return Sheet(path, _read_parquet(path))
    except (EOFError, gzip.BadGzipFile) as error:
        raise UserError(
            f"The file cannot be unpacked: {error}", where=str(path), cure="copy it again"
        ) from error
    except PermissionError as error:
        raise UserError("The file may not be read", where=str(path), cure="change its permissions") from error
    raise UserError(f"Unknown format {suffix or path.name!r}", where=str(path), cure=_FORMATS)


def _read_csv(path: Path, delimiter: str) -> Sheet:
    header = next((fields for _, fields in _csv_records(path, delimiter)), None)
    if header is None:
        raise UserError("The file is empty", where=str(path), cure="give it a header line and rows")
    if any(_surrogate(name) for name in header):
        raise UserError("Not UTF-8: the header", where=f"{path}, line 1", cure=_TO_UTF8)
    if len(header) == 1 and (other := next((mark for mark in ";\t|," if mark in header[0]), None)):
        raise UserError(
            f"The file has one column, called {header[0]!r}",
            where=f"{path}, line 1",
            cure=f"say `delimiter: {other!r}` for this table in the mapping",
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(
            f"Two columns are called {twice[0]!r}", where=f"{path}, line 1", cure="rename one of them"
        )
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(block_size=1 << 24),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        _fault_of_csv(path, delimiter, header, str(error))
    return Sheet(path, table, delimiter)


def _fault_of_csv(path: Path, delimiter: str, header: list[str], said: str) -> NoReturn:
    """Arrow says that a file is broken; find the line and column that a person can look at."""
    for line, fields in _csv_records(path, delimiter):
        for name, value in zip(header, fields, strict=False):
            if _surrogate(value):
                shown = value.encode("utf-8", "surrogateescape")[:40]
                raise UserError(
                    f"Not UTF-8: {shown!r}",
                    where=f"{path}, line {line}, column {name}",
                    cure=_TO_UTF8,
                )
        if len(fields) != len(header):
            raise UserError(
                f"{len(fields)} fields, the header has {len(header)}",
                where=f"{path}, line {line}",
                cure=f"put quotes around values that hold {delimiter!r}, or correct the line",
            )
    raise UserError(
        f"The file cannot be read: {said}", where=str(path), cure="check that it is a whole CSV file"
    )


def _open(path: Path, errors: str) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="")
    return path.open(encoding="utf-8-sig", errors=errors, newline="")


def _csv_records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which the record starts, its fields), blank lines left out as Arrow does."""
    with _open(path, "surrogateescape") as file:
        reader, start = csv.reader(file, delimiter=delimiter), 1
        try:
            for fields in reader:
                if fields:
                    yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            raise UserError(
                f"Not CSV: {error}", where=f"{path}, line {start}", cure="correct the line"
            ) from error


def _json_lines(path: Path) -> Iterator[tuple[int, str]]:
    with _open(path, "surrogateescape") as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, text


def _read_jsonl(path: Path) -> pa.Table:
    records = []
    for line, text in _json_lines(path):
        try:
            text.encode("utf-8")
            record = json.loads(text, parse_constant=_no_constant)
        except UnicodeEncodeError as error:
            raw = text.encode("utf-8", "surrogateescape")[error.start :][:20]
            where = f"{path}, line {line}, character {error.start + 1}"
            raise UserError(f"Not UTF-8: {raw!r}", where, _TO_UTF8) from error
        except ValueError as error:
            raise UserError(
                f"Not JSON: {error}", f"{path}, line {line}", "write one JSON object a line"
            ) from error
        if not isinstance(record, dict):
            raise UserError(
                f"Not a JSON object: {text.strip()[:40]}", f"{path}, line {line}", "write {...} a line"
            )
        if any(_surrogate(key) for key in record):
            raise UserError("Half a character in a name", f"{path}, line {line}", "correct the \\u escape")
        records.append(record)
    names = list(dict.fromkeys(key for record in records for key in record))
    sheet = Sheet(path, pa.table({}))
    return pa.table({name: _typed(sheet, name, [record.get(name) for record in records]) for name in names})


def _surrogate(text: str) -> bool:
    """A code point that stands for a byte that is not UTF-8, or for half a character in JSON."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _typed(sheet: Sheet, name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except UnicodeEncodeError as error:
        row = next(r for r, v in enumerate(values) if _surrogate(json.dumps(v, ensure_ascii=False)))
        cure = "correct the \\u escape: it is half of a pair"
        raise UserError("Half a character", where=sheet.where(row, name), cure=cure) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        first = next(type(v) for v in values if v is not None)
        for row, value in enumerate(values):
            if value is not None and type(value) is not first:
                raise UserError(
                    f"{value!r} is {type(value).__name__}, the rows above have {first.__name__}",
                    where=sheet.where(row, name),
                    cure="write one type in the whole column, for example ids always in quotes",
                ) from error
        raise UserError(f"Mixed values: {error}", f"{sheet.path}, column {name}", "write one type") from error


def _read_parquet(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"Not a whole Parquet file: {error}", where=str(path), cure="write it again"
        ) from error
    for name in table.column_names:
        try:
            table[name].validate(full=True)
        except pa.ArrowInvalid as error:
            raise UserError(
                f"Not UTF-8: {error}", where=f"{path}, column {name}", cure="write text columns as UTF-8"
            ) from error
    return table
