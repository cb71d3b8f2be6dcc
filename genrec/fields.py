"""Files of named fields: those that a person writes, those that genrec wrote. What does not fit is refused by field."""

import json
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from genrec.errors import UserError

_NAMES = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


def read_yaml(path: Path, kind: str, cure: str = "write YAML in UTF-8") -> Any:
    """What a YAML file holds. kind: what it is, for the message: "recipe"."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"Cannot read the {kind}: {error}", where=str(path), cure=cure) from error


def read_mapping(path: Path, kind: str, cure: str) -> dict[str, Any]:
    """A YAML file of `field: value` lines; empty is a mapping without fields."""
    raw = read_yaml(path, kind)
    if not isinstance(raw, dict | None):
        raise UserError(f"A {kind} is a YAML mapping", where=str(path), cure=cure)
    return raw or {}


def refuse_unknown(raw: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    if unknown := sorted(set(map(str, raw)) - set(known)):
        raise UserError(
            f"Unknown field {unknown[0]!r}", where=where, cure=f"use one of: {', '.join(sorted(known))}"
        )


def find(kind: str, name: str, *folders: Path) -> Path:
    """NAME.yaml of the first folder that has it, or one of the user's own by the path of its YAML file."""
    own = name.endswith((".yaml", ".yml"))
    places = [Path(name)] if own else [folder / f"{name}.yaml" for folder in folders]
    if found := next((place for place in places if place.exists()), None):
        return found
    shipped = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UserError(
        f"No {kind} {name!r}",
        where=", ".join(map(str, places)),
        cure=f"use one of {', '.join(shipped)}, or a path to a YAML file",
    )


def read_stored(path: Path, expected: Any, cure: str, version: int | None = None) -> Any:
    """A JSON or YAML file that genrec wrote. expected: as `misfit` takes it. version: what its field `format` says."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path.name} is damaged: {error}", where=str(path), cure=cure) from error
    if version is not None and isinstance(raw, dict) and raw.get("format", version) != version:
        what = f"{path.name} is of another version of genrec: {raw['format']}, not {version}"
        raise UserError(what, where=str(path), cure=cure)
    if odd := misfit(raw, expected):
        raise UserError(f"{path.name} is damaged: {odd}", where=str(path), cure=cure)
    return raw


def misfit(value: Any, expected: Any, name: str = "") -> str:
    """What is wrong with a value as JSON reads it, "" where nothing is.

    expected: a type; a tuple of allowed values; [what each member is]; {field: what it is}; {str: what every field is}.

    >>> misfit({"n": "3"}, {"n": int})
    "n is '3', not a whole number"
    """
    if isinstance(expected, tuple):
        return "" if value in expected else f"{name} is {value!r}, not one of {', '.join(map(str, expected))}"
    kind = expected if isinstance(expected, type) else type(expected)
    allowed: Any = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, allowed):
        return f"{name or 'it'} is {reprlib.repr(value)}, not {_NAMES[kind]}"
    for field, what in _within(value, expected):
        path = f"{name}[{field}]" if isinstance(expected, list) else f"{name}.{field}".removeprefix(".")
        if isinstance(expected, dict) and field not in value:
            return f"{path} is missing"
        if odd := misfit(value[field], what, path):
            return odd
    return ""


def _within(value: Any, expected: Any) -> list[tuple[Any, Any]]:
    """(field or number, what is expected there) of an object or a list."""
    if isinstance(expected, list):
        return [(k, expected[0]) for k in range(len(value))]
    if isinstance(expected, dict):
        return [(field, expected[str]) for field in value] if str in expected else list(expected.items())
    return []
