"""Judges a user's own files as `genrec data check` shows it: what is repaired, warned of, refused. Writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from genrec import splits
from genrec.errors import UserError
from genrec.findings import Finding, Findings, told
from genrec.reading import Loaded
from genrec.sources.files import read
from genrec.sources.files.mapping import find_mapping
from genrec.tasks import load_tasks

_SHIPPED = ("impression", "click", "convert", "visit")
_CLICKS_NEED = {
    "impression": "log what was shown too: without impressions there is no `no` to learn from",
    "click": "log the clicks too, or map what you call them with `values: {event: {...: click}}`",
}


@dataclass(frozen=True)
class Report:
    """loaded: None if anything is refused."""

    loaded: Loaded | None
    findings: Findings

    @property
    def exit_code(self) -> int:
        return 2 if self.findings.refused else 0

    def __str__(self) -> str:
        found = self.findings
        blocks = [_counts(self.loaded)] if self.loaded else []
        blocks += [f"repaired  {line}" for line in found.repaired]
        blocks += [_shown("warned  ", finding) for finding in found.warned]
        blocks += [_shown("refused ", finding) for finding in found.refused]
        verdict = "nothing can be loaded until this is corrected" if found.refused else "ready to prepare"
        warnings = f"{len(found.warned)} warning{'s' * (len(found.warned) != 1)}"
        numbers = f"{len(found.repaired)} repaired, {warnings}, {len(found.refused)} refused"
        return "\n".join([*blocks, f"{numbers}: {verdict}"])


def check(
    path: Path,
    mapping: Path | None = None,
    task_folders: Sequence[Path] = (),
    check_pack: Callable[[str], None] | None = None,
) -> Report:
    """Read the files just as loading them does, but go on after a refusal, and look for what loading lets pass.

    task_folders: where the reading's tasks are looked up; without any they are not. check_pack: raises for a name
    that is no pack.
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
    for field, checked in (
        ("split", lambda: splits.whole(reading.split)),
        (
            "tasks and labels",
            lambda: task_folders and load_tasks(task_folders, reading.tasks, reading.labels),
        ),
        ("pack", lambda: check_pack and check_pack(reading.pack)),
    ):
        try:
            checked()
        except UserError as error:
            findings.refuse(error.what, f"{told_by.where}, {field}", error.cure)
    if not findings.refused:
        _doubts(loaded, findings)
    return Report(loaded, findings)


def _doubts(loaded: Loaded, findings: Findings) -> None:
    """What can be read and may still not be what was meant."""
    events = loaded.tables.events
    rules = loaded.reading.labels.values()
    read_names = {*_SHIPPED, *(str(rule["event"]) for rule in rules if "event" in rule)}
    own = events.filter(pc.invert(pc.is_in(events["event"], value_set=pa.array(sorted(read_names)))))
    if own.num_rows:
        names = tuple(own["event"].unique().to_pylist()[:3])
        cure = "map them with `values: {event: {...}}`, or name them in a label"
        findings.warn("Events of a name that no task reads", cure=cure, count=own.num_rows, examples=names)
    _without(events, "click", "impression", findings)
    _without(events, "convert", "click", findings)
    if "click" not in loaded.reading.tasks:
        names = events["event"].unique().to_pylist()
        if lacks := next((name for name in _CLICKS_NEED if name not in names), None):
            findings.warn(f"No click task: the log has {', '.join(names)} only", cure=_CLICKS_NEED[lacks])
    for key, table in (("item_id", loaded.tables.items), ("user_id", loaded.tables.users)):
        known = events[key].combine_chunks().unique()
        cold = table[key].filter(pc.invert(pc.is_in(table[key], value_set=known)))
        if len(cold):
            what = f"{key.removesuffix('_id')}s without any event: scored, not refused"
            findings.warn(what.capitalize(), count=len(cold), examples=tuple(cold.slice(0, 3).to_pylist()))


def _without(events: pa.Table, step: str, before: str, findings: Findings) -> None:
    """Clicks on what was never shown, purchases of what was never clicked: no label comes of them."""
    pairs = pc.binary_join_element_wise(events["user_id"], pc.fill_null(events["item_id"], ""), "\x1f")
    earlier = pairs.filter(pc.equal(events["event"], before))
    if not len(earlier):
        return
    lone = pc.and_(
        pc.equal(events["event"], step), pc.invert(pc.is_in(pairs, value_set=earlier.combine_chunks()))
    )
    rows = events.filter(lone)
    if rows.num_rows:
        first = rows.slice(0, 3)
        ids = tuple(
            f"user {u} item {i}"
            for u, i in zip(first["user_id"].to_pylist(), first["item_id"].to_pylist(), strict=True)
        )
        cure = f"check that the log's {before}s are complete; such rows give no label"
        findings.warn(
            f"A {step} without any {before} of that user and item",
            cure=cure,
            count=rows.num_rows,
            examples=ids,
        )


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


def _shown(label: str, finding: Finding) -> str:
    lines = [f"{label}  {told(finding)}"]
    lines += [f"          where: {finding.where}"] * bool(finding.where)
    lines += [f"          cure:  {finding.cure}"] * bool(finding.cure)
    return "\n".join(lines)
