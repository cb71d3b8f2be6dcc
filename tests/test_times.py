"""Times of a user's own log: every unit is read exactly or named, and a wrong one is refused with its cure."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.errors import UserError
from genrec.findings import Findings
from genrec.sources.files import load, read
from genrec.sources.files.mapping_file import find_mapping
from genrec.sources.files.units import looks_like

DAYS = [datetime(2024, 5, 1 + n, 12, 30, tzinfo=UTC) for n in range(3)]
SECONDS = [int(day.timestamp()) for day in DAYS]
WRITTEN: Mapping[str, Sequence[object]] = {
    "s": SECONDS,
    "ms": [s * 10**3 for s in SECONDS],
    "us": [s * 10**6 for s in SECONDS],
    "ns": [s * 10**9 for s in SECONDS],
    "min": [s // 60 for s in SECONDS],
    "yyyymmddHHMM": [f"{day:%Y%m%d%H%M}" for day in DAYS],
    "yyyymmddHHMMSS": [f"{day:%Y%m%d%H%M%S}" for day in DAYS],
    "excel": [25_569 + s / 86_400 for s in SECONDS],
}


def log(folder: Path, times: Sequence[object], more: str = "", top: str = "") -> Path:
    rows = "".join(f"u{n},{time},visit\n" for n, time in enumerate(times))
    (folder / "events.csv").write_text(f"user_id,ts,event\n{rows}")
    (folder / "mapping.yaml").write_text(f"events: {{path: events.csv{more}}}\n{top}\n")
    return folder


def times(folder: Path) -> list[datetime]:
    events = load(folder).tables.events.sort_by("user_id")
    return list(events["ts"].to_pylist())


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    return str(caught.value)


@pytest.mark.parametrize("unit", WRITTEN)
def test_numbers_of_every_unit_are_the_same_times(unit: str, tmp_path: Path) -> None:
    assert times(log(tmp_path, WRITTEN[unit], f", ts_unit: {unit}")) == DAYS


@pytest.mark.parametrize(("unit", "seconds"), [("d", 86_400), ("h", 3_600)])
def test_days_and_hours_since_1970(unit: str, seconds: int, tmp_path: Path) -> None:
    folder = log(tmp_path, [s // seconds for s in SECONDS], f", ts_unit: {unit}")
    assert times(folder) == [datetime.fromtimestamp(s // seconds * seconds, UTC) for s in SECONDS]


def test_a_day_as_eight_digits(tmp_path: Path) -> None:
    days = [day.replace(hour=0, minute=0) for day in DAYS]
    written = [f"{day:%Y%m%d}" for day in days]
    assert times(log(tmp_path, written, ", ts_unit: yyyymmdd")) == days
    assert times(log(tmp_path, written)) == days  # the compact date of ISO 8601


@pytest.mark.parametrize("stated", ["s", "ms", "us"])
@pytest.mark.parametrize("unit", [*WRITTEN, "yyyymmdd"])
def test_a_unit_that_is_another_one_is_named(unit: str, stated: str, tmp_path: Path) -> None:
    if unit == stated:
        return
    written = WRITTEN.get(unit) or [f"{day:%Y%m%d}" for day in DAYS]
    message = refused(log(tmp_path, written, f", ts_unit: {stated}"))
    assert f"these look like {unit}: say ts_unit: {unit}" in message
    assert "events.csv, line 2, column ts" in message


@pytest.mark.parametrize("unit", WRITTEN)
def test_numbers_without_a_unit_are_refused_by_its_name(unit: str, tmp_path: Path) -> None:
    assert f"say ts_unit: {unit}" in refused(log(tmp_path, WRITTEN[unit]))
    pq.write_table(
        pa.table(
            {"user_id": ["a"] * 3, "ts": [float(str(v)) for v in WRITTEN[unit]], "event": ["visit"] * 3}
        ),
        tmp_path / "events.parquet",
    )
    (tmp_path / "mapping.yaml").write_text("events: {path: events.parquet}\n")
    assert f"say ts_unit: {unit}" in refused(tmp_path)


def test_some_rows_in_1970_are_refused_with_what_they_look_like(tmp_path: Path) -> None:
    ms = WRITTEN["ms"]
    message = refused(log(tmp_path, [*ms, 0, 0], ", ts_unit: ms"))
    assert (
        "ts lies before 1980, the other rows about 2024: another unit, or 0 for none: '0' (2 rows)" in message
    )
    assert "line 5" in message
    message = refused(log(tmp_path, [*ms, SECONDS[0]], ", ts_unit: ms"))
    assert "these rows look like s" in message
    assert "line 5" in message


def test_dates_of_january_1970_are_refused_in_text_and_parquet(tmp_path: Path) -> None:
    message = refused(log(tmp_path, ["2024-05-01", "1970-01-01T00:00:00Z"]))
    assert "in January 1970, the other rows about 2024" in message
    stamps = pa.array([1_714_500_000] * 3, pa.timestamp("ns"))  # seconds that were read as nanoseconds
    pq.write_table(
        pa.table({"user_id": ["a"] * 3, "ts": stamps, "event": ["visit"] * 3}), tmp_path / "events.parquet"
    )
    (tmp_path / "mapping.yaml").write_text("events: {path: events.parquet}\n")
    assert "every ts lies in January 1970" in refused(tmp_path)


@pytest.mark.parametrize("value", [{"$date": 1}, [1], True])
def test_what_is_neither_a_time_nor_a_number_is_refused_by_its_type(value: object, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps({"user_id": 1, "ts": value, "event": "visit"}))
    for unit in ("", ", ts_unit: s", ", ts_unit: iso"):
        (tmp_path / "mapping.yaml").write_text(f"events: {{path: events.jsonl{unit}}}\n")
        assert "neither a time nor a number" in refused(tmp_path)


def test_a_log_that_starts_at_0_says_from_when_it_counts(tmp_path: Path) -> None:
    assert "ts_origin: 2024-01-01" in refused(log(tmp_path, [0, 5, 10], ", ts_unit: s"))
    start = datetime(2024, 1, 1, tzinfo=UTC)
    expected = [start + timedelta(seconds=n) for n in (0, 5, 10)]
    assert times(log(tmp_path, [0, 5, 10], ", ts_unit: s, ts_origin: 2024-01-01")) == expected
    assert times(log(tmp_path, [0, 5, 10], ", ts_unit: s, ts_origin: '2024-01-01T01:00+01:00'")) == expected
    assert times(log(tmp_path, [0], ", ts_unit: s, ts_origin: 1970-01-01")) == [
        datetime(1970, 1, 1, tzinfo=UTC)
    ]
    assert "ts_origin" in refused(log(tmp_path, ["2024-05-01"], ", ts_unit: iso, ts_origin: 2024-01-01"))
    assert "ts_origin is 5" in refused(log(tmp_path, [0], ", ts_unit: s, ts_origin: 5"))


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-01 12:30:00 UTC",
        "2024-05-01 12:30:00.000000 UTC",
        "2024-05-01T12:30:00 GMT",
        "2024-05-01 12:30:00Z",
        "2024-05-01 12:30:00 Z",
        "2024-05-01 12:30:00+00",
        "2024-05-01 14:30:00.000 +0200",
        "2024-05-01 08:30:00 -04:00",
        "2024-05-01T12:30",
    ],
)
def test_times_as_databases_write_them(written: str, tmp_path: Path) -> None:
    assert times(log(tmp_path, [written])) == DAYS[:1]


def test_times_without_an_offset_are_of_the_stated_zone(tmp_path: Path) -> None:
    zone = "time_zone: Europe/Berlin"
    local = ["2024-05-01 14:30:00", "2024-05-01 12:30:00 UTC", "2024-05-01T14:30:00+02:00"]
    assert times(log(tmp_path, local, top=zone)) == [DAYS[0]] * 3
    assert times(log(tmp_path, ["20240501143000"], ", ts_unit: yyyymmddHHMMSS", zone)) == DAYS[:1]
    assert times(log(tmp_path, SECONDS, ", ts_unit: s", zone)) == DAYS  # seconds since 1970 have no zone
    naive = pa.array([datetime(2024, 5, 1, 14, 30)], pa.timestamp("ms"))
    pq.write_table(pa.table({"user_id": ["a"], "ts": naive, "event": ["visit"]}), tmp_path / "events.parquet")
    (tmp_path / "mapping.yaml").write_text(f"events: {{path: events.parquet}}\n{zone}\n")
    assert times(tmp_path) == DAYS[:1]
    assert "did you mean 'Europe/Berlin'" in refused(log(tmp_path, local, top="time_zone: Europe/Berln"))


def test_hours_that_a_zone_has_twice_or_never_are_counted(tmp_path: Path) -> None:
    local = ["2024-10-27 02:30:00", "2024-10-27 02:30:00", "2024-03-31 02:30:00", "2024-03-31 03:30:00"]
    folder = log(tmp_path, local, top="time_zone: Europe/Berlin")
    findings = Findings()
    loaded = read(find_mapping(folder, None), findings)
    assert loaded is not None
    assert [t.isoformat() for t in loaded.tables.events.sort_by("user_id")["ts"].to_pylist()] == [
        "2024-10-27T00:30:00+00:00",
        "2024-10-27T00:30:00+00:00",
        "2024-03-31T01:00:00+00:00",
        "2024-03-31T01:30:00+00:00",
    ]
    twice, never = findings.warned
    assert (twice.count, never.count) == (2, 1)
    assert "Europe/Berlin has twice" in twice.what
    assert "events.csv, line 4, column ts" in never.where


@settings(deadline=None)
@given(
    st.lists(st.integers(315_532_800, 1_764_000_000), min_size=1, max_size=5),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_the_unit_of_every_time_since_1980_is_recognized(seconds: list[int], unit: str) -> None:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert looks_like(np.array([s * scale for s in seconds], float)) == unit
