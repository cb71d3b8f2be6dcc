"""The model that a team has today, as a file: where it takes part, and what is refused before anything is computed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_shop import shop

from eval.harness import tasks
from eval.predictions import answered, read_files, those_for
from genrec.errors import UserError


def file(path: Path, *wanted: str, unclicked: bool = False) -> Path:
    """Predictions of the valid and test examples of these tasks; unclicked: conversions of all impressions."""
    examples = shop().examples[shop().examples.split.isin(("valid", "test"))]
    parts = [examples[examples.task == task] for task in wanted]
    if unclicked:
        parts.append(examples[(examples.task == "click") & (examples.label == 0)].assign(task="convert"))
    whole = pd.concat(parts)[["task", "user_id", "item_id", "ts"]]
    whole.assign(p=np.linspace(0.1, 0.9, len(whole))).to_csv(path, index=False)
    return path


def test_takes_part_in_the_tasks_it_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (today,) = read_files([file(tmp_path / "today.csv", "click", "return")], shop(), tasks(shop()), ())
    assert [task for task in tasks(shop()) if those_for(task, [today], shop())] == ["click", "return"]
    said = capsys.readouterr().out
    n = len(shop().rows("click", "test"))
    assert f"click: today predicts {n:,} of {n:,}\n" in said
    assert "convert: today does not take part\n" in said


def test_takes_part_in_ctcvr_if_it_predicts_conversions_of_all_impressions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some, every = (
        read_files([file(tmp_path / f"{by}.csv", "click", "convert", unclicked=by)], shop(), ["click"], ())[0]
        for by in (False, True)
    )
    assert those_for("ctcvr", [some, every], shop()) == [every]
    assert "it needs click and convert rows of all impressions" in capsys.readouterr().out
    assert answered(every, shop(), "ctcvr") > answered(some, shop(), "convert") > 0


def test_refuses_a_name_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="called 'LightGBM'"):
        read_files([file(tmp_path / "LightGBM.csv", "click")], shop(), ["click"], {"LightGBM"})
    (tmp_path / "b").mkdir()
    twice = [file(tmp_path / "today.csv", "click"), file(tmp_path / "b/today.csv", "click")]
    with pytest.raises(UserError, match="called 'today'"):
        read_files(twice, shop(), ["click"], ())


def test_refuses_a_file_of_other_examples(tmp_path: Path) -> None:
    path = file(tmp_path / "today.csv", "click")
    table = pd.read_csv(path)
    table.assign(ts=table.ts // 1000).to_csv(path, index=False)  # milliseconds
    with pytest.raises(UserError, match="No prediction is of a test example of click, return"):
        read_files([path], shop(), ["click", "return"], ())
