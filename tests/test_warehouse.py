"""Files as warehouses and data frames write them: types, folders, packing, index columns, columns nobody named."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genrec.check import check
from genrec.errors import UserError
from genrec.findings import Findings
from genrec.sources.files import load, read
from genrec.sources.files.mapping_file import find_mapping
from genrec.sources.files.sheet import read_sheet
from prompts.pack import TASKS

NOW = datetime(2024, 5, 31, tzinfo=UTC)
ID = uuid.UUID("83dead03-5356-49d6-9614-ec3e8015dd2c")
CSV = "user_id,item_id,ts,event\nu,1,2024-05-31T18:00:00Z,impression\nu,1,2024-05-31T18:00:05Z,click\n"
ITEMS = "item_id,title\n1,Heat\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def warnings(folder: Path) -> list[str]:
    findings = Findings()
    assert read(find_mapping(folder, None), findings) is not None, findings.refused
    return [finding.what for finding in findings.warned]


def packed(path: Path, content: str) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content.encode())


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.decimal128(38, 0), Decimal(7), "7"),
        (pa.decimal256(60, 0), Decimal(10**50), str(10**50)),
        (pa.uint64(), 2**64 - 1, str(2**64 - 1)),
        (pa.binary(), b"u7", "u7"),
        (pa.uuid(), ID.bytes, str(ID)),
        (pa.dictionary(pa.int32(), pa.string()), "u7", "u7"),
        (pa.string_view(), "u7", "u7"),
    ],
    ids=str,
)
def test_ids_of_every_type_join_the_tables(
    kind: pa.DataType, value: object, text: str, tmp_path: Path
) -> None:
    ids = pa.array([value] * 2, kind)
    columns = {"ts": pa.array([NOW] * 2), "event": pa.array(["impression", "click"]).dictionary_encode()}
    pq.write_table(pa.table({"user_id": ids, "item_id": ids, **columns}), tmp_path / "events.parquet")
    (tmp_path / "items.csv").write_text(f"item_id,title\n{text},Heat\n")
    pq.write_table(pa.table({"user_id": ids[:1]}), tmp_path / "users.parquet", compression="zstd")
    tables = load(tmp_path).tables
    assert tables.events["user_id"].to_pylist() == [text] * 2
    assert tables.users["user_id"].to_pylist() == [text]


def test_whole_numbers_of_any_size_in_json_are_ids(folder: Path) -> None:
    rows = [{"user_id": 2**63 + n, "item_id": 1, "ts": "2024-05-31", "event": "visit"} for n in range(2)]
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load(folder).tables.events["user_id"].to_pylist() == [str(2**63), str(2**63 + 1)]


def test_columns_of_items_of_every_type(folder: Path) -> None:
    (folder / "items.csv").unlink()
    (folder / "events.csv").write_text(CSV)
    columns = {
        "item_id": pa.array([1, 2]),
        "title": pa.array(["Heat", "Up"]).dictionary_encode(),
        "price": pa.array([Decimal("12.50"), None], pa.decimal128(10, 2)),
        "stock": pa.array([Decimal(3), None], pa.decimal128(38, 0)),
        "hash": pa.array([2**64 - 1, 0], pa.uint64()),
        "brand": pa.array([b"X", None]),
        "tags": pa.array([[1, 2], None], pa.large_list(pa.int64())),
        "category": pa.array([["a"], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        "attributes": pa.array([{"a": 1}, None]),
    }
    pq.write_table(pa.table(columns), folder / "items.parquet")
    assert load(folder).tables.items.to_pylist() == [
        {"item_id": "1", "title": "Heat", "price": 12.5, "stock": 3, "hash": str(2**64 - 1), "brand": "X",
         "tags": ["1", "2"], "category": ["a"]},
        {"item_id": "2", "title": "Up", "price": None, "stock": None, "hash": "0", "brand": None, "tags": None,
         "category": []},
    ]  # fmt: skip
    assert "Column attributes of items left out: it is struct<a: int64>, not text" in warnings(folder)


def test_values_are_decimals_too(folder: Path) -> None:
    amounts = pa.array([Decimal("12.50"), None], pa.decimal128(10, 2))
    columns = {
        "user_id": ["u", "u"],
        "item_id": ["1", "1"],
        "ts": [NOW, NOW],
        "event": ["impression", "click"],
    }
    pq.write_table(pa.table({**columns, "value": amounts}), folder / "events.parquet")
    assert load(folder).tables.events["value"].to_pylist() == [12.5, None]


@pytest.mark.parametrize("mapped", [True, False])
def test_a_column_that_nothing_reads_cannot_refuse_the_log(mapped: bool, folder: Path) -> None:
    rows = [{"user_id": 1, "item_id": 1, "ts": 1_714_500_000, "event": "impression", "props": props}
            for props in ("none", {"v": 1}, 7)]  # fmt: skip
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = ", columns: {user_id: user_id, item_id: item_id, ts: ts, event: event}" if mapped else ""
    (folder / "mapping.yaml").write_text(f"events: {{path: events.jsonl, ts_unit: s{columns}}}\n")
    assert load(folder).tables.events.num_rows == 1
    why = "left out, the mapping does not name them" if mapped else "that nothing reads"
    assert f"Columns of events {why}: props" in warnings(folder)


def test_a_column_of_several_types_is_refused_where_it_is_read(folder: Path) -> None:
    (folder / "events.csv").write_text(CSV)
    (folder / "items.csv").unlink()
    items = [{"item_id": 1, "title": "Heat", "more": 5}, {"item_id": 2, "title": "Up", "more": "x"}]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    assert "Column more of items left out: 'x' is str, the rows above have int" in warnings(folder)
    (folder / "mapping.yaml").write_text("items: {columns: {more: more}}\n")
    with pytest.raises(UserError, match="'x' is str, the rows above have int") as caught:
        load(folder)
    assert "line 2, column more" in str(caught.value)


def test_the_row_number_of_pandas_is_left_out_and_said(folder: Path) -> None:
    (folder / "events.csv").write_text(CSV)
    (folder / "items.csv").unlink()
    frame = pd.DataFrame({"item_id": ["1", "1"], "title": ["Heat", "Heat"]}, index=[4, 9])
    frame.to_parquet(folder / "items.parquet")
    tables = load(folder).tables
    assert tables.items.to_pylist() == [{"item_id": "1", "title": "Heat"}]
    assert (
        "Column '__index_level_0__' of items left out: it is the row number that pandas writes"
        in warnings(folder)
    )
    (folder / "items.parquet").unlink()
    frame.to_csv(folder / "items.csv")
    assert load(folder).tables.items.equals(tables.items)
    assert any("without a name" in what for what in warnings(folder))
    pd.read_csv(folder / "items.csv", dtype=str).to_csv(folder / "items.csv", index=False)
    assert load(folder).tables.items.equals(tables.items)
    assert any("'Unnamed: 0'" in what for what in warnings(folder))


def test_an_index_that_the_mapping_names_is_read(folder: Path) -> None:
    (folder / "events.csv").write_text(CSV)
    pd.DataFrame({"title": ["Heat"]}, index=[1]).to_parquet(folder / "goods.parquet")
    (folder / "mapping.yaml").write_text(
        "items: {path: goods.parquet, columns: {item_id: __index_level_0__}}\n"
    )
    assert load(folder).tables.items.to_pylist() == [{"item_id": "1", "title": "Heat"}]


def test_a_folder_of_parts_is_one_table(folder: Path) -> None:
    for day, user in (("2024-05-30", 7), ("2024-05-31", 8)):
        part = folder / "events.parquet" / f"day={day}" / "site=a%20b"
        part.mkdir(parents=True)
        columns = {"user_id": [user], "item_id": ["1"], "event": ["impression"]}
        pq.write_table(pa.table(columns), part / "part-0000.snappy.parquet")
    (folder / "events.parquet" / "_SUCCESS").touch()
    (folder / "mapping.yaml").write_text(
        "events: {path: events.parquet, columns: {ts: day, request_id: site}}\n"
    )
    events = load(folder).tables.events
    assert events.select(["user_id", "request_id"]).to_pylist() == [
        {"user_id": "7", "request_id": "a b"},
        {"user_id": "8", "request_id": "a b"},
    ]
    assert [t.day for t in events["ts"].to_pylist()] == [30, 31]


def test_a_key_without_a_value_is_null(folder: Path) -> None:
    part = folder / "events.parquet" / "request_id=__HIVE_DEFAULT_PARTITION__"
    part.mkdir(parents=True)
    columns = {"user_id": ["u"], "item_id": ["1"], "ts": [NOW], "event": ["impression"]}
    pq.write_table(pa.table(columns), part / "part-0.parquet")
    assert load(folder).tables.events["request_id"].to_pylist() == [None]


def test_parts_of_a_folder_say_their_own_lines_and_unify_their_ids(folder: Path) -> None:
    events = folder / "events"
    events.mkdir()
    row = '{"user_id": %s, "item_id": "1", "ts": "2024-05-31", "event": "visit"}\n'
    (events / "part-0.json").write_text(row % "7" + row % "8")
    (events / "part-1.json").write_text(row % '"x"')
    assert load(folder).tables.events["user_id"].to_pylist() == ["7", "8", "x"]
    (events / "part-1.json").write_text(row % '"x"' + (row % '"y"').replace("2024-05-31", "noon"))
    with pytest.raises(UserError, match="ISO 8601") as caught:
        load(folder)
    assert "part-1.json, line 2, column ts" in str(caught.value)
    (events / "part-2.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"several formats: .csv, .json"):
        load(folder)


def test_parts_of_csv_each_have_a_header(folder: Path) -> None:
    (folder / "events").mkdir()
    for n in range(2):
        packed(folder / "events" / f"part-{n}.csv.zst", CSV.replace("u,", f"u{n},"))
    assert load(folder).tables.users["user_id"].to_pylist() == ["u0", "u1"]
    (folder / "events" / "part-0.csv.zst").unlink()
    (folder / "events" / "part-1.csv.zst").unlink()
    with pytest.raises(UserError, match="holds no files"):
        load(folder)


@pytest.mark.parametrize("name", ["events.csv.zst", "events.jsonl.zst"])
def test_files_packed_with_zstandard_are_read(name: str, folder: Path) -> None:
    row = '{"user_id": "u", "item_id": "1", "ts": "2024-05-31T18:00:00Z", "event": "impression"}\n'
    packed(folder / name, CSV if "csv" in name else row + row.replace("impression", "click"))
    assert load(folder).tables.events["event"].to_pylist() == ["impression", "click"]
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-4])
    with pytest.raises(UserError, match="cannot be unpacked"):
        load(folder)


def test_a_folder_above_a_file_is_no_column(tmp_path: Path) -> None:
    below = tmp_path / "country=de"
    below.mkdir()
    pq.write_table(pa.table({"user_id": ["u"], "country": [7]}), below / "pairs.parquet")
    assert read_sheet(below / "pairs.parquet").table.to_pylist() == [{"user_id": "u", "country": 7}]


def test_a_wide_log_is_told_what_its_columns_may_be(folder: Path) -> None:
    (folder / "events.csv").write_text(
        "user_id,itemid,ts,event,clicked,rating,note\nu,1,2024-05-31,impression,1,4,x\nu,1,2024-06-01,impression,0,,y\n"
    )
    found = {finding.what: finding.cure for finding in check(folder, [TASKS]).findings.warned}
    assert found["Column itemid of events is not read"] == "if it is item_id, say columns: {item_id: itemid}"
    assert "derive: {click: clicked == 1}" in found["Column clicked of events is not read"]
    assert "columns: {value: rating}" in found["Column rating of events is not read"]
    assert "Columns of events that nothing reads: note" in found


def test_a_missing_column_is_looked_for_under_another_name(folder: Path) -> None:
    (folder / "events.csv").write_text(CSV.replace("user_id", "customer_id").replace("ts,", "timestamp,"))
    cures = [finding.cure for finding in check(folder, [TASKS]).findings.refused]
    assert "columns: {user_id: customer_id}" in cures[0]
    assert "columns: {ts: timestamp}" in cures[1]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_log_of_other_names_lacks_columns_and_not_rows(suffix: str, folder: Path) -> None:
    log = pd.DataFrame({"who": ["u", "v"], "what": ["1", "1"], "when": ["2024-05-31", "2024-05-31"]})
    write = {
        ".csv": lambda path: log.to_csv(path, index=False),
        ".jsonl": lambda path: log.to_json(path, orient="records", lines=True),
        ".parquet": log.to_parquet,
    }
    write[suffix](folder / f"events{suffix}")
    findings = Findings()
    assert read(find_mapping(folder, None), findings) is None
    assert [f.what for f in findings.refused] == [
        f"events has no column {name!r}" for name in ("user_id", "ts", "event")
    ]


def test_empty_text_is_no_id_in_any_format(folder: Path) -> None:
    rows = [{"user_id": "u", "item_id": "", "ts": "2024-05-31", "event": "visit"}] * 2
    log = folder / "events.jsonl"
    log.write_text("\n".join(json.dumps(r) for r in rows))
    assert load(folder).tables.events["item_id"].null_count == 1  # of one event: the second repeats it
    log.write_text("\n".join(json.dumps({**r, "user_id": ""}) for r in rows))
    with pytest.raises(UserError, match="user_id is empty"):
        load(folder)
