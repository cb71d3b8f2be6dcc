"""Reads a mapping, one YAML file, and finds the tables that it does not name.

    name: shop
    pack: goods-en
    time_zone: Europe/Berlin           # of times without an offset, and of days
    events:                            # or a list of such entries, one a file
      path: log.csv
      columns: {user_id: customer, item_id: sku, ts: time, event: action}
      values: {event: {view: impression, click: click, buy: convert}}
      ts_unit: s                       # units.UNITS
    items: {path: items.jsonl, columns: {item_id: sku, title: name, category: {from: cats, separator: "|"}}}
    users: {path: users.parquet, unknown: keep}
    labels: {click: {within: 30m}}     # labels, split, tasks, end, note: as reading.yaml has them

A column is named by its name in the file, by {from: name, separator: "|"} for lists in text, or by {always: value}.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from genrec.days import zone as time_zone
from genrec.errors import UserError
from genrec.sources.files.conditions import read_condition
from genrec.sources.files.csv_file import delimiter_of
from genrec.sources.files.mapping import REQUIRED, TABLES, UNKNOWN, Column, FileMapping, TableMapping
from genrec.sources.files.sheet import FORMATS, SUFFIXES
from genrec.sources.files.units import SCALES, UNITS
from genrec.tables import EVENTS

_READING = {
    "name": str, "pack": str, "note": str, "labels": dict, "split": dict, "tasks": list, "end": str, "time_zone": str,
}  # fmt: skip
_KINDS = {str: "text", dict: "mapping", list: "list"}
_OF_ANY = ("path", "columns", "values", "delimiter")
_OF_EVENTS = (*_OF_ANY, "ts_unit", "ts_origin", "event", "derive")


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
    return _whole({}, path, str(path))


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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-01, a date to YAML and to no calendar
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(
            f"The mapping is not YAML: {problem}", where=f"{file}{line}", cure="correct it"
        ) from error
    return _whole(_keys({} if raw is None else raw, (*_READING, *TABLES), str(file)), folder, str(file))


def _whole(top: Mapping[str, Any], folder: Path, where: str) -> FileMapping:
    reading: dict[str, Any] = {key: top[key] for key in _READING if key in top}
    if isinstance(reading.get("end"), date):  # YAML reads one that has no quotes; a time is a date too
        reading["end"] = reading["end"].isoformat()
    for key, kind in _READING.items():
        if key in reading and not isinstance(reading[key], kind):
            raise UserError(f"{key} is {reading[key]!r}", where=where, cure=f"write a {_KINDS[kind]} there")
    zone = _zone(reading.get("time_zone", ""), where)
    entries = top.get("events", {})
    listed = entries if isinstance(entries, list) else [entries]
    places = [
        f"{where}, events[{n}]" if entries is listed else f"{where}, events" for n in range(len(listed))
    ]
    if not listed:
        raise UserError("The mapping names no events", where=where, cure="add `events: {path: ...}`")
    events = tuple(
        _events(raw, folder, place, zone, alone=entries is not listed)
        for raw, place in zip(listed, places, strict=True)
    )
    unknown = {name: _unknown(top.get(name, {}), f"{where}, {name}") for name in ("items", "users")}
    items, users = (
        _table(name, top.get(name, {}), folder, f"{where}, {name}", unknown[name]) for name in unknown
    )
    return FileMapping(where, events, items, users, {"name": folder.resolve().name, **reading}, unknown)


def _zone(name: str, where: str) -> str:
    try:
        time_zone(name or "UTC")
    except UserError as error:
        raise UserError(error.what, f"{where}, time_zone", error.cure) from error
    return name


def _events(raw: Any, folder: Path, where: str, zone: str, alone: bool) -> TableMapping:
    raw = _keys(raw, _OF_EVENTS, where)
    if not alone and "path" not in raw:
        raise UserError("This entry has no path", where=where, cure="add `path: FILE` to each of the list")
    path = _path("events", raw, folder, where)
    if path is None:
        cure = f"name it events.csv, or another of {FORMATS}; or give --mapping FILE"
        raise UserError("No events file", where=str(folder), cure=cure)
    unit = raw.get("ts_unit", "")
    if unit and unit not in UNITS:
        raise UserError(f"ts_unit is {unit!r}", where=where, cure=f"use one of: {', '.join(UNITS)}")
    columns = _columns("events", raw.get("columns"), f"{where}.columns")
    event = _text(raw["event"], f"{where}.event") if "event" in raw else ""
    if event and "event" in (raw.get("columns") or {}):
        raise UserError("The event is stated twice", where=where, cure="give `event` or `columns.event`")
    derive = {
        _text(name, f"{where}.derive"): read_condition(text, f"{where}.derive.{name}")
        for name, text in _keys(raw.get("derive", {}), None, f"{where}.derive").items()
    }
    return TableMapping(
        path,
        columns,
        _values("events", raw, columns, where),
        delimiter_of(str(raw.get("delimiter", "")), where),
        ts_unit=unit,
        ts_origin=_origin(raw, unit, where),
        time_zone=zone,
        event=event,
        derive=derive,
    )


def _origin(raw: Mapping[str, Any], unit: str, where: str) -> int | None:
    """Microseconds UTC of `ts_origin`: a date or a time, UTC where no offset is written."""
    if "ts_origin" not in raw:
        return None
    if unit not in SCALES:
        cure = f"give it with ts_unit: {', '.join(SCALES)}"
        raise UserError("ts_origin is of numbers that count from it", where=where, cure=cure)
    value = raw["ts_origin"]
    try:
        moment = datetime.fromisoformat(value.isoformat() if isinstance(value, date) else value)
    except (TypeError, ValueError) as error:
        cure = "write a date, or a time such as 2024-01-01T00:00:00Z"
        raise UserError(f"ts_origin is {value!r}", where=where, cure=cure) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _unknown(raw: Any, where: str) -> str:
    value = raw.get("unknown", UNKNOWN[0]) if isinstance(raw, dict) else UNKNOWN[0]
    if value not in UNKNOWN:
        raise UserError(f"unknown is {value!r}", where=where, cure=f"use one of: {', '.join(UNKNOWN)}")
    return str(value)


def _table(name: str, raw: Any, folder: Path, where: str, unknown: str) -> TableMapping | None:
    """Items or users; None where the mapping names no file and none lies in the folder."""
    raw = _keys(raw, (*_OF_ANY, "unknown"), where)
    path = _path(name, raw, folder, where)
    if path is None:
        if unneeded := set(raw) - {"unknown"} or (unknown == "drop" and {"unknown"}):
            cure = "add `path: FILE`, relative to the data's folder"
            raise UserError(
                f"{name} has no path, and there is no {name} file", f"{where}.{min(unneeded)}", cure
            )
        return None
    columns = _columns(name, raw.get("columns"), f"{where}.columns")
    values = _values(name, raw, columns, where)
    return TableMapping(path, columns, values, delimiter_of(str(raw.get("delimiter", "")), where))


def _path(name: str, raw: Mapping[str, Any], folder: Path, where: str) -> Path | None:
    """The file that is named, or the one of the folder that is called like the table."""
    if "path" in raw:
        if not isinstance(raw["path"], str):
            raise UserError(
                f"path is {raw['path']!r}", where=where, cure="write the name of a file or folder"
            )
        return folder / raw["path"]
    files = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()]
    if not files and (folder / name).is_dir():
        return folder / name
    if len(files) > 1:
        both = ", ".join(f.name for f in files)
        cure = f"keep one, or give the mapping `{name}: {{path: {files[0].name}}}`"
        raise UserError(f"Several {name} files: {both}", where=str(folder), cure=cure)
    return files[0] if files else None


def _values(
    name: str, raw: Mapping[str, Any], columns: Mapping[str, Column] | None, where: str
) -> dict[str, dict[str, str]]:
    known = tuple(EVENTS.names) if name == "events" else tuple(columns or REQUIRED[name])
    return {
        column: {
            _text(old, f"{where}.values.{column}"): _text(new, f"{where}.values.{column}")
            for old, new in _keys(pairs, None, f"{where}.values.{column}").items()
        }
        for column, pairs in _keys(raw.get("values", {}), known, f"{where}.values").items()
    }


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


def _keys(raw: Any, known: tuple[str, ...] | None, where: str) -> dict[str, Any]:
    """The pairs of a mapping, whose keys must be known; known: None takes any."""
    if not isinstance(raw, dict):
        keys = f"keys: {', '.join(known)}" if known else "write pairs there"
        raise UserError(f"Expected `key: value` pairs, found {raw!r}", where=where, cure=keys)
    for key in raw:
        if known is not None and key not in known:
            near = get_close_matches(str(key), known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(known)}"
            raise UserError(f"Unknown key {key!r}", where=where, cure=cure)
    return raw
