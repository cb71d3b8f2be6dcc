"""A pack: a domain's words in one language, and the wordings that tasks take over from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from genrec.errors import UserError
from genrec.tasks import Task, typed

FOLDER = Path(__file__).parent / "packs"
TASKS = Path(__file__).parent / "tasks"
WORDINGS = ("question", "answers", "paraphrases", "held_out")


@dataclass(frozen=True)
class Pack:
    """words: what task templates call things. head: template of the context's first lines. lines: templates of the
    history lines that are no answered click question. ask: how a question in free words is put. tasks: per task, the
    wordings (question, answers, paraphrases, held_out) that this pack replaces."""

    name: str
    words: Mapping[str, str]
    head: str
    lines: Mapping[str, str]
    ask: str
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def worded(self, task: Task) -> Task:
        """The task in this pack's wordings."""
        where = f"pack {self.name}, tasks.{task.name}"
        own: dict[str, Any] = {k: typed(k, v, where) for k, v in self.tasks.get(task.name, {}).items()}
        if len(own.get("answers", task.answers)) != len(task.answers):
            raise UserError(
                f"The pack has {len(own['answers'])} answers, the task {len(task.answers)}",
                where,
                "give as many, in its order",
            )
        return replace(task, **own)


def load_pack(name: str) -> Pack:
    """A shipped pack by name, or one of the user's own by the path of its YAML file."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        shipped = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise UserError(
            f"No pack {name!r}", where=str(path), cure=f"use one of {shipped}, or a path to a YAML file"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"Cannot read the pack: {error}", where=str(path), cure="write YAML in UTF-8"
        ) from error
    if not isinstance(raw, dict):
        raise UserError("A pack is a YAML mapping", where=str(path), cure=f"see {FOLDER / 'goods-en.yaml'}")
    known = {f.name for f in fields(Pack)}
    if unknown := sorted(set(map(str, raw)) - known):
        raise UserError(
            f"Unknown field {unknown[0]!r}", where=str(path), cure=f"use one of: {', '.join(sorted(known))}"
        )
    _check(raw, str(path))
    return Pack(**raw)


def _check(raw: Mapping[str, Any], where: str) -> None:
    """Raises UserError for a field that is missing or of the wrong type."""
    kinds = {"name": str, "words": dict, "head": str, "lines": dict, "ask": str}
    for name, kind in kinds.items():
        if not isinstance(raw.get(name), kind):
            what = f"{name} is {raw[name]!r}" if name in raw else f"Missing field {name!r}"
            raise UserError(what, where=where, cure="write a mapping" if kind is dict else "write text")
    for name, texts, needed in (
        ("words", raw["words"], ()),
        ("lines", raw["lines"], ("conversion", "purchase")),
    ):
        if odd := [k for k in {**dict.fromkeys(needed), **texts} if not isinstance(texts.get(k), str)]:
            raise UserError(f"{name}.{odd[0]} is no text", where=where, cure="write it, in quotes")
    for task, wordings in (raw.get("tasks") or {}).items():
        if odd := sorted(set(wordings) - set(WORDINGS)):
            raise UserError(
                f"tasks.{task}.{odd[0]} is no wording",
                where=where,
                cure=f"a pack replaces {', '.join(WORDINGS)} only",
            )
