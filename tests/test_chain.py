"""Click, and conversion given the click: where a log has no such chain, every task is measured by itself."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from our_model import ours
from small_logs import CLICK, CONVERT, prepared, row
from small_shop import shop

from eval.baselines.two_tower import TowerSetting, TwoTower
from eval.calibrated import fit_line
from eval.harness import Ask, Evaluation, evaluate, tasks
from eval.lineup import lineup
from genrec import metrics
from genrec.chain import CHAIN, CTCVR
from genrec.dataset import Prepared
from genrec.tasks import Task

SHOWN = replace(CLICK, question="{{ item.title }}")
ALONE = replace(CONVERT, given=None, question="buy {{ item.title }}?")
LIKE = replace(CLICK, name="like", question="like {{ item.title }}?")
LOGS = {
    "click alone": (SHOWN,),
    "conversions of impressions": (SHOWN, ALONE),
    "no click task": (ALONE, LIKE),
}


def small(chosen: tuple[Task, ...], users: int = 24) -> Prepared:
    """Users who see an item each ten minutes, click every other one and buy every third."""
    rows = [
        row(f"u{user}", "abc"[(user + n) % 3], 10 * n + user / 60 / 10, event)
        for user in range(users)
        for n in range(30)
        for event in ["impression", *["click"] * ((user + n) % 2), *["convert"] * ((user + n) % 3 == 0)]
    ]
    return prepared(rows, {task.name: task for task in chosen})


@pytest.mark.parametrize("log", LOGS)
def test_a_log_without_the_chain_has_no_ctcvr_and_no_error(log: str) -> None:
    data = small(LOGS[log])
    assert tasks(data) == [task.name for task in LOGS[log]]
    for task in tasks(data):
        for model in (ours(data), *(make() for make in lineup(data, task, quick=True))):
            model.fit(data, "running")
            done = evaluate(model, data, Ask(task, repeats=5))
            assert done.result["unscored"] < done.result["n"], model.name


def test_the_chain_is_there_where_conversions_continue_clicks() -> None:
    assert CTCVR in tasks(shop())
    convert = shop().tasks["convert"]
    for other in (replace(convert, given=None), replace(convert, kind="choice")):
        assert CTCVR not in tasks(replace(shop(), tasks={**shop().tasks, "convert": other}))


@cache
def chain() -> Prepared:
    return small((SHOWN, CONVERT), users=150)


class Says:
    """Click and conversion probabilities that follow the labels, far too sure; click_only: of conversions, those of
    clicked impressions alone."""

    name = "says"

    def __init__(self, click_only: bool = False) -> None:
        self.click_only = click_only

    def fit(self, data: Prepared, regime: str) -> None: ...

    def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
        asked = data.examples.iloc[rows]
        convert = (asked.task == "convert").all()
        labels = chain().examples.query(f"task == '{asked.task.iloc[0]}'").set_index("impression").label
        known = asked.impression.map(labels)
        random = np.random.default_rng(asked.ts.to_numpy())
        p = np.where(random.random(len(rows)) < 0.7, known.fillna(0), 1 - known.fillna(1)) * 0.98 + 0.01
        return np.where(known.isna() & self.click_only & convert, np.nan, p)


def measured(model: Says, task: str) -> Evaluation:
    return evaluate(model, chain(), Ask(task, repeats=5))


def test_click_and_convert_report_the_calibration_that_is_kept_and_served() -> None:
    click, convert, both = (measured(Says(), task) for task in (*CHAIN, CTCVR))
    kept = both.result["calibrated"]["line"]
    assert [kept[task]["note"] for task in CHAIN] == ["", ""]
    for task, done in (("click", click), ("convert", convert)):
        assert done.result["calibrated"]["line"] == kept[task]
        assert done.result["calibrated"]["fitted_on"] == CTCVR
        line, answers = both.lines[task], done.answers
        assert done.lines == both.lines
        loss = metrics.log_loss(answers.label, line.apply(answers.p), weights=answers.weight)
        assert done.result["calibrated"]["metrics"]["log_loss"]["value"] == pytest.approx(loss)
    alone = fit_line("convert", evaluate(Says(), chain(), Ask("convert", split="valid", repeats=5)).answers)
    assert kept["convert"] != alone.to_json()


def test_who_scores_conversions_of_clicks_alone_gets_a_line_a_task() -> None:
    for task in CHAIN:
        done = measured(Says(click_only=True), task)
        assert done.result["calibrated"]["fitted_on"] == task
        assert done.result["calibrated"]["line"]["note"] == ""


def test_a_tower_without_a_click_head_answers_with_its_own() -> None:
    data = small((ALONE,))
    model = TwoTower([TowerSetting()], epochs=1)
    model.fit(data, "running")
    assert np.isfinite(model.predict(data, data.rows("convert", "test"))).all()
