"""`genrec score`: every row of a file answered as `genrec predict` would, in the file's order, whatever kills it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gateway_fixtures import place_with_an_adapter
from kinds import ENGINES

from genrec.cli import main
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.sources.files.sheet import read_sheet
from serve import batch
from serve.adapters import open_adapter
from serve.served import Served

ADAPTER = Path("runs/small/adapter")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place_with_an_adapter(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def served(place: Path) -> Served:
    return open_adapter(place / ADAPTER, Prepared.load(place / "data" / "simulator"))


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def pairs(served: Served, n: int = 39) -> pd.DataFrame:
    """Users and items in no order, one of each unknown, a pair twice, a column of the user's own."""
    draw = np.random.default_rng(0)
    users, items = sorted(served.layout.users), sorted(served.layout.items)
    frame = pd.DataFrame(
        {
            "shelf": [f"s{k}, {k % 3}" for k in range(n)],
            "user_id": draw.choice(users, n),
            "item_id": draw.choice(items, n),
        }
    )
    frame.loc[3, "user_id"], frame.loc[2, "item_id"] = "nobody", "no such item"
    return pd.concat([frame, frame.tail(1)], ignore_index=True)


def score(*arguments: str) -> int:
    return main(["score", *arguments])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_each_row_is_answered_as_if_asked_alone(place: Path, served: Served, suffix: str) -> None:
    asked = pairs(served)
    write = {".csv": asked.to_csv, ".parquet": asked.to_parquet}.get(suffix)
    if write is None:
        asked.to_json(f"pairs{suffix}", orient="records", lines=True)
    else:
        write(f"pairs{suffix}", index=False)
    assert score(f"pairs{suffix}", "--out", f"scored{suffix}") == 0
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix)
    found = pd.read_json(f"scored{suffix}", lines=True) if read is None else read(f"scored{suffix}")
    assert list(found) == ["shelf", "user_id", "item_id", "click", "convert", "return", "ctcvr"]
    pd.testing.assert_frame_equal(found[list(asked)], asked, check_dtype=False)
    for k, (user, item) in enumerate(zip(asked.user_id, asked.item_id, strict=True)):
        alone = served.predictor.predict([served.row(user, item)], ["click", "convert"])
        for name, p in alone.items():
            assert found[name][k] == pytest.approx(p[0], abs=1e-5)
        comes = served.predictor.predict([served.user_row(user, "return")], ["return"])["return"]
        assert found["return"][k] == pytest.approx(comes[0], abs=1e-5)
    assert not list(place.glob(".scored*"))


def test_ids_that_the_log_does_not_know_are_counted(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, *_ = served.layout.items
    title = served.title(one)
    Path("new.csv").write_text(
        f"user_id,item_id\nnobody,{one}\nu00001,no such item\nnobody,{two}\nnobody,{title}\nnobody,{title.upper()}\n"
    )
    assert score("new.csv", "--out", "new-scored.csv", "--tasks", "click") == 0
    said = capsys.readouterr().out
    assert "new-scored.csv: 5 rows; scored as new, for the log does not know them: 1 user and 1 item" in said
    assert f"named by title, items: 1 ({title})" in said
    assert f"names to check: 1 ({title.upper()!r} is read as the title of item {one}" in said
    p = pd.read_csv("new-scored.csv").click
    assert p[3] == p[4] == pytest.approx(p[0], abs=1e-6)


def test_users_alone_are_asked_the_tasks_about_users(served: Served) -> None:
    users = sorted(served.layout.users)[:7]
    Path("users.csv").write_text("user_id\n" + "\n".join(users) + "\n")
    assert score("users.csv", "--out", "returns.csv") == 0
    assert list(pd.read_csv("returns.csv")) == ["user_id", "return"]


def test_a_file_without_rows_gains_its_columns() -> None:
    Path("none.csv").write_text("user_id,item_id\n")
    assert score("none.csv", "--out", "none-scored.csv", "--tasks", "click") == 0
    assert list(pd.read_csv("none-scored.csv")) == ["user_id", "item_id", "click"]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_killed_goes_on_where_it_stood(place: Path, served: Served, engine: str) -> None:
    asked = pairs(served, 299)
    asked.to_csv("many.csv", index=False)
    Path("many-scored.csv").unlink(missing_ok=True)
    start = "import sys, serve.batch as batch; batch.PART = 3\n"
    start += "from genrec.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        start,
        "score",
        "many.csv",
        "--out",
        "many-scored.csv",
        "--tasks",
        "click",
        "--engine",
        engine,
    ]
    run = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = place / ".many-scored.csv.parts"
    while len(list(parts.glob("0*.parquet"))) < 3:
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert not Path("many-scored.csv").exists()
    done = {path: path.stat().st_mtime_ns for path in parts.glob("0*.parquet")}
    assert 3 <= len(done) < 100
    again = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert score("many.csv", "--out", "at-once.csv", "--tasks", "click", "--engine", "torch") == 0
    pd.testing.assert_frame_equal(pd.read_csv("many-scored.csv"), pd.read_csv("at-once.csv"), rtol=1e-4)
    assert not parts.exists()


def test_parts_that_are_done_are_not_asked_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(served, 29).to_csv("some.csv", index=False)
    monkeypatch.setattr(batch, "PART", 10)
    asked, predict = list[int](), served.predictor.predict

    def counted(rows: list[object], tasks: list[str]) -> object:
        if len(asked) == 2:
            asked.clear()
            raise KeyboardInterrupt
        asked.append(len(rows))
        return predict(rows, tasks)  # type: ignore[arg-type]

    monkeypatch.setattr(served.predictor, "predict", counted)
    with pytest.raises(KeyboardInterrupt):
        batch.score_file(served, "mark", ["click"], read_sheet(Path("some.csv")), Path("some-scored.csv"))
    assert (
        batch.score_file(served, "mark", ["click"], read_sheet(Path("some.csv")), Path("some-scored.csv"))
        == 30
    )
    assert asked == [10]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert score(*arguments) != 0
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_what_cannot_be_scored_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("no-user.csv").write_text("user,item_id\na,b\n")
    assert "No column 'user_id'" in refused(capsys, "no-user.csv", "--out", "x.csv")
    Path("gap.csv").write_text("user_id,item_id\nu1,i1\n,i2\n")
    assert "line 3, column user_id" in refused(capsys, "gap.csv", "--out", "x.csv")
    Path("taken.csv").write_text("user_id,item_id,click\nu1,i1,1\n")
    assert "There is a column 'click' already" in refused(capsys, "taken.csv", "--out", "x.csv")
    Path("users.csv").write_text("user_id\nu1\n")
    assert "Unknown format '.xlsx'" in refused(capsys, "users.csv", "--out", "x.xlsx")
    assert "No task 'click'" in refused(capsys, "users.csv", "--out", "x.csv", "--tasks", "click")
    assert "No such folder" in refused(capsys, "users.csv", "--out", "nowhere/x.csv")
    assert "No such file" in refused(capsys, "missing.csv", "--out", "x.csv")
    assert not Path("x.csv").exists()


def test_a_csv_of_another_delimiter_is_scored_with_it(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs(served, 4)
    rows.to_csv("tabs.csv", index=False, sep="\t")
    rows.to_csv("semicolons.csv", index=False, sep=";")
    assert "--delimiter ';'" in refused(capsys, "semicolons.csv", "--out", "d.csv")
    assert score("semicolons.csv", "--out", "d.csv", "--tasks", "click", "--delimiter", ";") == 0
    assert pd.read_csv("d.csv").shelf.tolist() == rows.shelf.tolist()
    assert r"--delimiter '\t'" in refused(capsys, "tabs.csv", "--out", "e.csv")
    assert score("tabs.csv", "--out", "e.csv", "--tasks", "click", "--delimiter", r"\t") == 0
    assert pd.read_csv("e.csv").click.tolist() == pytest.approx(pd.read_csv("d.csv").click.tolist())
    assert "give one character" in refused(capsys, "tabs.csv", "--out", "f.csv", "--delimiter", "||")
    rows.to_parquet("rows.parquet")
    assert "rows.parquet is not a CSV" in refused(
        capsys, "rows.parquet", "--out", "f.csv", "--delimiter", ";"
    )


def test_parts_of_another_run_are_not_gone_on_with(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(served, 4).to_csv("other.csv", index=False)
    with monkeypatch.context() as broken:
        broken.setattr(served.predictor, "predict", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            batch.score_file(served, "mark", ["click"], read_sheet(Path("other.csv")), Path("z.csv"))
    with pytest.raises(UserError, match="adapter"):
        batch.score_file(served, "another", ["click"], read_sheet(Path("other.csv")), Path("z.csv"))
    assert (
        batch.score_file(
            served, "another", ["click"], read_sheet(Path("other.csv")), Path("z.csv"), restart=True
        )
        == 5
    )
