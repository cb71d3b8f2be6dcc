"""Judges a user's own files as `genrec data check` shows it: what is repaired, warned of, refused. Writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from genrec import splits
from genrec.doubts import judge
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.labelled import LabelledLog
from genrec.reading import Loaded
from genrec.sources.files import read
from genrec.sources.files.mapping_file import find_mapping
from genrec.summary import examples_table
from genrec.tasks import Task, load_tasks


@dataclass(frozen=True)
class Report:
    """loaded: None if its files are refused; labelled: None if its labels are."""

    loaded: Loaded | None
    findings: Findings
    labelled: LabelledLog | None = None

    @property
    def exit_code(self) -> int:
        return 2 if self.findings.refused else 0

    def __str__(self) -> str:
        found = self.findings
        loaded = self.labelled.loaded if self.labelled else self.loaded
        blocks = [_counts(loaded)] if loaded else []
        blocks += found.lines()
        if self.labelled:
            blocks += ["", *examples_table(self.labelled.examples, self.labelled.tasks), ""]
        verdict = "nothing can be loaded until this is corrected" if found.refused else "ready to prepare"
        warnings = f"{len(found.warned)} warning{'s' * (len(found.warned) != 1)}"
        numbers = f"{len(found.repaired)} repaired, {warnings}, {len(found.refused)} refused"
        return "\n".join([*blocks, f"{numbers}: {verdict}"])


def check(
    path: Path,
    task_folders: Sequence[Path],
    mapping: Path | None = None,
    own_tasks: Sequence[Path] = (),
    check_pack: Callable[[str], None] | None = None,
) -> Report:
    """Read the files and derive their labels just as preparing them does, but go on after a refusal.

    task_folders: where the reading's tasks are looked up. own_tasks: folders of the user's own, which join. check_pack:
    raises for a name that is no pack.
    """
    findings = Findings()
    try:
        told_by = find_mapping(path, mapping)
        loaded = read(told_by, findings)
    except UserError as error:
        findings.refuse_error(error)
        return Report(None, findings)
    if loaded is None:
        return Report(None, findings)
    reading = loaded.reading
    tasks: dict[str, Task] = {}
    for field, checked in (
        ("split", lambda: splits.whole(reading.split)),
        (
            "tasks and labels",
            lambda: tasks.update(load_tasks(task_folders, reading.tasks, reading.labels, own_tasks)),
        ),
        ("pack", lambda: check_pack and check_pack(reading.pack)),
    ):
        try:
            checked()
        except UserError as error:
            findings.refuse(error.what, f"{told_by.where}, {field}", error.cure)
    labelled = None
    if not findings.refused:
        try:
            labelled = judge(loaded, tasks, findings)
        except UserError as error:
            findings.refuse(error.what, f"{told_by.where}, {error.where}", error.cure)
    return Report(loaded, findings, labelled)


def _counts(loaded: Loaded) -> str:
    tables = loaded.tables
    kinds = sorted(
        tables.events["event"].value_counts().to_pylist(), key=lambda c: (-c["counts"], c["values"])
    )
    first, last = (str(t.as_py())[:10] for t in pc.min_max(tables.events["ts"]).values())
    return "\n".join(
        [
            f"{loaded.reading.name}: {tables.events.num_rows:,} events from {first} to {last}, "
            f"{tables.items.num_rows:,} items, {tables.users.num_rows:,} users",
            "events    " + ", ".join(f"{c['counts']:,} {c['values']}" for c in kinds),
            "tasks     " + ", ".join(loaded.reading.tasks),
        ]
    )
