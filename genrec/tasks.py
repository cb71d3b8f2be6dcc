"""A task: what is asked, which answers count, how its label is derived. One YAML file each, no code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from genrec.errors import UserError

Kind = Literal["binary", "choice", "item", "text"]
RULES = ("follows", "returns", "next_item", "value", "none")


@dataclass(frozen=True)
class Task:
    """One prediction task. `answers[0]` of a binary task is the positive one.

    question: Jinja2 template of the trained wording; paraphrases: further trained wordings; held_out: wordings kept
    out of training, to measure how the model takes a user's own words. label: the rule that derives the label and its
    windows. weight: this task's lambda in the training loss. given: the task whose positive answer this one continues.
    """

    name: str
    kind: Kind
    question: str = ""
    answers: tuple[str, ...] = ()
    instruction: str = ""
    paraphrases: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    label: Mapping[str, Any] = field(default_factory=lambda: {"rule": "none"})
    metrics: tuple[str, ...] = ("auc", "log_loss")
    weight: float = 1.0
    given: str | None = None

    def answer_index(self, label: int) -> int:
        """Where a label stands in `answers`: binary labels are 1 for the first answer and 0 for the second."""
        return 1 - label if self.kind == "binary" else label


def load_task(path: Path) -> Task:
    """Read one task file; a field that is unknown, missing or of the wrong type is refused by name."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"Cannot read the task file: {error}", where=str(path), cure="write YAML in UTF-8") from error
    if not isinstance(raw, dict):
        raise UserError("A task file is a YAML mapping", where=str(path), cure="see docs/tasks.md")
    return task_from(raw, str(path))


def task_from(raw: Mapping[str, Any], where: str) -> Task:
    known = {f.name for f in fields(Task)}
    if unknown := sorted(set(raw) - known):
        raise UserError(f"Unknown field {unknown[0]!r}", where=where, cure=f"use one of: {', '.join(sorted(known))}")
    if missing := sorted({"name", "kind"} - set(raw)):
        raise UserError(f"Missing field {missing[0]!r}", where=where, cure="every task has a name and a kind")
    values = {k: tuple(str(x) for x in v) if isinstance(v, list) else v for k, v in raw.items()}
    task = Task(**values)
    _check(task, where)
    return task


def _check(task: Task, where: str) -> None:
    def refuse(what: str, cure: str) -> None:
        raise UserError(what, where=f"{where}, task {task.name!r}", cure=cure)

    if task.kind not in get_args(Kind):
        refuse(f"Unknown kind {task.kind!r}", f"use one of: {', '.join(get_args(Kind))}")
    if task.kind == "binary" and len(task.answers) != 2:
        refuse(f"A binary task has two answers, this one {len(task.answers)}", "list the positive answer, then the negative")
    if task.kind == "choice" and len(task.answers) < 2:
        refuse("A choice task has two answers or more", "list them in the order of their labels")
    if len(set(task.answers)) != len(task.answers):
        refuse("Two answers are the same", "make every answer a different word")
    if task.label.get("rule") not in RULES:
        refuse(f"Unknown label rule {task.label.get('rule')!r}", f"use one of: {', '.join(RULES)}")
    if not (isinstance(task.weight, (int, float)) and task.weight >= 0):
        refuse(f"weight is {task.weight!r}", "give a number, 0 or more")


def load_tasks(folders: Iterable[Path], names: Iterable[str], overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Task]:
    """The named tasks from the first folder that has each, label rules updated by `overrides`; all of a later folder's
    files are the user's own and join without being named."""
    shipped, *own = list(folders)
    wanted = {n: _find(n, [*own, shipped]) for n in names}
    for folder in own:
        wanted |= {p.stem: p for p in sorted(folder.glob("*.yaml"))}
    tasks = {t.name: t for t in (load_task(path) for path in wanted.values())}
    tasks = {n: replace(t, label={**t.label, **overrides.get(n, {})}) for n, t in tasks.items()}
    for task in tasks.values():
        if task.given is not None and task.given not in tasks:
            raise UserError(f"Task {task.name!r} continues {task.given!r}, which is not there", cure="add that task too")
    return tasks


def _find(name: str, folders: list[Path]) -> Path:
    for folder in folders:
        if (path := folder / f"{name}.yaml").exists():
            return path
    raise UserError(f"No task {name!r}", where=", ".join(map(str, folders)), cure=f"add {name}.yaml or drop the name")
