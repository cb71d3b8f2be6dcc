"""Whatever is written in any format, packing, unit and spelling of ids is read back to the microsecond."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrec.sources.files import load

START = datetime(1990, 1, 1, tzinfo=UTC)
IDS = st.integers(0, 2**63 - 1)
ROWS = st.lists(
    st.tuples(
        IDS,
        IDS,
        st.timedeltas(timedelta(0), timedelta(days=13_000)),
        st.sampled_from(["impression", "click", "convert"]),
        st.none() | st.floats(-1e9, 1e9),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row[:4],
)
# unit -> how a time is written in it
UNITS: dict[str, Callable[[datetime], Any]] = {
    "us": lambda time: _micro(time),
    "ns": lambda time: _micro(time) * 1_000,
    "iso": lambda time: time.isoformat(),
    "iso with UTC": lambda time: f"{time:%Y-%m-%d %H:%M:%S.%f} UTC",
    "timestamp": lambda time: time,
}


def _micro(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _csv(table: pa.Table, path: Path) -> None:
    arrow_csv.write_csv(table, path)


def _jsonl(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def _packed(write: Callable[[pa.Table, Path], None], table: pa.Table, path: Path) -> None:
    plain = path.with_suffix("")
    write(table, plain)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(plain.read_bytes())
    plain.unlink()


def _parts(table: pa.Table, path: Path) -> None:
    path.mkdir()
    (path / "_SUCCESS").touch()
    for n in range(table.num_rows):
        pq.write_table(table.slice(n, 1), path / f"part-{n}.parquet")


FORMATS: dict[str, Callable[[pa.Table, Path], None]] = {
    "events.csv": _csv,
    "events.csv.gz": lambda table, path: _packed(_csv, table, path),
    "events.csv.zst": lambda table, path: _packed(_csv, table, path),
    "events.jsonl": _jsonl,
    "events.jsonl.zst": lambda table, path: _packed(_jsonl, table, path),
    "events.parquet": lambda table, path: pq.write_table(table, path),
    "events": _parts,
}
KINDS = {
    "uint64": lambda ids: pa.array(ids, pa.uint64()),
    "text": lambda ids: pa.array(map(str, ids), pa.string()),
    "category": lambda ids: pa.array(map(str, ids), pa.string()).dictionary_encode(),
    "decimal": lambda ids: pa.array(ids, pa.decimal128(38, 0)),
    "bytes": lambda ids: pa.array([str(i).encode() for i in ids], pa.binary()),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, unit=st.sampled_from(sorted(UNITS)), kind=st.sampled_from(sorted(KINDS)))
def test_what_is_written_is_read(
    name: str, rows: list[Any], unit: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("written")
    rows = [(user, item, START + since, event, value) for user, item, since, event, value in rows]
    typed = name in ("events.parquet", "events")
    if not typed and (unit == "timestamp" or kind != "uint64"):
        unit, kind = "iso" if unit == "timestamp" else unit, "text" if "csv" in name else "uint64"
    users, items, times, events, values = zip(*rows, strict=True)
    table = pa.table(
        {
            "user_id": KINDS[kind](users),
            "item_id": KINDS[kind](items),
            "ts": pa.array([UNITS[unit](time) for time in times]),
            "event": pa.array(events),
            "value": pa.array(values, pa.float64()),
        }
    )
    FORMATS[name](table, folder / name)
    said = f", ts_unit: {unit}" if unit in ("us", "ns") else ""
    (folder / "mapping.yaml").write_text(f"events: {{path: {name}{said}}}\nitems: {{unknown: keep}}\n")
    read = load(folder).tables.events.select(["user_id", "item_id", "ts", "event", "value"]).to_pylist()
    written = [(str(user), str(item), time, event, value) for user, item, time, event, value in rows]
    assert {tuple(row.values()) for row in read} == set(written)
    assert len(read) == len(written)
