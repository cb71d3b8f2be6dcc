"""CSV as raw columns of strings; what is wrong in the file is placed by line and column."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.csv as arrow_csv

from genrec.errors import UserError
from genrec.sources.files.unpack import open_text

TO_UTF8 = "save the file as UTF-8, for example: iconv -f latin1 -t utf-8 OLD > NEW"


def delimiter_of(text: str, where: str) -> str:
    r"""The character that a user's text names; "" is the default. Raises UserError where it is not one.

    >>> delimiter_of(";", "--delimiter"), delimiter_of(r"\t", "--delimiter")
    (';', '\t')
    """
    delimiter = "\t" if text == r"\t" else text
    if len(delimiter.encode()) > 1:
        raise UserError(f"delimiter is {text!r}", where=where, cure="give one character")
    return delimiter


def read_csv(path: Path, delimiter: str, wanted: Callable[[str], bool]) -> tuple[list[str], pa.Table]:
    """(the header, the wanted columns as strings; "" is null). Raises UserError: empty, ragged, not UTF-8."""
    header = next((fields for _, fields in csv_records(path, delimiter)), None)
    if header is None:
        raise UserError("The file is empty", where=str(path), cure="give it a header line and rows")
    if any(is_surrogate(name) for name in header):
        raise UserError("Not UTF-8: the header", where=f"{path}, line 1", cure=TO_UTF8)
    if len(header) == 1 and (other := next((mark for mark in ";\t|," if mark in header[0]), None)):
        raise UserError(
            f"The file has one column, called {header[0]!r}",
            where=f"{path}, line 1",
            cure=f"say `delimiter: {other!r}` for this table in the mapping; to `genrec score`, --delimiter {other!r}",
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
                column_types=dict.fromkeys(header, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                include_columns=to_read(header, wanted),
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        _fault(path, delimiter, header, str(error))
    return header, table


def _fault(path: Path, delimiter: str, header: list[str], reason: str) -> NoReturn:
    """Arrow says that a file is broken; find the line and column that a person can look at."""
    for line, fields in csv_records(path, delimiter):
        for name, value in zip(header, fields, strict=False):
            if is_surrogate(value):
                shown = value.encode("utf-8", "surrogateescape")[:40]
                raise UserError(
                    f"Not UTF-8: {shown!r}", where=f"{path}, line {line}, column {name}", cure=TO_UTF8
                )
        if len(fields) != len(header):
            raise UserError(
                f"{len(fields)} fields, the header has {len(header)}",
                where=f"{path}, line {line}",
                cure=f"put quotes around values that hold {delimiter!r}, or correct the line",
            )
    raise UserError(
        f"The file cannot be read: {reason}", where=str(path), cure="check that it is a whole CSV file"
    )


def csv_records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which the record starts, its fields), blank lines left out as Arrow does."""
    with open_text(path, "surrogateescape") as file:
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


def to_read(names: list[str], wanted: Callable[[str], bool]) -> list[str]:
    """The wanted columns of a file; where it has none of them the first, by which its rows can be counted."""
    return [name for name in names if wanted(name)] or names[:1]


def is_surrogate(text: str) -> bool:
    """Whether a code point stands for a byte that is not UTF-8, or for half a character in JSON."""
    return any("\ud800" <= c <= "\udfff" for c in text)
