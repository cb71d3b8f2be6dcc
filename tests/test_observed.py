"""Until when a log was observed: stated, or found where one late event would move it; and where days begin."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from small_logs import CLICK, CONVERT, DAY, MINUTE, NEXT, RETURN, START, Row, examples, row, tables

from genrec.command import Parser, fill
from genrec.commands.data import command
from genrec.dataset import Prepared, prepare
from genrec.days import day_end, next_midnight
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.labelled import label
from genrec.observed import observed, stated_end
from genrec.reading import Loaded, Reading
from genrec.tasks import Task

TASKS = {task.name: task for task in (CLICK, CONVERT, RETURN, NEXT)}
LATE = 400 * 24 * 60  # minutes: more than a year after the log


def steady(minutes: int = 1_200, every: int = 10) -> list[Row]:
    """One user is shown something every ten minutes and clicks each second time."""
    rows = []
    for n, minute in enumerate(range(0, minutes, every)):
        rows.append(row("u", "abc"[n % 3], minute, "impression"))
        rows += [row("u", "abc"[n % 3], minute + 1, "click")] * (n % 2)
    return rows


def loaded(rows: list[Row], end: str = "") -> Loaded:
    return Loaded(tables(rows), Reading("small", tasks=tuple(TASKS), end=end), [])


def counted(data: Prepared) -> dict[tuple[str, str], int]:
    """(task, split) -> examples; censored ones too."""
    return {
        (str(task), str(split)): len(part) for (task, split), part in data.examples.groupby(["task", "split"])
    }


def test_one_event_long_after_the_log_moves_no_label() -> None:
    findings = Findings()
    labelled = label(loaded([*steady(), row("v", "a", LATE, "impression")]), TASKS, findings)
    plain = label(loaded(steady()), TASKS, Findings())
    assert labelled.end == plain.end == START + 1_191 * MINUTE
    assert labelled.examples.equals(plain.examples)
    assert labelled.loaded.tables.events.equals(plain.loaded.tables.events)
    (warning,) = findings.warned
    assert "The last 1 of 181 events come after a gap" in warning.what
    assert "`end: 2022-01-08T19:51:00Z`" in warning.cure


@pytest.mark.parametrize(("tail", "kept_out"), [(1, True), (3, True), (4, False)])
def test_a_few_events_are_kept_out_and_more_are_the_log_going_on(tail: int, kept_out: bool) -> None:
    rows = [*steady(), *(row("v", "a", LATE + n, "impression") for n in range(tail))]
    findings = Findings()
    after = observed(loaded(rows), TASKS, findings)
    assert bool(findings.warned) is kept_out
    assert after.tables.events.num_rows == len(rows) - tail * kept_out


@pytest.mark.parametrize(
    ("events", "last", "says"), [(40, LATE, True), (40, 3_000, True), (40, 500, False), (8, LATE, False)]
)
def test_in_a_small_log_a_late_event_is_said_and_kept(events: int, last: int, says: bool) -> None:
    rows = [row("u", "a", 10 * n, "impression") for n in range(events)]
    findings = Findings()
    labelled = label(loaded([*rows, row("v", "a", last, "impression")]), TASKS, findings)
    assert labelled.end == START + last * MINUTE
    assert [w.cure for w in findings.warned if "The last event comes after a gap" in w.what] == [
        "write `end: 2022-01-08T06:30:00Z` in the mapping if its clock is wrong"
    ] * says


def test_an_end_that_was_found_is_not_called_stated() -> None:
    rows = [*steady(), row("v", "a", LATE, "impression")]
    assert not label(loaded(rows), TASKS).end_stated
    assert label(loaded(rows, end="2022-01-08"), TASKS).end_stated


def test_a_gap_that_no_label_window_falls_into_moves_nothing() -> None:
    rows = [*steady(), row("v", "a", 1_200 + 23 * 60, "impression")]  # within a day
    findings = Findings()
    assert observed(loaded(rows), TASKS, findings).tables.events.num_rows == len(rows)
    assert (
        observed(loaded([*steady(), row("v", "a", LATE, "impression")]), {"next": NEXT}, findings).reading.end
        == ""
    )
    assert not findings.warned


def test_a_stated_end_censors_what_it_does_not_cover_and_keeps_out_what_comes_later() -> None:
    findings = Findings()
    labelled = label(loaded(steady(), end="2022-01-08T10:00:00Z"), TASKS, findings)
    assert labelled.end == START + 600 * MINUTE
    assert labelled.frame.ts.max() <= labelled.end
    assert findings.repaired == ["89 events come after the end, 2022-01-08T10:00:00Z: kept out"]
    assert not findings.warned
    open_ = labelled.examples[labelled.examples.known_at > labelled.end]
    assert len(open_)
    assert set(open_.split) == {"censored"}


def test_the_last_day_of_a_log_of_days_is_the_stated_one() -> None:
    """Events of a log of days stand at midnight, where the day before them ends."""
    bought = [row(user, "a", day * 24 * 60, "convert") for user in "uv" for day in range(8)]
    by_days = Task(
        "return", "binary", answers=(" yes", " no"),
        label={
            "rule": "returns", "session_gap": "1h", "horizon": "3d",
            "cutoffs": [{"at": "2022-01-10", "horizon": "3d", "split": "test"}],
        },
    )  # fmt: skip
    reading = Reading("days", tasks=("return",), split={"by": "given"}, end="2022-01-13")
    labelled = label(Loaded(tables(bought), reading, []), {"return": by_days})
    assert labelled.frame.ts.max() == utc("2022-01-13T00:00:00")
    assert labelled.examples.split.tolist() == ["test", "test"]  # its three days are over with the stated one
    day_short = label(Loaded(tables(bought), replace(reading, end="2022-01-12"), []), {"return": by_days})
    assert day_short.examples.split.tolist() == ["censored", "censored"]


def test_a_log_that_was_watched_on_after_its_last_event_censors_less() -> None:
    short, watched = (prepare(loaded(steady(), end=end), TASKS) for end in ("", "2022-01-09T12:00:00Z"))
    assert counted(short)["click", "censored"] > counted(watched).get(("click", "censored"), 0)
    assert short.points_now()["u"] < watched.points_now()["u"] == len(watched.lines)
    counts = [data.statistics_now().read("u", "c")[0] for data in (short, watched)]
    assert counts[0] < counts[1]


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("soon", "end is 'soon', which is no time"),
        ("2022-13-01", "Not a day of 1970 to 2200"),
        ("2199-12-31", "which lies ahead"),
        ("2021-01-01", "All events come after the end, 2021-01-01"),
    ],
)
def test_an_end_that_cannot_be_meant_is_refused(end: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        label(loaded(steady(), end=end), TASKS)


def test_an_end_is_read_in_the_logs_time_zone() -> None:
    berlin = Reading("small", time_zone="Europe/Berlin")
    day, hour = (
        stated_end(replace(berlin, end="2024-05-31")),
        stated_end(replace(berlin, end="2024-06-01T00:00")),
    )
    assert hour == stated_end(replace(berlin, end="2024-05-31T22:00:00Z")) == utc("2024-05-31T22:00:00")
    assert day == hour - 1
    assert stated_end(Reading("small", end="2024-05-31")) == utc("2024-06-01T00:00:00") - 1
    with pytest.raises(UserError, match="No time zone 'Berlin'"):
        stated_end(Reading("small", time_zone="Berlin"))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("zone", "moment", "midnight"),
    [
        ("UTC", "2024-03-30T23:59:59", "2024-03-31T00:00:00"),
        ("Europe/Berlin", "2024-03-30T22:59:59", "2024-03-30T23:00:00"),  # winter
        ("Europe/Berlin", "2024-03-30T23:00:00", "2024-03-31T22:00:00"),  # the day of 23 hours
        ("Europe/Berlin", "2024-10-26T22:00:00", "2024-10-27T23:00:00"),  # the day of 25
        (
            "America/Santiago",
            "2024-09-07T12:00:00",
            "2024-09-08T04:00:00",
        ),  # 0:00 does not exist: 1:00 comes first
    ],
)
def test_days_begin_at_local_midnight_over_changes_of_the_clocks(
    zone: str, moment: str, midnight: str
) -> None:
    assert next_midnight(np.array([utc(moment)]), zone).tolist() == [utc(midnight)]


def test_the_day_of_a_cut_off_ends_where_the_log_is_from() -> None:
    assert day_end("2024-05-31", "here", "Europe/Berlin") == utc("2024-05-31T22:00:00")
    assert day_end("2024-05-31", "here", "Asia/Tokyo") == utc("2024-05-31T15:00:00")
    assert day_end("2024-05-31", "here") == utc("2024-06-01T00:00:00")


LATER = Task(
    "return", "binary", answers=(" yes", " no"),
    label={"rule": "returns", "event": "any", "session_gap": "15m", "horizon": "12h", "later_day": True},
)  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "later"), [("UTC", [0, 0]), ("Asia/Tokyo", [1, 0]), ("America/New_York", [0, 0])]
)
def test_a_later_day_is_one_of_the_logs_time_zone(zone: str, later: list[int]) -> None:
    # 14:00 and 16:00 UTC: 23:00 and 1:00 of the next day in Tokyo.
    rows = [row("u", "a", 14 * 60, "visit"), row("u", "a", 16 * 60, "visit")]
    data = label(
        Loaded(tables(rows), Reading("small", tasks=("return",), time_zone=zone), []), {"return": LATER}
    )
    assert data.examples.label.tolist() == later
    assert examples(rows, LATER).label.tolist() == [0, 0]
    assert DAY == 24 * 60 * MINUTE


def test_a_mapping_states_end_and_time_zone_with_and_without_quotes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"u,{1 + n % 2},2024-05-{1 + n // 24:02}T{n % 24:02}:00:00Z,visit" for n in range(240)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,ts,event", *lines]))
    (tmp_path / "items.csv").write_text("item_id,title\n1,Tea\n2,Cup\n")
    # One event stands where the day ends: a time means that moment, a date the day before it.
    for end, late in (
        ("2024-05-08", 50),
        ("'2024-05-08'", 50),
        ("2024-05-08T22:00:00Z", 49),
        ("2024-05-09 00:00:00", 49),
    ):
        (tmp_path / "mapping.yaml").write_text(
            f"end: {end}\ntime_zone: Europe/Berlin\nevents: {{path: events.csv}}\nitems: {{path: items.csv}}\n"
            "labels: {return: {horizon: 1d}}\n"
        )
        parser = fill(Parser(prog="genrec data"), command)
        out = tmp_path / "out"
        assert not command.run(parser.parse_args(["prepare", "files", str(tmp_path), "--out", str(out)]))
        assert f"{late} events come after the end" in capsys.readouterr().out
        data = Prepared.load(out)
        assert data.reading.time_zone == "Europe/Berlin"
        assert data.tables.events["ts"].to_pylist()[-1] <= datetime(2024, 5, 8, 22, tzinfo=UTC)
