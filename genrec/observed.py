"""Until when a log was observed. A label whose window closes later than that is censored, never called "no".

The end is stated (`end:` in a mapping), or it is the time of the last event. One event of a wrong clock, long after all
others, must not move it: a few last events behind a gap longer than every label window are kept out, and that is said.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genrec.days import day_end, zone
from genrec.durations import DAY, microseconds
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.reading import Loaded, Reading
from genrec.tables import TIMESTAMP
from genrec.tasks import Task

FEW = 3  # last events of a log of ENOUGH events or more that one gap may set apart,
SHARE = 0.001  # or this share of all events where that is more
ENOUGH = 100
WORTH_A_WARNING = 10  # events of a smaller log: nothing is taken out, but a last event far off is said


def stated_end(reading: Reading) -> int | None:
    """The reading's `end`, the last moment that was observed, in microseconds UTC; None where it states none.

    A date alone means the last microsecond of that day: in a log of days the next day's events stand right behind it. A
    time without an offset is one of the reading's time zone. Raises UserError for what is neither or lies ahead.
    """
    here = zone(reading.time_zone)
    if not reading.end:
        return None
    cure = "write it like 2024-05-31, the end of that day, or 2024-05-31T18:00:00Z"
    if len(reading.end) == len("2024-05-31"):
        end = day_end(reading.end, "end", reading.time_zone) - 1
    else:
        try:
            moment = datetime.fromisoformat(reading.end)
        except ValueError as error:
            raise UserError(f"end is {reading.end!r}, which is no time", "end", cure) from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=here)
        end = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if end > (datetime.now(UTC).timestamp() + 86_400) * 1e6:
        raise UserError(f"end is {reading.end}, which lies ahead: nothing was observed since", "end", cure)
    return end


def end_of(reading: Reading, events: pa.Table) -> int:
    """Until when these events were observed, in microseconds UTC: as stated, or the last event's time."""
    stated = stated_end(reading)
    return int(pc.max(events["ts"]).cast(pa.int64()).as_py()) if stated is None else stated


def observed(loaded: Loaded, tasks: Mapping[str, Task], findings: Findings) -> Loaded:
    """The log up to its end. What lies after it is kept out and counted in `findings`; an end that no one stated but
    that is not the last event's time stands in the reading that is returned.

    Raises UserError for an end before all events, and for an end or a time zone that cannot be read.
    """
    ts = loaded.tables.events["ts"].cast(pa.int64()).to_numpy()
    reading, end = loaded.reading, stated_end(loaded.reading)
    if not len(ts):
        return loaded
    if end is None:
        times = np.sort(ts)
        window = longest_window(tasks)
        kept = _before_the_gap(times, window)
        if kept == len(times):
            _warn_of_a_late_event(times, window, findings)
            return loaded
        end = int(times[kept - 1])
        reading = replace(reading, end=iso(end))
        first = iso(int(times[kept]))
        findings.warn(
            f"The last {len(times) - kept:,} of {len(times):,} events come after a gap that is longer than every label "
            f"window, from {iso(end)} to {first}: kept out. Counted as observed until they happened, what the log "
            "does not hold would be labelled no",
            cure=f"write `end: {iso(end)}` in the mapping if these are wrong clocks or tests, "
            f"`end: {iso(int(times[-1]))}` if the log was observed until then",
            count=len(times) - kept,
        )  # fmt: skip
    late = ts > end
    if not late.any():
        return loaded._replace(reading=reading)
    if late.all():
        raise UserError(
            f"All events come after the end, {reading.end}", where="end", cure="correct `end` in the mapping"
        )
    if reading.end == loaded.reading.end:
        findings.repaired.append(f"{late.sum():,} events come after the end, {reading.end}: kept out")
    tables = replace(loaded.tables, events=loaded.tables.events.filter(pa.array(~late)))
    return loaded._replace(tables=tables, reading=reading)


def longest_window(tasks: Mapping[str, Task]) -> int:
    """Microseconds from a question to the moment when its label is known, of the task where that takes longest."""
    longest = 0
    for task in tasks.values():
        for row in task.label.get("cutoffs", [task.label]):
            where = f"task {task.name}, label"
            spans = [
                microseconds(row[name], f"{where}.{name}")
                for name in ("within", "gap", "horizon")
                if name in row
            ]
            before = tasks[task.given].label if task.given is not None and task.given in tasks else {}
            spans += [microseconds(before["within"], where)] if "within" in before else []
            longest = max(longest, sum(spans))
    return longest


def _before_the_gap(times: np.ndarray, window: int) -> int:
    """How many of the sorted times stand before a gap longer than `window` and than a day that only a few follow on;
    all of them where there is no such gap. A log whose labels have no window needs no end."""
    few = max(FEW, int(SHARE * len(times)))
    if len(times) < ENOUGH or not window:
        return len(times)
    tail = np.diff(times[-few - 1 :])
    wide = np.flatnonzero(tail > max(window, DAY))
    return len(times) - few + int(wide[0]) if len(wide) else len(times)


def _warn_of_a_late_event(times: np.ndarray, window: int, findings: Findings) -> None:
    """In a log too small to tell a wrong clock from a quiet time: its last event after a gap longer than every window,
    and longer than all that came before. It stays the log's end."""
    if not window or not WORTH_A_WARNING <= len(times) < ENOUGH:
        return
    gap, before = times[-1] - times[-2], times[-2] - times[0]
    if gap > max(window, DAY, before):
        findings.warn(
            f"The last event comes after a gap that is longer than every label window, from {iso(int(times[-2]))} to "
            f"{iso(int(times[-1]))}: what the log does not hold of that time is labelled no",
            cure=f"write `end: {iso(int(times[-2]))}` in the mapping if its clock is wrong",
        )


def iso(moment: int) -> str:
    """Microseconds UTC as ISO 8601, whole seconds without their fraction."""
    return str(pa.scalar(moment, pa.int64()).cast(TIMESTAMP).as_py().isoformat()).replace("+00:00", "Z")
