"""`genrec data check`: counts, example ids, places and cures; its exit code; and that it agrees with loading."""

from pathlib import Path

import pytest

from genrec.check import check
from genrec.command import Parser, fill
from genrec.commands.data import command
from genrec.errors import UserError
from genrec.sources.files import load
from prompts.pack import TASKS

ITEMS = "item_id,title\n1,Tea\n2,Tea\n3,Cup\n"
EVENTS = """\
user_id,item_id,ts,event
u,1,2024-05-02T10:00:00Z,impression
u,1,2024-05-02T10:00:05Z,click
u,2,2024-05-01T10:00:00Z,impression
u,2,2024-05-01T10:00:00Z,impression
v,2,2024-05-03T10:00:00Z,click
v,2,2024-05-03T10:00:00Z,wish
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "events.csv").write_text(EVENTS)
    return tmp_path


def data(*arguments: str) -> int:
    return command.run(fill(Parser(prog="genrec data"), command).parse_args(arguments)) or 0


def run(*arguments: str) -> int:
    return data("check", *arguments)


def test_the_report_of_files_that_can_be_used(folder: Path) -> None:
    assert (
        str(check(folder, [TASKS]))
        == f"""\
{folder.name}: 5 events from 2024-05-01 to 2024-05-03, 3 items, 2 users
events    2 click, 2 impression, 1 wish
tasks     click, return, next
repaired  1 events repeat another row in every column: dropped (u)
repaired  1 events stand after a later one in the file: sorted by time
repaired  1 titles equal another item's: made distinct (Tea (2))
warned    Events of a name that no task reads: wish
          cure:  map them with `values: {{event: {{...}}}}`, or name them in a label
warned    1 of 2 click events have no impression of that user and item within 30m before them: user v item 2
          cure:  check that the log's impressions are complete and labels.click.within long enough: such \
events give no label
warned    No valid examples of click (valid: nothing to calibrate or choose by); 0 of 2 are censored
          cure:  the log is too short for its splits and windows: take more of it, or leave the task out
warned    No train and no valid and no test examples of return (train: nothing to learn from; valid: nothing to \
calibrate or choose by; test: nothing to measure); 3 of 3 are censored
          cure:  the log is too short for its splits and windows: take more of it, or leave the task out
warned    No train and no valid examples of next (train: nothing to learn from; valid: nothing to calibrate or choose \
by); 0 of 2 are censored
          cure:  the log is too short for its splits and windows: take more of it, or leave the task out
warned    Items without any event: scored, not refused: 3

examples             train           valid            test        censored
click         1 (0.0% yes)               0  1 (100.0% yes)               0
return                   0               0               0   3 (33.3% yes)
next                     0               0               2               0

3 repaired, 6 warnings, 0 refused: ready to prepare"""
    )


def test_it_goes_on_after_a_refusal_and_counts_the_rows(folder: Path) -> None:
    (folder / "events.csv").write_text(EVENTS.replace("u,2,", "u,9,").replace("v,2,", "v,8,"))
    (folder / "items.csv").write_text(ITEMS + ",Pot\n")
    (folder / "users.csv").write_text("user,age\nu,3\n")
    report = check(folder, [TASKS])
    assert report.exit_code == 2
    assert report.loaded is None
    assert [f.what for f in report.findings.refused] == ["item_id is empty", "users has no column 'user_id'"]
    (folder / "items.csv").write_text(ITEMS)
    (folder / "users.csv").unlink()
    assert (
        str(check(folder, [TASKS]))
        == f"""\
refused   item_id is not in items: '9', '8' (4 rows)
          where: {folder}/events.csv, line 4, column item_id
          cure:  add the rows to items, or say unknown: drop (or keep) for items in the mapping
0 repaired, 0 warnings, 1 refused: nothing can be loaded until this is corrected"""
    )


def test_the_command_prints_the_report_and_answers_with_0_or_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert run(str(folder)) == 0
    assert "ready to prepare" in capsys.readouterr().out
    (folder / "events.csv").write_text(EVENTS.replace("2024-05-03", "3 May"))
    assert run(str(folder)) == 2
    shown = capsys.readouterr().out
    assert "line 6, column ts" in shown
    assert "(2 rows)" in shown
    assert run(str(folder / "nowhere")) == 2
    assert "No such file or folder" in capsys.readouterr().out
    assert sorted(folder.rglob("*")) == before


def test_a_pack_that_is_not_there_is_refused_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mapping.yaml").write_text(
        "pack: goods\nevents: {path: events.csv}\nitems: {path: items.csv}\n"
    )
    assert run(str(folder)) == 2
    told = capsys.readouterr().out
    assert "No pack 'goods'" in told
    assert f"where: {folder / 'mapping.yaml'}, pack" in told
    with pytest.raises(UserError, match="No pack 'goods'"):
        data("prepare", "files", str(folder), "--out", str(folder / "out"))
    assert not (folder / "out").exists()


def test_a_file_of_another_delimiter_is_told_by_it(folder: Path) -> None:
    (folder / "items.csv").write_text(ITEMS.replace(",", ";"))
    assert "cure:  say `delimiter: ';'` for this table in the mapping" in str(check(folder, [TASKS]))


@pytest.mark.parametrize(
    ("event", "cure"), [("impression", "log the clicks too"), ("convert", "log what was shown too")]
)
def test_what_a_log_lacks_for_a_click_task_is_named(folder: Path, event: str, cure: str) -> None:
    (folder / "events.csv").write_text(f"user_id,item_id,ts,event\nu,1,2024-05-02T10:00:00Z,{event}\n")
    report = str(check(folder, [TASKS]))
    assert f"No click task: the log has {event} only" in report
    assert f"cure:  {cure}" in report
    assert ("histories tell what was shown, not what came of it" in report) == (event == "impression")


def test_what_is_replaced_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for said in ("out\n", "out in the place of what was there\n"):
        data("prepare", "files", str(folder), "--out", str(folder / "out"))
        assert capsys.readouterr().out.endswith(said)


def test_a_mapping_given_apart_is_used(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    mapping = tmp_path_factory.mktemp("apart") / "my.yaml"
    mapping.write_text(
        "events: {path: events.csv, values: {event: {wish: convert}}}\nitems: {path: items.csv}\n"
    )
    assert run(str(folder), "--mapping", str(mapping)) == 0
    loaded = load(folder, mapping)
    assert set(loaded.tables.events["event"].to_pylist()) == {"impression", "click", "convert"}


def test_loading_repairs_what_the_check_says_it_will(folder: Path) -> None:
    assert load(folder).repairs == check(folder, [TASKS]).findings.repaired


@pytest.mark.parametrize(
    "slip", ["labels: {click: {withn: 10m}}", "labels: {clik: {}}", "split: {fractions: 0.8}"]
)
def test_a_slip_of_the_mapping_is_refused_as_preparing_refuses_it(
    folder: Path, slip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = "events: {path: events.csv}\nitems: {path: items.csv}\n"
    (folder / "mapping.yaml").write_text(tables)
    assert run(str(folder)) == 0
    (folder / "mapping.yaml").write_text(tables + slip)
    assert run(str(folder)) == 2
    assert "1 refused" in capsys.readouterr().out
