"""Request ids that do not name one page view, and pages that were logged only where something was clicked."""

import pandas as pd

from genrec import labels, lines, splits
from genrec.durations import DAY, microseconds
from genrec.findings import Findings
from genrec.labelled import LabelledLog

SESSION_GAP = "1h"  # where no task says one
PAGES = 100  # page views of several items that make the absence of one without a click telling


def warn_of_requests(labelled: LabelledLog, findings: Findings) -> None:
    """Impressions of one request are asked at its first one, so an id that is used again empties histories."""
    shown = labelled.shown[labelled.shown.request_id != ""]
    if shown.empty:
        return
    rules = [task.label for task in labelled.tasks.values()]
    gap = min(
        (str(r["session_gap"]) for r in rules if "session_gap" in r), default=SESSION_GAP, key=microseconds
    )
    pages = shown.groupby(["user_id", "request_id"], sort=False).agg(
        first=("ts", "min"), last=("ts", "max"), items=("ts", "size"), clicks=("click", "sum")
    )
    wide = pages[pages["last"] - pages["first"] > microseconds(gap)]
    if len(wide):
        _warn_of_wide_requests(labelled, wide, gap, findings)
    users = shown.groupby("request_id").user_id.nunique()
    if (shared := users[users > 1]).size:
        findings.warn(
            f"{len(shared):,} of {len(users):,} request_ids stand with several users: each user's impressions are "
            "taken for a request of their own",
            cure="if the column is a page or slot number, leave request_id out of the mapping",
            examples=tuple(str(r) for r in shared.index[:3]),
        )
    several = pages[pages["items"] > 1]
    if "click" in labelled.tasks and len(several) >= PAGES and (several.clicks > 0).all():
        findings.warn(
            f"Each of the {len(several):,} requests of several impressions has a click: those without one are probably "
            "not in the log. A probability is then that of a click on a page that gets one",
            cure="log the pages without a click too, or read probabilities as that",
        )


def _warn_of_wide_requests(labelled: LabelledLog, wide: pd.DataFrame, gap: str, findings: Findings) -> None:
    """With what it costs: the log is labelled once more as if those ids were not there."""
    frame = labelled.frame
    again = pd.MultiIndex.from_frame(frame[["user_id", "request_id"]]).isin(wide.index)
    apart = frame.assign(request_id=frame.request_id.where(~again, ""))
    used, met = _usable(labelled, frame)
    used_apart, met_apart = _usable(labelled, apart)
    days = int((wide["last"] - wide["first"]).max() // DAY)
    span = f"up to {days:,} days" if days else f"more than {gap}"
    findings.warn(
        f"{len(wide):,} requests hold impressions that lie {span} apart. All impressions of a request_id are asked at "
        f"its first one, without those in between: {used:,} of them can be used, with {met:.1f} history lines on "
        f"average; each asked at its own time it is {used_apart:,} with {met_apart:.1f}",
        cure="give each page view an id of its own, or leave request_id out of the mapping",
        examples=tuple(f"user {user} request {request}" for user, request in wide.index[:3]),
    )  # fmt: skip


def _usable(labelled: LabelledLog, frame: pd.DataFrame) -> tuple[int, float]:
    """How many impressions have an example that is not censored, and the history lines before one on average."""
    reading = labelled.loaded.reading
    shown = labels.impressions(frame, labelled.tasks)
    examples = labels.examples(frame, shown, labelled.tasks, reading.time_zone)
    names, _ = splits.assign(examples, reading.split, labelled.end, labelled.end_stated)
    asked = examples[(examples.impression >= 0) & (names != "censored")].drop_duplicates("impression")
    points = lines.points(asked, lines.lines(frame, shown, labelled.tasks))
    return len(asked), float(points.mean()) if len(points) else 0.0
