"""A pack: a domain's words in one language, and the wordings that tasks take over from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from genrec.errors import UserError
from genrec.fields import find, read_mapping, refuse_unknown
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
    path = find("pack", name, FOLDER)
    raw = read_mapping(path, "pack", f"see {FOLDER / 'goods-en.yaml'}")
    refuse_unknown(raw, [f.name for f in fields(Pack)], str(path))
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
        ("lines", raw["lines"], ("conversion", "purchase", "touch")),
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
