"""Click, and conversion given the click: where a log has no such chain, every task is measured by itself."""

from dataclasses import replace

import numpy as np
import pytest
from random_engine import RandomEngine
from small_logs import CLICK, CONVERT, prepared, row
from small_shop import shop

from eval.answers import CTCVR
from eval.baselines.two_tower import TwoTower
from eval.harness import Ask, evaluate, tasks
from eval.lineup import lineup
from eval.ours import Genrec
from genrec.dataset import Prepared
from genrec.tasks import Task
from prompts.adapter import histories_of, layout_of
from prompts.language_model import BUILT_IN, load_tokenizer

ALONE = replace(CONVERT, given=None, question="buy {{ item.title }}?")
LIKE = replace(CLICK, name="like", question="like {{ item.title }}?")
LOGS = {
    "click alone": (replace(CLICK, question="{{ item.title }}"),),
    "conversions of impressions": (replace(CLICK, question="{{ item.title }}"), ALONE),
    "no click task": (ALONE, LIKE),
}


def small(chosen: tuple[Task, ...]) -> Prepared:
    """Two dozen users who see an item each ten minutes, click every other one and buy every third."""
    rows = [
        row(f"u{user}", "abc"[(user + n) % 3], 10 * n + user / 60, event)
        for user in range(24)
        for n in range(30)
        for event in ["impression", *["click"] * ((user + n) % 2), *["convert"] * ((user + n) % 3 == 0)]
    ]
    return prepared(rows, {task.name: task for task in chosen})


def ours(data: Prepared) -> Genrec:
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    return Genrec("genrec", layout, histories_of(data, layout, 120), RandomEngine(), "of no weights")


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


def test_a_tower_without_a_click_head_answers_with_its_own() -> None:
    data = small((ALONE,))
    model = TwoTower(epochs=1)
    model.fit(data, "running")
    assert np.isfinite(model.predict(data, data.rows("convert", "test"))).all()
