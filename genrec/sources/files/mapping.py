"""The mapping of a user's own files: which file is which table, which column is which, in one YAML file.

    name: shop
    pack: goods-en
    events:
      path: log.csv
      columns: {user_id: customer, item_id: sku, ts: time, event: action}
      values: {event: {view: impression, click: click, buy: convert}}
      ts_unit: s                       # s | ms | us | iso
    items: {path: items.jsonl, columns: {item_id: sku, title: name, category: {from: cats, separator: "|"}}}
    users: {path: users.parquet}
    labels: {click: {within: 30m}}     # labels, split, tasks, end, time_zone, note: as reading.yaml has them

A column is named by its name in the file, by {from: name, separator: "|"} for lists in text, or by {always: value}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from genrec.errors import UserError
from genrec.tables import EVENTS

TABLES = ("events", "items", "users")
REQUIRED = {"events": ("user_id", "ts", "event"), "items": ("item_id", "title"), "users": ("user_id",)}
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet")
TS_UNITS = ("s", "ms", "us", "iso")


@dataclass(frozen=True)
class Column:
    """Where a column comes from. always: a constant for every row. separator: splits text into a list."""

    source: str = ""
    separator: str = ""
    always: str = ""


@dataclass(frozen=True)
class TableMapping:
    """columns: our name -> Column; None takes every column under its own name. values: our name -> old -> new."""

    path: Path
    columns: Mapping[str, Column] | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ts_unit: str = ""
    delimiter: str = ""


@dataclass(frozen=True)
class FileMapping:
    """A whole mapping. reading: the fields of genrec.reading.Reading that it states."""

    where: str
    tables: Mapping[str, TableMapping]
    reading: Mapping[str, Any]


def find_mapping(path: Path, mapping: Path | None) -> FileMapping:
    """Read `mapping`, else path/mapping.yaml, else take events.*, items.* and users.* of the folder as they are.

    path: the folder with the data, or a mapping file, whose paths are then relative to its own folder.
    """
    if not path.exists():
        raise UserError(
            "No such file or folder", where=str(path), cure="name the folder that holds your files"
        )
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return read_mapping(mapping or path, path.parent)
    if path.is_file():
        raise UserError(
            "A single data file needs a mapping",
            where=str(path),
            cure="name its folder and give --mapping FILE",
        )
    own = path / "mapping.yaml"
    if mapping or own.exists():
        return read_mapping(mapping or own, path)
    found = {name: _discover(path, name) for name in TABLES}
    tables = {name: TableMapping(file) for name, file in found.items() if file}
    if "events" not in tables:
        names = ", ".join(f"events{s}" for s in SUFFIXES)
        raise UserError(
            "No events file", where=str(path), cure=f"name it one of {names}, or give --mapping FILE"
        )
    return FileMapping(str(path), tables, {"name": path.resolve().name})


def _discover(folder: Path, name: str) -> Path | None:
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").exists()]
    if len(files) > 1:
        both = ", ".join(f.name for f in files)
        raise UserError(
            f"Several {name} files: {both}", where=str(folder), cure="keep one, or give --mapping FILE"
        )
    return files[0] if files else None


def read_mapping(file: Path, folder: Path) -> FileMapping:
    """Parse and check a mapping file; an unknown key is refused by name, with the nearest known one."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "No such mapping file", where=str(file), cure="check the path given by --mapping"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("The mapping file is not UTF-8", where=str(file), cure="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(
            f"The mapping is not YAML: {problem}", where=f"{file}{line}", cure="correct it"
        ) from error
    top = _keys(raw, (*_READING, *TABLES), str(file))
    if "events" not in top:
        raise UserError("The mapping names no events", where=str(file), cure="add `events: {path: ...}`")
    tables = {name: _table(name, top[name], folder, f"{file}, {name}") for name in TABLES if name in top}
    reading: dict[str, Any] = {key: top[key] for key in _READING if key in top}
    if isinstance(reading.get("end"), date):  # YAML reads one that has no quotes; a time is a date too
        reading["end"] = reading["end"].isoformat()
    for key, kind in _READING.items():
        if key in reading and not isinstance(reading[key], kind):
            raise UserError(
                f"{key} is {reading[key]!r}", where=str(file), cure=f"write a {_KINDS[kind]} there"
            )
    return FileMapping(str(file), tables, {"name": folder.resolve().name, **reading})


_READING = {
    "name": str, "pack": str, "note": str, "labels": dict, "split": dict, "tasks": list, "end": str, "time_zone": str,
}  # fmt: skip
_KINDS = {str: "text", dict: "mapping", list: "list"}


def _table(name: str, raw: Any, folder: Path, where: str) -> TableMapping:
    known = ("path", "columns", "values", "delimiter", *(["ts_unit"] if name == "events" else []))
    raw = _keys(raw, known, where)
    if not isinstance(raw.get("path"), str):
        raise UserError(
            f"{name} has no path", where=where, cure="add `path: FILE`, relative to the data's folder"
        )
    unit = raw.get("ts_unit", "")
    if unit and unit not in TS_UNITS:
        raise UserError(f"ts_unit is {unit!r}", where=where, cure=f"use one of: {', '.join(TS_UNITS)}")
    delimiter = str(raw.get("delimiter", ""))
    if len(delimiter.encode()) > 1:
        raise UserError(f"delimiter is {delimiter!r}", where=where, cure="give one character")
    columns = _columns(name, raw.get("columns"), f"{where}.columns")
    values = {
        column: {
            _text(old, f"{where}.values.{column}"): _text(new, f"{where}.values.{column}")
            for old, new in pairs.items()
        }
        for column, pairs in _keys(
            raw.get("values", {}), tuple(columns or REQUIRED[name]), f"{where}.values"
        ).items()
    }
    return TableMapping(folder / raw["path"], columns, values, unit, delimiter)


def _columns(name: str, raw: Any, where: str) -> dict[str, Column] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise UserError(f"columns is {raw!r}", where=where, cure="write `our name: name in the file` pairs")
    if name == "events":
        _keys(raw, tuple(EVENTS.names), where)
    # A required column that is not named is taken under its own name.
    named = {column: Column(column) for column in REQUIRED[name] if column not in raw}
    return {**named, **{str(column): _column(spec, f"{where}.{column}") for column, spec in raw.items()}}


def _column(spec: Any, where: str) -> Column:
    if isinstance(spec, str):
        return Column(spec)
    spec = _keys(spec, ("from", "separator", "always"), where)
    if ("from" in spec) == ("always" in spec):
        raise UserError(
            "Neither or both of `from` and `always`", where=where, cure="give the one that is meant"
        )
    if "always" in spec:
        return Column(always=_text(spec["always"], where))
    return Column(str(spec["from"]), separator=str(spec.get("separator", "")))


def _text(value: Any, where: str) -> str:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise UserError(
        f"{value!r} is not text",
        where=where,
        cure="put quotes around it: YAML reads yes, no, on, off as true or false",
    )


def _keys(raw: Any, known: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise UserError(
            f"Expected `key: value` pairs, found {raw!r}", where=where, cure=f"keys: {', '.join(known)}"
        )
    for key in raw:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(known)}"
            raise UserError(f"Unknown key {key!r}", where=where, cure=cure)
    return raw
