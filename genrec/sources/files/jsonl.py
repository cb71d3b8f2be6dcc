"""JSON lines as typed columns; a column whose values are of several types is at fault by itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from genrec.errors import UserError
from genrec.sources.files.csv_file import TO_UTF8, is_surrogate, to_read
from genrec.sources.files.unpack import open_text

Columns = tuple[list[str], dict[str, pa.Array], dict[str, UserError]]


def read_jsonl(path: Path, wanted: Callable[[str], bool]) -> Columns:
    """(every name, the wanted columns, what is wrong with those that have no type). Raises UserError: not JSON."""
    records, lines = [], []
    for line, text in json_lines(path):
        records.append(_record(path, line, text))
        lines.append(line)
    names = list(dict.fromkeys(key for record in records for key in record))
    columns, faults = {}, {}
    for name in to_read(names, wanted):
        try:
            columns[name] = _typed(path, lines, name, [record.get(name) for record in records])
        except UserError as error:
            faults[name] = error
    return names, columns, faults


def json_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number of the line, its text), blank lines left out."""
    with open_text(path, "surrogateescape") as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, text


def _record(path: Path, line: int, text: str) -> dict[str, Any]:
    where = f"{path}, line {line}"
    try:
        text.encode("utf-8")
        record = json.loads(text, parse_constant=_no_constant)
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "surrogateescape")[error.start :][:20]
        raise UserError(f"Not UTF-8: {raw!r}", f"{where}, character {error.start + 1}", TO_UTF8) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"Not JSON: {error}", where, "write one JSON object a line") from error
    if not isinstance(record, dict):
        raise UserError(f"Not a JSON object: {text.strip()[:40]}", where, "write {...} a line")
    if any(is_surrogate(key) for key in record):
        raise UserError("Half a character in a name", where, "correct the \\u escape")
    return record


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _typed(path: Path, lines: list[int], name: str, values: list[Any]) -> pa.Array:
    """A column of one type; whole numbers that exceed 64 bits are text."""
    try:
        return pa.array(values)
    except UnicodeEncodeError as error:
        row = next(r for r, v in enumerate(values) if is_surrogate(json.dumps(v, ensure_ascii=False)))
        cure = "correct the \\u escape: it is half of a pair"
        raise UserError("Half a character", f"{path}, line {lines[row]}, column {name}", cure) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        first = next(type(v) for v in values if v is not None)
        for row, value in enumerate(values):
            if value is not None and type(value) is not first:
                raise UserError(
                    f"{_short(value)} is {type(value).__name__}, the rows above have {first.__name__}",
                    where=f"{path}, line {lines[row]}, column {name}",
                    cure="write one type in the whole column, for example ids always in quotes",
                ) from error
        if first is int:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        raise UserError(f"Mixed values: {error}", f"{path}, column {name}", "write one type") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
