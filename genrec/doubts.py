"""What can be read and may still not be what was meant: `genrec data check` and `genrec data prepare` say the same."""

from collections import Counter
from difflib import get_close_matches

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from genrec.clock_doubts import warn_of_early_events, warn_of_events_that_stop
from genrec.empty_splits import warn_of_empty_splits
from genrec.findings import Findings
from genrec.labelled import LabelledLog, label
from genrec.labels import followed, uncredited_events, unlisted
from genrec.observed import observed
from genrec.reading import Loaded
from genrec.request_doubts import warn_of_requests
from genrec.tasks import Task

SHIPPED = ("impression", "click", "convert", "visit")
# What logs call them otherwise, singular and in lower case.
SYNONYMS = {
    "view": "impression", "show": "impression", "shown": "impression", "exposure": "impression", "imp": "impression",
    "clicked": "click", "tap": "click", "purchase": "convert", "buy": "convert", "order": "convert",
    "conversion": "convert", "transaction": "convert", "bought": "convert", "session": "visit", "login": "visit",
    "open": "visit",
}  # fmt: skip
_CLICKS_NEED = {
    "impression": "log what was shown too: without impressions there is no `no` to learn from",
    "click": "log the clicks too, map what you call them with `values: {event: {...: click}}`, or make them of a "
    "column: `derive: {click: value >= 4}`",
}


def judge(loaded: Loaded, tasks: dict[str, Task], findings: Findings) -> LabelledLog | None:
    """The log with its labels, and in `findings` what is to be said of it; None where a task is refused.

    Raises UserError as genrec.labelled.label does.
    """
    _refuse_tasks_without_events(observed(loaded, tasks, Findings()), tasks, findings)
    if findings.refused:
        return None
    labelled = label(loaded, tasks, findings)
    _warn_of_names(labelled, findings)
    if len(labelled.shown):
        uncredited = uncredited_events(labelled.frame, labelled.shown, labelled.tasks)
        _warn_of_uncredited(labelled, uncredited, findings)
        warn_of_early_events(labelled, uncredited, findings)
    warn_of_events_that_stop(labelled, findings)
    warn_of_requests(labelled, findings)
    _warn_of_clicks(labelled, findings)
    _warn_of_unlisted(labelled, findings)
    _warn_of_one_answer(labelled, findings)
    warn_of_empty_splits(labelled, findings)
    _warn_of_spaces(labelled, findings)
    _warn_of_strangers(labelled, findings)
    return labelled


def _refuse_tasks_without_events(loaded: Loaded, tasks: dict[str, Task], findings: Findings) -> None:
    """Refuse a task whose label reads an event that the log does not have."""
    names = loaded.tables.events["event"].unique().to_pylist()
    if not names:
        return
    for task in tasks.values():
        rule, event = task.label["rule"], task.label.get("event")
        asked_of = ["impression"] if rule in ("follows", "value") else []
        read = [str(event)] if event is not None and event != "any" else []
        for name in (n for n in [*asked_of, *read] if n not in names):
            near = get_close_matches(name, names, n=1)
            findings.refuse(
                f"Task {task.name!r} needs events called {name!r}, and the log has none: it has {', '.join(names)}",
                where=f"task {task.name}, label",
                cure=(f"did you mean {near[0]!r}? Else " if near else "")
                + "leave the task out of `tasks`, or name the event as the log does: in the task's label, or with "
                "`values: {event: {...}}`",
            )


def _warn_of_names(labelled: LabelledLog, findings: Findings) -> None:
    """Events of names that no label reads, those apart that are probably a shipped name."""
    events = labelled.loaded.tables.events
    rules = [task.label for task in labelled.tasks.values()]
    read = {*SHIPPED, *(str(rule["event"]) for rule in rules if "event" in rule)}
    counts = Counter(
        {
            c["values"]: c["counts"]
            for c in events["event"].value_counts().to_pylist()
            if c["values"] not in read
        }
    )
    meant = {name: shipped for name in counts if (shipped := shipped_name(name))}
    for name, shipped in meant.items():
        findings.warn(
            f"Events are called {name!r}: no task reads that name, {shipped!r} is probably what they are",
            cure=f"write `values: {{event: {{{name}: {shipped}}}}}` for events in the mapping",
            count=counts.pop(name),
        )
    if counts:
        cure = "map them with `values: {event: {...}}`, or name them in a label"
        names = tuple(name for name, _ in counts.most_common(3))
        findings.warn("Events of a name that no task reads", cure=cure, count=counts.total(), examples=names)


def shipped_name(name: str) -> str:
    """The shipped event that a name probably means: another spelling or a synonym of it; "" where it is none.

    >>> shipped_name("Impressions"), shipped_name("CLICK"), shipped_name("add_to_cart")
    ('impression', 'click', '')
    """
    plain = name.strip().casefold().removeprefix("page_").removeprefix("item_")
    for form in (plain, plain.removesuffix("s")):
        if form in SHIPPED or form in SYNONYMS:
            return SYNONYMS.get(form, form)
    near = get_close_matches(plain, SHIPPED, n=1, cutoff=0.8)
    return near[0] if near else ""


def _warn_of_uncredited(
    labelled: LabelledLog, uncredited: dict[str, pd.DataFrame], findings: Findings
) -> None:
    """Clicks on what was not shown, purchases of what was not clicked: no label comes of them."""
    for name, before in (("click", "impression"), ("convert", "click")):
        rows, first = uncredited[name], uncredited[name][:3]
        if name in labelled.tasks and len(rows):
            rule = followed(labelled.tasks, name)
            every = int((labelled.frame.event == rule["event"]).sum())
            findings.warn(
                f"{len(rows):,} of {every:,} {rule['event']} events have no {before} of that user and item within "
                f"{rule['within']} before them",
                cure=f"check that the log's {before}s are complete and labels.{name}.within long enough: such events "
                "give no label",
                examples=tuple(
                    f"user {u} item {i}" for u, i in zip(first.user_id, first.item_id, strict=True)
                ),
            )


def _warn_of_clicks(labelled: LabelledLog, findings: Findings) -> None:
    """A log from which no click task comes, and one whose lines hold no outcome."""
    if "click" in labelled.tasks:
        return
    names = labelled.loaded.tables.events["event"].unique().to_pylist()
    if lacks := next((name for name in _CLICKS_NEED if name not in names), None):
        silent = "; histories tell what was shown, not what came of it" if lacks == "click" else ""
        findings.warn(f"No click task: the log has {', '.join(names)} only{silent}", cure=_CLICKS_NEED[lacks])


def _warn_of_unlisted(labelled: LabelledLog, findings: Findings) -> None:
    for name, count in unlisted(labelled.shown, labelled.tasks).items():
        if count:
            findings.warn(
                f"Impressions whose value label.values of {name} does not list give no example of it",
                cure="list every value that is an answer",
                count=count,
            )


def _warn_of_one_answer(labelled: LabelledLog, findings: Findings) -> None:
    """Nothing can be learned of a task whose training examples all have one answer."""
    train = labelled.examples[labelled.examples.split == "train"]
    for task in labelled.tasks.values():
        of_task = train.label[train.task == task.name].to_numpy()
        if task.kind in ("binary", "choice") and len(of_task) > 1 and len(np.unique(of_task)) == 1:
            answer = task.answers[task.answer_index(int(of_task[0]))].strip()
            findings.warn(
                f"All {len(of_task):,} training examples of {task.name} have the same answer, {answer}: there is "
                "nothing to tell apart",
                cure="check the events and the windows of its label",
            )


def _warn_of_spaces(labelled: LabelledLog, findings: Findings) -> None:
    """Ids with spaces at their ends, which are other ids than those without."""
    for key in ("user_id", "item_id"):
        ids = [str(one) for one in pd.unique(labelled.frame[key])]
        spaced = [one for one in ids if one != one.strip()]
        if spaced:
            bare = {one.strip() for one in spaced} & set(ids)
            twice = f": {len(bare):,} of them also occur without, which counts as another one" if bare else ""
            findings.warn(
                f"{key}s with spaces at their ends{twice}",
                cure="take the spaces out of the files",
                count=len(spaced),
                examples=tuple(repr(one) for one in spaced[:3]),
            )


def _warn_of_strangers(labelled: LabelledLog, findings: Findings) -> None:
    """Items and users of the tables that the log does not name."""
    tables = labelled.loaded.tables
    for key, table in (("item_id", tables.items), ("user_id", tables.users)):
        known = pa.array(pd.unique(labelled.frame[key]), pa.string())
        cold = table[key].filter(pc.invert(pc.is_in(table[key], value_set=known)))
        if len(cold):
            what = f"{key.removesuffix('_id')}s without any event: scored, not refused"
            findings.warn(what.capitalize(), count=len(cold), examples=tuple(cold.slice(0, 3).to_pylist()))
