"""A user's own files: the mapping, the three formats, and one clear message for everything that is wrong."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.check import check
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.sources.files import load
from prompts.pack import TASKS

MAPPING = """\
name: shop
pack: goods-en
events:
  path: log.csv
  columns: {user_id: customer, item_id: sku, ts: time, event: action, value: price}
  values: {event: {view: impression, buy: convert}}
  ts_unit: s
items: {path: items.jsonl.gz, columns: {item_id: sku, title: name, category: {from: cats, separator: "|"}}}
users: {path: users.parquet, columns: {user_id: customer, age: years}}
labels: {click: {within: 30m}}
tasks: [click, convert]
"""
LOG = """\
customer,sku,time,action,price,note
7,a,1700000000,view,,x
7,a,1700000005,click,,
8,b,1700000009,view,,"two
lines"
7,a,1700000100,buy,12.5,
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    (tmp_path / "log.csv").write_text(LOG)
    items = [{"sku": "a", "name": "Tea", "cats": "Food|Drinks"}, {"sku": "b", "name": "茶", "cats": ""}]
    with gzip.open(tmp_path / "items.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(item) + "\n" for item in items)
    pq.write_table(pa.table({"customer": [7, 8], "years": [30, None]}), tmp_path / "users.parquet")
    return tmp_path


def refused(folder: Path) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError) as caught:
        load(folder)
    assert caught.value.cure
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_mapping_names_files_columns_values_and_units(shop: Path) -> None:
    findings = Findings()
    tables, reading, repairs = load(shop, findings=findings)
    rows = tables.events.select(["user_id", "item_id", "ts", "event", "value"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [
        ("7", "a", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "impression", None),
        ("7", "a", datetime(2023, 11, 14, 22, 13, 25, tzinfo=UTC), "click", None),
        ("8", "b", datetime(2023, 11, 14, 22, 13, 29, tzinfo=UTC), "impression", None),
        ("7", "a", datetime(2023, 11, 14, 22, 15, 0, tzinfo=UTC), "convert", 12.5),
    ]
    assert tables.items.to_pylist() == [
        {"item_id": "a", "title": "Tea", "category": ["Food", "Drinks"]},
        {"item_id": "b", "title": "茶", "category": []},
    ]
    assert tables.users.to_pylist() == [{"user_id": "7", "age": 30}, {"user_id": "8", "age": None}]
    assert (reading.name, reading.pack, reading.tasks) == ("shop", "goods-en", ("click", "convert"))
    assert reading.labels == {"click": {"within": "30m"}}
    assert not repairs
    (warning,) = findings.warned
    assert warning.what == "Columns of events left out, the mapping does not name them: note"


def test_files_under_our_own_names_need_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,ts,event\nu,1,2024-05-31T20:00:00+02:00,impression\nu,1,2024-05-31 18:00:01,click\n"
    )
    (tmp_path / "items.csv").write_text(
        "item_id,title,year,post,price\n1,Heat,1995,01234,9.5\n2,Up,2009,99999,\n"
    )
    tables, reading, _ = load(tmp_path)
    assert [t.second for t in tables.events["ts"].to_pylist()] == [0, 1]
    assert tables.items.slice(0, 1).to_pylist() == [
        {"item_id": "1", "title": "Heat", "year": 1995, "post": "01234", "price": 9.5}
    ]
    assert tables.users.to_pylist() == [{"user_id": "u"}]
    assert reading.tasks == ("click", "return", "next")  # no conversions in this log


def test_an_item_id_with_the_character_that_joins_ids_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,ts,event\nu,1,2024-05-31,visit\nu,a\x1fb,2024-05-31,click\n"
    )
    (tmp_path / "items.csv").write_text("item_id,title\n1,Heat\n2,Up\na\x1fb,Tea\n")
    message = refused(tmp_path)
    assert r"item_id holds the control character U+001F, by which item ids are joined: 'a\x1fb'" in message
    assert "events.csv, line 3, column item_id" in message
    found = check(tmp_path, [TASKS]).findings.refused
    assert [str(f.where).partition(str(tmp_path))[2] for f in found] == [
        "/events.csv, line 3, column item_id",
        "/items.csv, line 4, column item_id",
    ]


def test_what_is_put_right_is_told(shop: Path) -> None:
    (shop / "log.csv").write_text(
        "customer,sku,time,action,price\n8,b,1700000009,view,\n7,a,1700000000,view,\n7,a,1700000000,view,\n"
    )
    with gzip.open(shop / "items.jsonl.gz", "wt") as file:
        file.write('{"sku": "a", "name": "Tea\\u0000 \\n pot"}\n{"sku": "b", "name": "Tea pot"}\n')
    edit(shop / "mapping.yaml", ', category: {from: cats, separator: "|"}', "")
    tables, _, repairs = load(shop)
    assert tables.events["user_id"].to_pylist() == ["7", "8"]
    assert tables.items["title"].to_pylist() == ["Tea pot", "Tea pot (2)"]
    assert [r.split()[0] for r in repairs] == ["1", "1", "1", "1"]


def test_the_same_rows_in_any_order_are_the_same_tables(shop: Path) -> None:
    first = load(shop).tables
    header, *rows = (shop / "log.csv").read_text().replace('"two\nlines"', "").splitlines()
    (shop / "log.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    again = load(shop).tables
    assert again.events.equals(first.events)


BROKEN: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing column": (lambda f: edit(f / "log.csv", "time", "when"), ["'time'", "log.csv", "when"]),
    "number in words": (
        lambda f: edit(f / "log.csv", "12.5", "cheap"),
        ["value", "line 6", "price", "'cheap'"],
    ),
    "time in words": (
        lambda f: edit(f / "log.csv", "1700000005", "noon"),
        ["log.csv, line 3, column time", "'noon'"],
    ),
    "milliseconds": (lambda f: edit(f / "log.csv", "1700000", "1700000000"), ["line 2", "ts_unit: ms"]),
    "seconds as ms": (lambda f: edit(f / "mapping.yaml", "unit: s", "unit: ms"), ["1980", "ts_unit: s"]),
    "seconds as ISO": (
        lambda f: edit(f / "mapping.yaml", "unit: s", "unit: iso"),
        ["ISO 8601", "ts_unit: s"],
    ),
    "before 1970": (lambda f: edit(f / "log.csv", "1700000005", "-5"), ["out of range", "line 3"]),
    "in the future": (lambda f: edit(f / "log.csv", "1700000005", "4102444800"), ["out of range", "line 3"]),
    "empty time": (lambda f: edit(f / "log.csv", "1700000005", ""), ["ts is empty", "line 3"]),
    "empty user": (lambda f: edit(f / "log.csv", "8,b", ",b"), ["user_id is empty", "line 4"]),
    "unknown item": (
        lambda f: edit(f / "log.csv", "8,b", "8,z"),
        ["item_id is not in items", "line 4", "'z'"],
    ),
    "unknown user": (
        lambda f: edit(f / "log.csv", "8,b", "9,b"),
        ["user_id is not in users", "line 4", "'9'"],
    ),
    "no item shown": (lambda f: edit(f / "log.csv", "8,b", "8,"), ["item_id is empty", "line 4"]),
    "ragged line": (
        lambda f: edit(f / "log.csv", "12.5,", "12,5,"),
        ["7 fields, the header has 6", "line 6"],
    ),
    "Latin-1": (
        lambda f: (f / "log.csv").write_bytes(
            (f / "log.csv").read_bytes() + "7,café,1700000000,view,,\n".encode("latin-1")
        ),
        ["Not UTF-8", "line 7, column sku", "iconv"],
    ),
    "empty file": (lambda f: (f / "log.csv").write_text(""), ["empty", "log.csv"]),
    "header only": (lambda f: (f / "log.csv").write_text("customer,sku,time,action,price\n"), ["no events"]),
    "file gone": (lambda f: (f / "users.parquet").unlink(), ["No such file", "users.parquet"]),
    "no Parquet": (lambda f: (f / "users.parquet").write_bytes(b"PAR"), ["Parquet", "users.parquet"]),
    "cut-off gzip": (
        lambda f: (f / "items.jsonl.gz").write_bytes((f / "items.jsonl.gz").read_bytes()[:-9]),
        ["unpacked"],
    ),
    "broken JSON": (
        lambda f: (f / "items.jsonl.gz").write_bytes(gzip.compress(b'{"sku": "a"}\n\n{"sku": \n')),
        ["Not JSON", "items.jsonl.gz, line 3"],
    ),
    "mixed ids": (
        lambda f: (f / "items.jsonl.gz").write_bytes(gzip.compress(b'{"sku": "a"}\n{"sku": 5}\n')),
        ["5 is int", "line 2, column sku"],
    ),
    "not UTF-8 JSON": (
        lambda f: (f / "items.jsonl.gz").write_bytes(gzip.compress(b'{"sku": "\xe9"}\n')),
        ["Not UTF-8", "line 1"],
    ),
    "two items of one id": (
        lambda f: (f / "items.jsonl.gz").write_bytes(
            gzip.compress(b'{"sku": "a", "name": "x", "cats": ""}\n{"sku": "a", "name": "y", "cats": ""}\n')
        ),
        ["several rows that differ", "line 1", "'a'"],
    ),
    "fractional ids": (
        lambda f: pq.write_table(pa.table({"customer": [7.0, 8.0], "years": [1, 2]}), f / "users.parquet"),
        ["user_id is double", "row 1"],
    ),
    "unknown key": (
        lambda f: edit(f / "mapping.yaml", "labels:", "lables:"),
        ["'lables'", "did you mean 'labels'"],
    ),
    "unknown column": (
        lambda f: edit(f / "mapping.yaml", "value:", "worth:"),
        ["'worth'", "mapping.yaml, events.columns"],
    ),
    "bad YAML": (lambda f: edit(f / "mapping.yaml", "items: {", "items: {{"), ["not YAML", "line "]),
    "yes as a value": (lambda f: edit(f / "mapping.yaml", "view:", "yes:"), ["True", "quotes"]),
    "bad unit": (lambda f: edit(f / "mapping.yaml", "unit: s", "unit: weeks"), ["'weeks'", "ms"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_refused_with_its_place_and_cure(case: str, shop: Path) -> None:
    break_it, words = BROKEN[case]
    break_it(shop)
    message = refused(shop)
    for word in words:
        assert word in message


def test_a_log_of_items_without_an_items_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,ts,event\nu,1,2024-05-31,click\n")
    assert "items.csv" in refused(tmp_path)


def test_a_log_without_items_needs_none(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"user_id": ["u"], "ts": [datetime(2024, 5, 31)], "event": ["visit"]}),
        tmp_path / "events.parquet",
    )
    tables, reading, _ = load(tmp_path)
    assert tables.events["ts"].to_pylist() == [datetime(2024, 5, 31, tzinfo=UTC)]
    assert tables.items.num_rows == 0
    assert reading.tasks == ("return",)


def test_every_problem_is_counted_in_the_one_message(shop: Path) -> None:
    edit(shop / "log.csv", "1700000005", "noon")
    edit(shop / "log.csv", "12.5", "cheap")
    assert "1 more" in refused(shop)


SPLICES = [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"nan", b"inf", b"-1", b"1e400", b"{", b"[1]", b"null", b"true",
           b"9" * 20, b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\\ud800", b"2024", b"+99:99"]  # fmt: skip


@pytest.mark.parametrize("position", ["inf", "-inf", "1e999", "nan"])
def test_a_position_without_end_is_refused(tmp_path: Path, position: str) -> None:
    row = f"u,1,2024-05-31T18:00:00Z,impression,{position}"
    (tmp_path / "events.csv").write_text(f"user_id,item_id,ts,event,position\n{row}\n")
    assert "position is not a whole number >= 0" in refused(tmp_path)


def test_one_time_that_is_out_of_range_is_not_the_fault_of_the_unit(tmp_path: Path) -> None:
    times = [1_700_000_000 + n for n in range(9)]
    for last, cure in ((4_102_444_800, "correct the time"), (1_700_000_009_000, "correct the time")):
        rows = "".join(f"u,1,{ts},impression\n" for ts in (*times, last))
        (tmp_path / "events.csv").write_text(f"user_id,item_id,ts,event\n{rows}")
        (tmp_path / "mapping.yaml").write_text("name: log\nevents: {path: events.csv, ts_unit: s}\n")
        assert cure in refused(tmp_path)


@settings(max_examples=60)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9), st.sampled_from(SPLICES)), max_size=3),
)
def test_damaged_files_are_refused_by_loading_and_checking_alike(
    tmp_path_factory: pytest.TempPathFactory, log: bool, cuts: list[tuple[int, int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    files = {
        "events.csv": b"user_id,item_id,ts,event,value,position\nu,1,2024-05-31T18:00:00Z,impression,1.5,3\n",
        "items.jsonl": b'{"item_id": "1", "title": "x", "category": ["a"]}\n{"item_id": "2", "title": null}\n',
    }
    damaged = "events.csv" if log else "items.jsonl"
    for at, length, splice in cuts:
        files[damaged] = files[damaged][:at] + splice + files[damaged][at + length :]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    report = check(folder, [TASKS])
    str(report).encode()
    try:
        load(folder)
        assert report.exit_code == 0
    except UserError as error:
        str(error).encode()
        assert report.exit_code == 2
