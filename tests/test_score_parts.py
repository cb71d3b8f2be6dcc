"""`genrec score` loses nothing: what can be written is known before anything is scored, and what was scored is kept."""

import errno
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served_shop import served as served_anew

from genrec.errors import UserError
from genrec.files import only_writer
from genrec.sources.files.sheet import Sheet, read_sheet
from serve import batch
from serve.served import Served
from serve.table_formats import write_table


@pytest.fixture(scope="module")
def served() -> Served:
    return served_anew()


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "PART", 4)


@pytest.fixture
def asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of the predictor had."""
    counts, predict = list[int](), served.predictor.predict

    def counted(rows: Any, tasks: Any) -> Any:
        counts.append(len(rows))
        return predict(rows, tasks)

    monkeypatch.setattr(served.predictor, "predict", counted)
    return counts


def sheet(**columns: Any) -> Sheet:
    """Ten rows of users and items, with further columns."""
    table = pa.table(
        {
            "user_id": [f"u{n % 5:05d}" for n in range(10)],
            "item_id": [f"g{n % 7:05d}" for n in range(10)],
            **columns,
        }
    )
    pq.write_table(table, "pairs.parquet")
    return read_sheet(Path("pairs.parquet"))


def score(served: Served, pairs: Sheet, out: str, **options: Any) -> int:
    return batch.score_file(served, "mark", ["click"], pairs, Path(out), **options)


# ---- what comes in goes out ---------------------------------------------------------------------------------


def test_each_type_of_id_and_of_further_columns_comes_back(served: Served) -> None:
    noon = datetime(2024, 5, 31, 12, tzinfo=UTC)
    users = pa.array([f"u{n % 5:05d}" for n in range(10)]).dictionary_encode()
    pairs = sheet(user_id=users, at=pa.array([noon] * 10), price=pa.array([Decimal("9.99")] * 10))
    for out in ("s.jsonl", "s.csv", "s.parquet"):
        assert score(served, pairs, out) == 10
    lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert [line["user_id"] for line in lines] == users.to_pylist()
    assert {(line["at"], line["price"]) for line in lines} == {("2024-05-31T12:00:00+00:00", 9.99)}
    frame, table = pd.read_csv("s.csv"), pq.read_table("s.parquet")
    assert frame.user_id.tolist() == table["user_id"].to_pylist() == users.to_pylist()
    assert table.schema.field("user_id").type == users.type
    np.testing.assert_allclose(frame.click, [line["click"] for line in lines])
    np.testing.assert_allclose(frame.click, table["click"].to_numpy())


@pytest.mark.parametrize(
    "make",
    [lambda n: pa.array([Decimal(i) for i in n], pa.decimal128(20, 0)), lambda n: pa.array(n, pa.uint64())],
)
def test_ids_of_a_warehouse_are_text(make: Any) -> None:
    assert batch.ids(sheet(user_id=make(range(10))), "user_id") == [str(n) for n in range(10)]


def test_an_id_that_is_none_is_refused_with_its_row() -> None:
    wrong = sheet(user_id=pa.array([None, *map(float, range(9))]))
    with pytest.raises(UserError, match="An id is double, not text") as refused:
        batch.ids(wrong, "user_id")
    assert "pairs.parquet, row 2, column user_id" in refused.value.where


# ---- items by name ------------------------------------------------------------------------------------------


def test_items_may_be_named_by_title_and_what_fits_several_is_refused_by_row(served: Served) -> None:
    here = served_anew()
    titles = {"g00001": "Fargo", "g00002": "FARGO", "g00003": "Iron jam"}
    here.layout.items = {
        i: {**row, "title": titles.get(i, row["title"])} for i, row in here.layout.items.items()
    }
    names = ["Fargo", "g00001", "iron  jam", "g00003", *["g00004"] * 6]
    score(here, sheet(user_id=["u00001"] * 10, item_id=names), "s.csv")
    p = pd.read_csv("s.csv").click
    assert p[0] == p[1] != p[2] == p[3]
    with pytest.raises(UserError) as refused:
        score(here, sheet(item_id=["g00001", "fargo", *["g00001"] * 8]), "t.csv")
    assert "row 2, column item_id" in refused.value.where
    assert "g00001 (Fargo), g00002 (FARGO)" in refused.value.cure


# ---- refused before any work --------------------------------------------------------------------------------


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As on a disk that is nearly full: a file cannot grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_cannot_be_written_is_refused_before_anything_is_scored(
    served: Served, asked: list[int], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="lists, structs or maps") as refused:
        score(served, sheet(tags=[["a"]] * 10), "s.csv")
    assert "column tags" in refused.value.where
    assert "write .jsonl, .parquet" in refused.value.cure
    with pytest.raises(UserError, match="no infinity") as refused:
        score(served, sheet(x=[0.5] * 9 + [float("inf")]), "s.jsonl")
    assert "pairs.parquet, row 10, column x" in refused.value.where
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="a folder of that name"):
        score(served, sheet(), "folder.csv")
    pairs = sheet(words=["x" * 50] * 10)
    with no_file_above(300), pytest.raises(UserError, match="A file is larger than may be written here"):
        score(served, pairs, "s.jsonl")
    assert asked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "pairs.parquet"]


# ---- kept ---------------------------------------------------------------------------------------------------


def failed(
    served: Served, pairs: Sheet, out: str, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> UserError:
    """What is said where the disk is full by the time that the output is to be written."""

    def until_the_output(table: pa.Table, path: Path, suffix: str) -> None:
        write_table(table, path, suffix)
        if path.name == out and 1 / 3 not in table["click"].to_pylist():
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(batch, "write_table", until_the_output)
        with pytest.raises(UserError, match="The disk is full") as refused:
            score(served, pairs, out, **options)
    return refused.value


def test_a_failed_write_costs_no_probability_in_another_format_or_folder(
    served: Served, asked: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pairs = sheet()
    said = failed(served, pairs, "s.csv", monkeypatch)
    assert "--parts .s.csv.parts" in said.cure
    assert asked == [4, 4, 2]
    assert score(served, pairs, "t.parquet") == 10  # beside it
    assert asked == [4, 4, 2]
    assert not list(tmp_path.glob(".*"))
    failed(served, pairs, "s.csv", monkeypatch)
    asked.clear()
    (tmp_path / "elsewhere").mkdir()
    assert score(served, pairs, "elsewhere/s.jsonl", parts_folder=Path(".s.csv.parts")) == 10
    assert asked == []
    assert not list(tmp_path.rglob(".*"))
    assert score(served, pairs, "at-once.parquet") == 10
    assert pq.read_table("t.parquet").equals(pq.read_table("at-once.parquet"))


def test_parts_beside_the_output_are_taken_from_the_same_run_alone(
    served: Served, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(served, sheet(), "s.csv", monkeypatch)
    asked.clear()
    other = sheet(item_id=[f"g{n:05d}" for n in range(10, 20)])
    assert score(served, other, "t.csv") == 10
    assert sum(asked) == 10
    with pytest.raises(UserError, match="Parts of another run are there: its input differ"):
        score(served, other, "s.csv")
    assert score(served, other, "s.csv", restart=True) == 10


def test_two_runs_of_one_input_side_by_side_are_both_done(
    served: Served, asked: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed(served, sheet(), "a.csv", monkeypatch)
    asked.clear()
    with only_writer(tmp_path / ".a.csv.parts"):  # as the run that writes a.csv holds it
        assert score(served, sheet(), "b.csv") == 10
    assert sum(asked) == 10
    asked.clear()
    assert score(served, sheet(), "c.csv") == 10
    assert asked == []
    assert not list(tmp_path.glob(".*"))


def folder_of(pairs: Sheet) -> Path:
    """The same ten rows as two files of a folder, as Spark writes them."""
    folder = Path("pairs")
    folder.mkdir()
    for n in (0, 1):
        pq.write_table(pairs.table.slice(5 * n, 5), folder / f"part-{n}.parquet")
    (folder / "_SUCCESS").write_text("")
    return folder


def test_only_the_files_that_are_read_make_a_folder_another_input(
    served: Served, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(sheet())
    failed(served, read_sheet(folder), "s.csv", monkeypatch)
    asked.clear()
    (folder / "_SUCCESS").write_text("later")
    (folder / ".part-0.parquet.crc").write_text("crc")
    assert score(served, read_sheet(folder), "s.csv") == 10
    assert asked == []
    failed(served, read_sheet(folder), "s.csv", monkeypatch)
    (folder / "part-1.parquet").rename(folder / "part-2.parquet")
    with pytest.raises(UserError, match="Parts of another run are there: its input differ"):
        score(served, read_sheet(folder), "s.csv")


def test_nothing_is_written_into_the_folder_that_is_read(served: Served, asked: list[int]) -> None:
    folder = folder_of(sheet())
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="inside the folder that is read") as refused:
        score(served, read_sheet(folder), "pairs/s.parquet")
    assert "--out pairs/s.parquet" in refused.value.where
    with pytest.raises(UserError, match="inside the folder that is read") as refused:
        score(served, read_sheet(folder), "s.parquet", parts_folder=folder / "parts")
    assert "--parts pairs/parts" in refused.value.where
    assert sorted(folder.iterdir()) == before
    assert asked == []


def test_a_folder_of_parts_is_one_process_s_and_holds_nothing_else(served: Served, tmp_path: Path) -> None:
    keep = tmp_path / "precious"
    keep.mkdir()
    (keep / "000000.parquet").write_text("not ours")
    for restart in (False, True):
        with pytest.raises(UserError, match="something else than parts"):
            score(served, sheet(), "s.csv", parts_folder=keep, restart=restart)
    for content in ('{"name": "of another tool"}', "[]", "name: of another tool"):
        (keep / "run.json").write_text(content)
        for restart in (False, True):
            with pytest.raises(UserError, match="something else than parts"):
                score(served, sheet(), "s.csv", parts_folder=keep, restart=restart)
        assert (keep / "run.json").read_text() == content
    assert (keep / "000000.parquet").read_text() == "not ours"
    parts = tmp_path / ".s.csv.parts"
    parts.mkdir()
    with only_writer(parts), pytest.raises(UserError, match="Another process is writing here"):
        score(served, sheet(), "s.csv")
    assert score(served, sheet(), "s.csv") == 10
    assert not parts.exists()
