"""A pack: a domain's words in one language, and the wordings that tasks take over from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from genrec.errors import UserError
from genrec.tasks import Task

FOLDER = Path(__file__).parent / "packs"
TASKS = Path(__file__).parent / "tasks"


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
        own = {k: tuple(v) if isinstance(v, list) else v for k, v in self.tasks.get(task.name, {}).items()}
        return replace(task, **own)


def load_pack(name: str) -> Pack:
    """A shipped pack by name, or one of the user's own by the path of its YAML file."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        shipped = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise UserError(f"No pack {name!r}", where=str(path), cure=f"use one of {shipped}, or a path to a YAML file")
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {f.name for f in fields(Pack)}
    if unknown := sorted(set(raw) - known):
        raise UserError(f"Unknown field {unknown[0]!r}", where=str(path), cure=f"use one of: {', '.join(sorted(known))}")
    return Pack(**raw)
