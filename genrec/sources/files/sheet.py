"""One table's file, or folder of files, as raw columns that still know the line they came from."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from genrec.errors import UserError
from genrec.sources.files.csv_file import csv_records, read_csv
from genrec.sources.files.jsonl import json_lines, read_jsonl
from genrec.sources.files.parquet import read_parquet
from genrec.sources.files.text import NotText, as_text
from genrec.sources.files.unpack import PACKED, suffix_of

_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
SUFFIXES = (*_TEXT, *(text + packed for text in _TEXT for packed in PACKED), ".parquet")
FORMATS = ".csv, .tsv or .jsonl (also .gz or .zst), or .parquet"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Sheet:
    """The columns of one table as they stand in its file.

    table: the columns that were wanted and can be typed; those of a CSV are strings, "" is null.
    names: every column of the file. faults: wanted columns that have no type, and why.
    parts: of a folder, its files in order. Lines are counted only where a message asks for one.
    """

    path: Path
    table: pa.Table
    delimiter: str = ""  # of a CSV
    names: tuple[str, ...] = ()
    faults: Mapping[str, UserError] = field(default_factory=dict)
    parts: tuple["Sheet", ...] = ()

    def where(self, row: int, column: str = "") -> str:
        """ "log.csv, line 17, column time" (Parquet: row 17); lines and rows count from 1, a header is line 1."""
        for part in self.parts:
            if row < part.table.num_rows:
                return part.where(row, column)
            row -= part.table.num_rows
        at = f"row {row + 1}" if suffix_of(self.path) == ".parquet" else f"line {self._line(row)}"
        return f"{self.path}, {at}" + (f", column {column}" if column else "")

    def _line(self, row: int) -> int:
        if self.delimiter:
            for record, (line, _) in enumerate(csv_records(self.path, self.delimiter)):
                if record == row + 1:
                    return line
        for record, (line, _) in enumerate(json_lines(self.path)):
            if record == row:
                return line
        return row + 1


def read_sheet(path: Path, delimiter: str = "", wanted: Callable[[str], bool] | None = None) -> Sheet:
    """Read one file, or every file of a folder as one table; `k=v` in a folder's path is a column k.

    wanted: which columns to type; of those that cannot be, `faults` says why. Without it all are, and the first fault
    is raised. Raises UserError: not there, unknown format, not UTF-8, ragged rows, broken JSON, cut-off file.
    """
    choose = wanted or (lambda name: True)
    sheet = _read_folder(path, delimiter, choose) if path.is_dir() else _read_file(path, delimiter, choose)
    if wanted is None and sheet.faults:
        raise next(iter(sheet.faults.values()))
    return sheet


def _read_file(path: Path, delimiter: str, wanted: Callable[[str], bool]) -> Sheet:
    suffix = suffix_of(path)
    if not path.is_file():
        raise UserError(
            "No such file",
            where=str(path),
            cure="check the path; a mapping's are relative to the data's folder",
        )
    try:
        if suffix in (".csv", ".tsv"):
            delimiter = delimiter or ("\t" if suffix == ".tsv" else ",")
            header, table = read_csv(path, delimiter, wanted)
            return Sheet(path, table, delimiter, tuple(header))
        if suffix in (".jsonl", ".ndjson", ".json", ".parquet"):
            read = read_parquet if suffix == ".parquet" else read_jsonl
            names, columns, faults = read(path, wanted)
            return Sheet(path, pa.table(columns), "", tuple(names), faults)
    except PermissionError as error:
        raise UserError("The file may not be read", where=str(path), cure="change its permissions") from error
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise UserError(
            f"The file cannot be unpacked: {error}", where=str(path), cure="copy it again"
        ) from error
    raise UserError(f"Unknown format {suffix or path.name!r}", str(path), f"write {FORMATS}")


def _read_folder(folder: Path, delimiter: str, wanted: Callable[[str], bool]) -> Sheet:
    """Every file of a folder, in the order of their names; what begins with _ or . (Spark's _SUCCESS) is none."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(n.startswith(("_", ".")) for n in path.relative_to(folder).parts)
    ]
    if not files:
        raise UserError("The folder holds no files", str(folder), f"give it files: {FORMATS}")
    formats = sorted({suffix_of(path) for path in files})
    if len(formats) > 1:
        cure = "name one file, or a folder whose files are the parts of one table"
        raise UserError(f"The folder holds files of several formats: {', '.join(formats)}", str(folder), cure)
    parts = tuple(_with_keys(_read_file(path, delimiter, wanted), folder, wanted) for path in files)
    faults = {name: error for part in reversed(parts) for name, error in part.faults.items()}
    columns = {}
    for name in dict.fromkeys(name for part in parts for name in part.table.column_names):
        if name not in faults:
            try:
                columns[name] = _joined(name, parts)
            except UserError as error:
                faults[name] = error
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    return Sheet(folder, pa.table(columns), parts[0].delimiter, names, faults, parts)


def _with_keys(part: Sheet, folder: Path, wanted: Callable[[str], bool]) -> Sheet:
    """A part with the keys of its path (country=de/day=2024-05-01) as columns of text."""
    table, names = part.table, list(part.names)
    for step in part.path.relative_to(folder).parts[:-1]:
        key, equals, value = step.partition("=")
        if equals and key not in names:
            names.append(key)
            if wanted(key):
                text = None if value == _HIVE_NULL else unquote(value)
                table = table.append_column(key, pa.array([text] * table.num_rows, pa.string()))
    return Sheet(part.path, table, part.delimiter, tuple(names), part.faults)


def _joined(name: str, parts: tuple[Sheet, ...]) -> pa.ChunkedArray:
    """One column of all parts: null where a part lacks it, text where parts differ as 7 and "7" do."""
    tables = [
        part.table.select([name])
        if name in part.table.column_names
        else pa.table({name: pa.nulls(part.table.num_rows)})
        for part in parts
    ]
    try:
        return pa.concat_tables(tables, promote_options="default")[name]
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        pass
    try:
        return pa.chunked_array([as_text(table[name]) for table in tables])
    except NotText:
        pass
    try:
        return pa.concat_tables(tables, promote_options="permissive")[name]
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        kinds = dict.fromkeys(str(table[name].type) for table in tables)
        what = f"Column {name} is of several types: {', '.join(kinds)}"
        raise UserError(what, str(parts[0].path.parent), "write one type in every file") from error
