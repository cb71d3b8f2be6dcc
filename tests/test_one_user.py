"""A prediction from the command line reads what its user needs: the same answers, without everyone's lines."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genrec import dataset
from genrec.dataset import Prepared
from genrec.some_rows import numbered, of_user
from prompts.now import Now
from serve.adapters import open_adapter
from serve.every_task import every_task

NEW = "nobody"


@pytest.fixture(scope="module")
def folder(shop: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop in groups of a few rows."""
    saved = tmp_path_factory.mktemp("data") / "shop"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "GROUP", 50)
        shop.save(saved)
    assert pq.ParquetFile(saved / "prepared" / "lines.parquet").num_row_groups > 5
    return saved


def users(shop: Prepared) -> list[str]:
    """The first, the last and one between, and one that is not there."""
    known = sorted(set(shop.lines.user_id))
    return [known[0], known[len(known) // 2], known[-1], NEW]


def test_the_rows_are_those_of_the_whole(shop: Prepared, folder: Path) -> None:
    whole = Prepared.load(folder)
    for user in users(shop):
        one = Prepared.load(folder, user)
        mine = (whole.examples.user_id == user).to_numpy()
        wanted = {
            "lines": whole.lines[whole.lines.user_id == user], "examples": whole.examples[mine],
            **{regime: frame[mine] for regime, frame in whole.stats.items()},
        }  # fmt: skip
        read = {"lines": one.lines, "examples": one.examples, **one.stats}
        assert len(one.lines) > 0 or user == NEW
        for name, frame in wanted.items():
            pd.testing.assert_frame_equal(read[name], frame.reset_index(drop=True))
        assert one.tables.items.equals(whole.tables.items)
        assert one.tables.users["user_id"].to_pylist() == ([user] if user != NEW else [])


def test_what_is_known_of_the_user_is_what_the_whole_log_says(shop: Prepared, folder: Path) -> None:
    whole = Now(Prepared.load(folder))
    for user in users(shop):
        one = Now(Prepared.load(folder, user))
        assert one.point(user) == whole.point(user)
        for task in shop.tasks.values():
            if task.label["rule"] == "returns":
                assert repr(one.about_user(user, task)) == repr(
                    whole.about_user(user, task)
                )  # NaN is not NaN
            if task.kind == "item":
                assert one.touched(user, task) == whole.touched(user, task)
                assert one.candidates(user, task) == whole.candidates(user, task)


@pytest.mark.parametrize("tasks", [("click", "return"), ("return",)])
def test_the_kind_of_the_log_is_that_of_the_whole(
    shop: Prepared, folder: Path, tasks: tuple[str, ...]
) -> None:
    """Without a click task it hangs on every line, not on this user's."""
    whole, chosen = Prepared.load(folder), {name: shop.tasks[name] for name in tasks}
    for user in users(shop):
        assert Prepared.load(folder, user).log_kind(chosen) == whole.log_kind(chosen)
    bought = replace(whole, lines=whole.lines[whole.lines.kind == "purchase"])
    assert "click" in tasks or bought.log_kind(chosen) != whole.log_kind(chosen)


def test_most_of_a_log_is_not_read(shop: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[tuple[int, Any]]()
    whole_group = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, number: int, columns: Any = None) -> pa.Table:
        read.append((number, columns))
        return whole_group(file, number, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    lines = folder / "prepared" / "lines.parquet"
    groups = pq.ParquetFile(lines).num_row_groups
    for user in users(shop):
        read.clear()
        table, numbers = of_user(lines, user)
        assert len({number for number, _ in read}) <= 1 + len({n // 50 for n in numbers}) < groups
        assert {number for number, columns in read if columns is None} == {n // 50 for n in numbers}
        assert table.equals(numbered(lines, numbers))


def test_predict_answers_as_from_the_whole_and_imports_what_it_needs(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers and PEFT take some ten seconds to import."""
    monkeypatch.chdir(place)
    adapter = next(place.glob("runs/*/adapter"))
    data = next(place.glob("data/*"))
    whole = open_adapter(adapter, Prepared.load(data))
    user, items = str(whole.data.lines.user_id.iloc[-1]), list(whole.layout.items)[:2]
    wanted = every_task(whole, user, items)
    code = (
        "import sys; from genrec.cli import main\n"
        f"main(['predict', '--user', {user!r}, '--items', {','.join(items)!r}, '--adapter', {str(adapter)!r},"
        f" '--data', {str(data)!r}, '--json'])\n"
        "print({'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=place)
    answers, imported = done.stdout.splitlines()
    assert imported == "set()"
    found = json.loads(answers)
    for task, p in wanted.about_items.items():
        assert [row[task] for row in found["items"]] == p.tolist()
    assert {task: found[task] for task in wanted.about_user} == wanted.about_user
