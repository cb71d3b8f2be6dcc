"""Signs of clocks and recordings that do not agree: clicks before their impressions, an event that is not logged on."""

import numpy as np
import pandas as pd

from genrec.attribution import credited
from genrec.durations import microseconds
from genrec.findings import Findings
from genrec.labelled import LabelledLog
from genrec.labels import followed
from genrec.observed import iso

LEAD = microseconds("15m")  # clocks that are further apart than this look like something else
SHARE = 0.01  # of the clicks that come early without a warning
FEW = 3
SURPRISE = 1e-6  # how unlikely a silence is at most, were the events spread over the log


def warn_of_early_events(
    labelled: LabelledLog, uncredited: dict[str, pd.DataFrame], findings: Findings
) -> None:
    """Clicks shortly before an impression of the same user and item, conversions shortly before a click.

    uncredited: the events of a log with impressions that gave no label, as genrec.labels.uncredited_events has them.
    """
    clicked = labelled.shown[labelled.shown.click == 1]
    for name, before, targets, at in (
        ("click", "impression", labelled.shown, "ts"),
        ("convert", "click", clicked, "click_ts"),
    ):
        if name not in labelled.tasks:
            continue
        rule = followed(labelled.tasks, name)
        every = int((labelled.frame.event == rule["event"]).sum())
        early = credited(uncredited[name], rule["event"], targets, at, LEAD, "forward")
        if len(early) < max(FEW, SHARE * every):
            continue
        label = targets[name].to_numpy(copy=True)
        rate = label.mean()
        label[early.row.astype(int)] = 1
        times = targets[at].to_numpy()[early.row.astype(int)] - early.event_ts.to_numpy()
        findings.warn(
            f"{len(early):,} {rule['event']} events come before the {before} of that user and item, by "
            f"{np.median(times) / 60e6:.1f} minutes in the median: {len(early) / every:.0%} of all. They give no "
            f"label: the {name} rate is {rate:.1%}, with them {label.mean():.1%}",
            cure="some clocks are early: correct the times, or take both from one clock",
        )


def warn_of_events_that_stop(labelled: LabelledLog, findings: Findings) -> None:
    """An event that a label reads and that is logged only in a part of the time in which the others are."""
    read = {str(t.label["event"]) for t in labelled.tasks.values() if t.label.get("event", "any") != "any"}
    for event in sorted(read):
        times = np.sort(labelled.frame.ts[labelled.frame.event == event].to_numpy())
        others = labelled.frame.ts[labelled.frame.event != event].to_numpy()
        if not len(times) or not len(others):
            continue
        after, before = (others > times[-1]).sum(), (others < times[0]).sum()
        if _unlikely(after, len(others), len(times)):
            findings.warn(
                f"There is no {event} after {iso(int(times[-1]))}, while {after:,} other events follow: labels of that "
                "time say no",
                cure=f"if its recording stopped, write `end: {iso(int(times[-1]))}` in the mapping",
            )
        if _unlikely(before, len(others), len(times)):
            findings.warn(
                f"There is no {event} before {iso(int(times[0]))}, while {before:,} other events stand there: labels "
                "of that time say no",
                cure="if its recording began later, take the events before it out",
            )


def _unlikely(outside: int, others: int, count: int) -> bool:
    """Whether `count` events that fall where `others` do would nearly never all miss the part that `outside` are in.

    One pseudo-event more than `others` stands elsewhere: that all of a few are outside says little.
    """
    return bool(count * np.log1p(-outside / (others + 1)) < np.log(SURPRISE))
