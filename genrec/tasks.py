"""A task: what is asked, which answers count, how its label is derived. One YAML file each, no code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from genrec.durations import microseconds
from genrec.errors import UserError
from genrec.fields import find, read_mapping, refuse_unknown

Kind = Literal["binary", "choice", "item", "text"]
# Label rules and the fields that each cannot do without; then those that it may have besides.
RULES: Mapping[str, tuple[str, ...]] = {
    "follows": ("event", "within"),
    "returns": ("session_gap", "horizon"),
    "next_item": (),
    "value": ("values",),
    "none": (),
}
_MAY: Mapping[str, tuple[str, ...]] = {
    "follows": ("after",),
    "returns": ("event", "later_day", "cutoffs"),
    "next_item": ("event",),
    "value": (),
    "none": (),
}
_CUTOFF, _CUTOFF_MAY = ("at", "horizon", "split"), ("gap", "users")
_SPANS = {"within", "horizon", "gap", "session_gap"}  # fields that are spans of time
SPLITS = ("train", "valid", "test")  # that a cut-off may name
_LISTS = ("answers", "paraphrases", "held_out", "metrics")


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
    return task_from(read_mapping(path, "task file", "see docs/tasks.md"), str(path))


def task_from(raw: Mapping[str, Any], where: str) -> Task:
    """Raises UserError, with the field's name, for whatever is unknown, missing or of the wrong type."""
    refuse_unknown(raw, [f.name for f in fields(Task)], where)
    if missing := sorted({"name", "kind"} - set(raw)):
        raise UserError(f"Missing field {missing[0]!r}", where=where, cure="every task has a name and a kind")
    values: dict[str, Any] = {name: typed(name, value, where) for name, value in raw.items()}
    task = Task(**values)
    check(task, where)
    return task


def typed(name: str, value: Any, where: str) -> Any:
    """A field's value as Task holds it; refused where YAML read something else than was meant."""

    def refuse(cure: str) -> NoReturn:
        raise UserError(f"{name} is {value!r}", where=where, cure=cure)

    if name in _LISTS:
        if not isinstance(value, (list, tuple)):
            refuse("write a list: [one, two]")
        if odd := [v for v in value if isinstance(v, bool) or not isinstance(v, (str, int, float))]:
            refuse(
                f"{odd[0]!r} is no text: put it in quotes, as YAML reads a bare yes or no as true or false"
            )
        return tuple(str(v) for v in value)
    if name == "weight":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            refuse("give a number, 0 or more")
    elif name == "label":
        if not isinstance(value, Mapping):
            refuse("write a mapping: {rule: follows, event: click, within: 30m}")
    elif not isinstance(value, str) and not (name == "given" and value is None):
        refuse("write text, in quotes where it is a number or a bare yes or no")
    return value


def check(task: Task, where: str) -> None:
    """Raises UserError where a task's fields do not fit together."""

    def refuse(what: str, cure: str) -> NoReturn:
        raise UserError(what, where=f"{where}, task {task.name!r}", cure=cure)

    if not task.name.strip():
        refuse("The name is empty", "every task has a name")
    if task.kind not in get_args(Kind):
        refuse(f"Unknown kind {task.kind!r}", f"use one of: {', '.join(get_args(Kind))}")
    if task.kind == "binary" and len(task.answers) != 2:
        refuse(
            f"A binary task has two answers, this one {len(task.answers)}",
            "list the positive answer, then the negative",
        )
    if task.kind == "choice" and len(task.answers) < 2:
        refuse("A choice task has two answers or more", "list them in the order of their labels")
    if len(set(task.answers)) != len(task.answers):
        refuse("Two answers are the same", "make every answer a different word")
    if not all(task.answers):
        refuse("An answer is empty", "write a word")
    rule = task.label.get("rule")
    if not isinstance(rule, str) or rule not in RULES:
        refuse(f"Unknown label rule {rule!r}", f"use one of: {', '.join(RULES)}")
    rows = task.label.get("cutoffs", [task.label])
    needed = _CUTOFF if "cutoffs" in task.label else RULES[rule]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows) or not rows:
        refuse(
            "label.cutoffs is no list of cut-offs",
            "write [{at: 1997-09-30, horizon: 30d, split: train}, ...]",
        )
    if missing := [field for row in rows for field in needed if field not in row]:
        refuse(f"The label rule {rule!r} needs {missing[0]!r}", f"its fields are: {', '.join(needed)}")
    refuse_unknown(task.label, ["rule", *RULES[rule], *_MAY[rule]], f"{where}, task {task.name!r}, label")
    for n, row in enumerate(rows if "cutoffs" in task.label else ()):
        refuse_unknown(row, [*_CUTOFF, *_CUTOFF_MAY], f"{where}, task {task.name!r}, label.cutoffs[{n}]")
        if row["split"] not in SPLITS:
            refuse(f"label.cutoffs[{n}].split is {row['split']!r}", f"use one of: {', '.join(SPLITS)}")
    for row in [task.label, *(rows if "cutoffs" in task.label else ())]:
        for span in _SPANS & row.keys():
            microseconds(row[span], f"{where}, task {task.name!r}, label.{span}")


def load_tasks(
    folders: Iterable[Path],
    names: Iterable[str],
    overrides: Mapping[str, Mapping[str, Any]],
    own: Iterable[Path] = (),
) -> dict[str, Task]:
    """The named tasks, label rules updated by `overrides`, and every task of the user's own folders.

    folders: where a name is looked up, the first that has it. own: all their files join without being named, and stand
    before `folders` where a name is in both.
    """
    own = list(own)
    places = [*own, *folders]
    wanted = [find("task", str(name), *places) for name in names]
    for folder in own:
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise UserError(
                "No task files", where=str(folder), cure="name a folder with .yaml files, one a task"
            )
        wanted += [path for path in files if path not in wanted]
    known = {path.stem for folder in places for path in folder.glob("*.yaml")}
    tasks: dict[str, Task] = {}
    for path in wanted:
        task = load_task(path)
        if task.name in tasks:
            raise UserError(
                f"Two tasks are called {task.name!r}", where=str(path), cure="give one another name"
            )
        changed = overrides.get(task.name, {})
        if not isinstance(changed, Mapping):
            raise UserError(
                f"labels.{task.name} is {changed!r}", where="the mapping", cure="write fields: {within: 30m}"
            )
        task = replace(task, label={**task.label, **changed})
        check(task, str(path))
        tasks[task.name] = task
    if odd := sorted(set(map(str, overrides)) - {*tasks, *known}):
        raise UserError(
            f"labels name a task {odd[0]!r}, which is not there", where="the mapping",
            cure=f"use one of: {', '.join(tasks)}",
        )  # fmt: skip
    for task in tasks.values():
        if task.given is not None:
            _check_given(task, tasks)
        _check_after(task, tasks)
    return tasks


def _check_after(task: Task, tasks: Mapping[str, Task]) -> None:
    """Refuse an `after` that is not what the window is counted from: the impression, or the event of the task that this
    one continues."""
    counted_from = tasks[task.given].label.get("event") if task.given is not None else "impression"
    if task.label.get("after", counted_from) != counted_from:
        raise UserError(
            f"label.after is {task.label['after']!r}, but the window is counted from the {counted_from}",
            where=f"task {task.name!r}, label.after",
            cure=f"leave it out, or continue the task of that event: `given: {task.label['after']}`",
        )


def _check_given(task: Task, tasks: Mapping[str, Task]) -> None:
    before = tasks.get(task.given or "")
    if before is None:
        raise UserError(
            f"Task {task.name!r} continues {task.given!r}, which is not there", cure="add that task too"
        )
    if before.kind != "binary" or before.given is not None:
        raise UserError(
            f"Task {task.name!r} cannot continue {before.name!r}",
            where=f"task {task.name!r}, given",
            cure="continue a binary task that does not itself continue another",
        )
