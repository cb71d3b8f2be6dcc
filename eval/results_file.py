"""One JSON file a run: figures, and all that it takes to make them again."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genrec.errors import UserError
from genrec.files import file_written_whole
from genrec.provenance import provenance
from prompts.adapter import AdapterCard

REQUIRED: dict[str, tuple[type, ...]] = {
    "task": (str,), "data": (str,), "split": (str,), "regime": (str,), "model": (str,), "seed": (int,), "n": (int,),
    "n_users": (int,), "unscored": (int,), "metrics": (dict,), "paired": (list,), "cost": (dict,),
    "command": (str,), "machine": (str,), "date": (str,), "genrec_version": (str,), "versions": (dict,),
}  # fmt: skip
REPORT = "report.json"  # all results of a run once more, beside the files of each
PAIRED = ("against", "metric", "difference", "low", "high", "wins")


def write_result(result: dict[str, Any], path: Path, command: str | None = None) -> dict[str, Any]:
    """Add command, machine, date, commit and versions; check; write whole. Returns what was written.

    Numbers that are not defined (NaN) are written as null.
    """
    whole: dict[str, Any] = _plain({**result, **provenance(command)})
    check_result(whole, str(path))
    _write(whole, path)
    return whole


def write_measurement(measured: dict[str, Any], path: Path, command: str) -> dict[str, Any]:
    """As write_result, for figures that are not those of one task and model: a comparison of engines, an attack."""
    whole: dict[str, Any] = _plain({**measured, **provenance(command)})
    _write(whole, path)
    return whole


def trained(card: AdapterCard) -> dict[str, Any]:
    """What an adapter's figures rest on: recipe, steps and tokens, without what is said of every step."""
    return {k: v for k, v in card.training.items() if k not in ("log", "shares", "machine", "versions")}


def in_file_names(model: str) -> str:
    """A model's name as the names of its results have it."""
    return model.replace(" ", "-").replace("/", "-")


def _write(whole: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with file_written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def read_result(path: Path) -> dict[str, Any]:
    """Read and check one file; raises UserError on anything missing or of the wrong type."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"Cannot read the results: {error}", str(path), "run `genrec eval` again") from error
    check_result(result, str(path))
    return dict(result)


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Every result of a folder, by name."""
    return [read_result(path) for path in sorted(folder.glob("*.json")) if path.name != REPORT]


def check_result(result: Any, where: str) -> None:
    """Raises UserError unless this is a result that a reader can trust to be complete."""

    def refuse(what: str) -> None:
        raise UserError(what, where, "write it with eval.results_file.write_result")

    if not isinstance(result, dict):
        refuse("A result is a JSON object")
    for field, kinds in REQUIRED.items():
        if not isinstance(result.get(field), kinds):
            refuse(f"{field!r} is missing or of the wrong type")
    for name, metric in _metrics(result):
        if not isinstance(metric, dict) or "value" not in metric:
            refuse(f"metric {name!r} has no value")
        value, low, high = (metric.get(end) for end in ("value", "low", "high"))
        if None not in (value, low, high) and not low <= value <= high:
            refuse(f"metric {name!r}: {value} is outside of its interval")
    for pair in result["paired"]:
        if missing := [key for key in PAIRED if key not in pair]:
            refuse(f"a paired comparison has no {missing[0]!r}")
    if not 0 <= result["unscored"] <= result["n"]:
        refuse("'unscored' is not between 0 and n")


def _metrics(result: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield from result["metrics"].items()
    yield from result.get("calibrated", {}).get("metrics", {}).items()


def _plain(value: Any) -> Any:
    """Only what JSON knows: NumPy numbers become Python's, NaN and infinities null."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
