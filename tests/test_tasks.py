"""Task files: a file is a task; a wrong one is refused by field; a fifth one goes all the way by itself."""

from pathlib import Path
from typing import Any

import pytest
from small_logs import CLICK, prepared, row
from small_prompts import STATS, layout, tokens

from genrec.command import Command
from genrec.commands.data import task_folders
from genrec.errors import UserError
from genrec.tasks import load_task, load_tasks
from prompts.layout import Known
from prompts.pack import TASKS

GOOD = """
name: stars
kind: choice
question: "{{ item.title }}"
answers: ["1", "2"]
label: {rule: value, values: [1, 2]}
"""
RATING = """
name: rating
kind: choice
question: "{{ item.title }}{{ end }}{{ shares }} stars:"
answers: ["1", "2", "3", "4", "5"]
label: {rule: value, values: [1, 2, 3, 4, 5]}
metrics: [log_loss]
weight: 0.5
"""


def wrong(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "a YAML mapping"),
        ("name: [", "Cannot read the task file"),
        (GOOD + "colour: red", "Unknown field 'colour'"),
        (wrong("kind: choice", ""), "Missing field 'kind'"),
        (wrong("name: stars", ""), "Missing field 'name'"),
        (wrong("name: stars", "name: 5"), "name is 5"),
        (wrong("name: stars", "name: ''"), "name is empty"),
        (wrong("choice", "ordinal"), "Unknown kind 'ordinal'"),
        (wrong("choice", "[choice]"), "kind is"),
        (wrong("choice", "binary") + "given: [click]", "given is"),
        (wrong('["1", "2"]', '["1", "2", "3"]').replace("choice", "binary"), "two answers, this one 3"),
        (wrong('["1", "2"]', '["1"]'), "two answers or more"),
        (wrong('["1", "2"]', '["1", "1"]'), "Two answers are the same"),
        (wrong('["1", "2"]', '["1", ""]'), "An answer is empty"),
        (wrong('["1", "2"]', "[yes, no]"), "put it in quotes"),
        (wrong('["1", "2"]', "yes"), "write a list"),
        (wrong("value, values: [1, 2]", "guess"), "Unknown label rule 'guess'"),
        (wrong("{rule: value, values: [1, 2]}", "value"), "label is 'value'"),
        (wrong(", values: [1, 2]", ""), "needs 'values'"),
        (wrong("value, values: [1, 2]", "follows, event: click"), "needs 'within'"),
        (wrong("value, values: [1, 2]", "returns, horizon: 7d"), "needs 'session_gap'"),
        (
            wrong("value, values: [1, 2]", "returns, cutoffs: [{at: 1997-09-30, horizon: 7d}]"),
            "needs 'split'",
        ),
        (wrong("value, values: [1, 2]", "returns, cutoffs: 1997-09-30"), "no list of cut-offs"),
        (GOOD + "weight: -1", "weight is -1"),
        (GOOD + "weight: much", "weight is 'much'"),
        (GOOD + "weight: .inf", "weight is inf"),
        (GOOD + "question: 7", "question is 7"),
    ],
)
def test_a_wrong_task_file_is_refused_with_its_name_and_a_cure(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "stars.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_task(path)
    assert message in str(caught.value)
    assert str(path) in caught.value.where
    assert caught.value.cure


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stars.yaml"
    path.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(UserError, match="Cannot read the task file"):
        load_task(path)


def test_the_readings_own_windows_replace_the_tasks() -> None:
    tasks = load_tasks([TASKS], ["click", "return"], {"click": {"within": "0s"}})
    assert tasks["click"].label == {
        "rule": "follows",
        "event": "click",
        "after": "impression",
        "within": "0s",
    }
    assert tasks["return"].label["horizon"] == "7d"
    with pytest.raises(UserError, match="needs 'session_gap'"):
        load_tasks([TASKS], ["click"], {"click": {"rule": "returns"}})


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"click": {"withn": "10m"}}, "Unknown field 'withn'"),
        ({"click": "30m"}, "labels.click is '30m'"),
        ({"clik": {"within": "10m"}}, "labels name a task 'clik'"),
        (
            {"return": {"cutoffs": [{"at": "2024-01-01", "horizon": "7d", "split": "trian"}]}},
            "label.cutoffs\\[0\\].split is 'trian'",
        ),
        (
            {"return": {"cutoffs": [{"at": "2024-01-01", "horizn": "7d", "horizon": "7d", "split": "test"}]}},
            "Unknown field 'horizn'",
        ),
    ],
)
def test_a_slip_in_the_readings_labels_is_refused(labels: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_tasks([TASKS], ["click", "return"], labels)


def test_labels_may_speak_of_a_shipped_task_that_is_not_asked() -> None:
    assert list(load_tasks([TASKS], ["click"], {"return": {"horizon": "30d"}})) == ["click"]


def test_tasks_of_ones_own_join_and_may_replace_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "rating.yaml").write_text(RATING)
    own = (TASKS / "click.yaml").read_text("utf-8").replace("30m", "5m")
    (tmp_path / "click.yaml").write_text(own, "utf-8")
    tasks = load_tasks([TASKS], ["click", "convert"], {}, own=[tmp_path])
    assert list(tasks) == ["click", "convert", "rating"]
    assert tasks["click"].label["within"] == "5m"


@pytest.mark.parametrize(
    ("names", "file", "message"),
    [
        (["convert"], "", "continues 'click', which is not there"),
        (["clicks"], "", "No task 'clicks'"),
        (["click"], RATING.replace("name: rating", "name: click"), "Two tasks are called 'click'"),
        (["click"], RATING + "given: rating", "cannot continue"),
        (["click"], None, "No task files"),
    ],
)
def test_tasks_that_do_not_fit_together_are_refused(
    tmp_path: Path, names: list[str], file: str | None, message: str
) -> None:
    if file:
        (tmp_path / "own.yaml").write_text(file)
    with pytest.raises(UserError, match=message):
        load_tasks([TASKS], names, {}, own=[] if file == "" else [tmp_path])


def test_installed_packages_bring_task_folders() -> None:
    assert task_folders()[0] == TASKS


# ---- a fifth task ---------------------------------------------------------------------------------------


def test_a_fifth_task_is_one_file(tmp_path: Path) -> None:
    """From the file to labelled, split examples with statistics, and to the question with its five answers."""
    (tmp_path / "rating.yaml").write_text(RATING)
    tasks = load_tasks([TASKS], ["click", "convert"], {}, own=[tmp_path])
    rating = tasks["rating"]
    log = [
        row(f"u{k % 3}", "abc"[k % 3], 60 * k, e, value=float(k % 5 + 1))
        for k in range(30)
        for e in ("impression", "click")
    ]
    data = prepared(log, tasks)
    found = data.examples[data.examples.task == "rating"]
    assert found.label.tolist() == [k % 5 for k in range(30)]
    assert set(found.split) == {"train", "valid", "test", "censored"}
    assert data.stats["running"].loc[found.index].item_share.notna().all()
    write = layout(tasks=tasks)
    question = write.question("rating", "1", Known(STATS))
    assert tokens().text(question.ids) == "Toy Story\to w stars:"
    assert [tokens().text([i]) for i in question.answers] == ["1", "2", "3", "4", "5"]
    assert [rating.answer_index(k) for k in range(5)] == [0, 1, 2, 3, 4]
    data.save(tmp_path / "data")
    assert type(data).load(tmp_path / "data").tasks == tasks


def test_binary_labels_name_the_first_answer_yes() -> None:
    assert [CLICK.answer_index(label) for label in (1, 0)] == [0, 1]


def test_a_date_without_quotes_in_a_task_survives_being_stored(tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(
        "name: again\nkind: binary\nanswers: [' yes', ' no']\n"
        "label: {rule: returns, session_gap: 1h, cutoffs: [{at: 2022-01-08, horizon: 2d, split: train}]}\n"
    )
    tasks = load_tasks([TASKS], [], {}, own=[tmp_path])
    log = [row("u", None, 1440 * day, "visit") for day in range(10)]
    data = prepared(log, tasks, by="given")
    assert data.examples[["user_id", "label", "split"]].values.tolist() == [["u", 1, "train"]]
    data.save(tmp_path / "data")
    assert type(data).load(tmp_path / "data").tasks["again"].label["cutoffs"][0]["at"] == "2022-01-08"


# ---- genrec data prepare --------------------------------------------------------------------------------


def run(*arguments: str) -> int:
    from genrec.cli import main

    return main(["data", "prepare", *arguments])


def test_prepare_writes_a_data_set_and_says_what_became_of_the_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "rating.yaml").write_text(RATING)
    out = tmp_path / "shop"
    options = ("--set", "users=30", "--set", "items=20", "--set", "days=30")
    assert run("simulator", *options, "--tasks", str(tmp_path / "tasks"), "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "simulator: " in told
    assert "30 users" in told
    for expected in (
        "kept  ",
        "examples",
        "censored",
        "click",
        "% yes)",
        "no examples: rating",
        f"written to {out}",
    ):
        assert expected in told
    assert sorted(p.name for p in out.iterdir()) == ["prepared", "tables"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["movielens"], "There is no source"),
        (["simulator", "--set", "users"], "has no value"),
        (["simulator", "--set", "users=["], "no YAML value"),
        (["simulator", "--set", "colour=red"], "has no option 'colour'"),
        (["simulator", "--tasks", "nowhere"], "No task files"),
        (["files"], "need a PATH"),
    ],
)
def test_what_cannot_be_prepared_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(*arguments, "--out", str(tmp_path / "data" / "x")) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_found() -> None:
    from genrec.commands.data import command

    assert isinstance(command, Command)


@pytest.mark.parametrize("changed", [{"click": {"within": "30 parsecs"}}, {"return": {"horizon": 2}}])
def test_a_span_of_time_that_is_none_is_refused_when_tasks_are_read(changed: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="Not a span of time"):
        load_tasks([TASKS], ["click", "return"], changed)
