"""The predictor: every row gets the answer to its own question, whatever it is batched with; calibrated, chained."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from random_engine import RandomEngine
from training_fixtures import tiny_shop

from genrec.calibration import Calibration
from genrec.dataset import Prepared
from genrec.tasks import Task
from prompts.base_files import BUILT_IN
from prompts.history import Histories, columns_by_id
from prompts.language_model import load_tokenizer
from prompts.layout import Known, Layout
from prompts.pack import load_pack
from prompts.tokens import Tokens
from serve import predictor
from serve.predictor import Predictor, Row

STARS = Task("stars", "choice", question="{{ item.title }}{{ end }}stars:", answers=("1", "2", "3"))


@pytest.fixture(scope="module")
def shop() -> Prepared:
    return tiny_shop(users=12, items=10, days=10)


@pytest.fixture(scope="module")
def layout(shop: Prepared) -> Layout:
    items: Mapping[str, Any] = columns_by_id(shop.tables.items, "item_id")
    tokens = Tokens(load_tokenizer(BUILT_IN))
    return Layout(tokens, load_pack("goods-en"), {**shop.tasks, "stars": STARS}, items, {})


@pytest.fixture(scope="module")
def histories(shop: Prepared, layout: Layout) -> Histories:
    return Histories(layout, shop.lines, history_tokens=120)


@pytest.fixture(scope="module")
def rows(shop: Prepared) -> list[Row]:
    """Users, points and items in no order, with and without statistics; one user whom nobody knows."""
    examples = shop.examples[shop.examples.task == "click"].sample(60, random_state=0)
    stats = shop.stats["running"].loc[examples.index].to_dict("records")
    found = [
        Row(e.user_id, e.point, e.item_id, Known(known if n % 3 else None))
        for n, (e, known) in enumerate(zip(examples.itertuples(), stats, strict=True))
    ]
    return [*found, Row("nobody", 0, "no such item"), found[0]]


def expected(layout: Layout, histories: Histories, engine: RandomEngine, row: Row, task: str) -> np.ndarray:
    context = histories.context(row.user_id, row.point, row.known.stats is not None)
    question = layout.question(task, row.item_id, row.known)
    return np.asarray(np.exp(engine.answer((*context.tolist(), *question.ids), question)))


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_each_row_is_answered_as_if_alone(
    layout: Layout, histories: Histories, rows: list[Row], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "BATCH", batch)
    engine = RandomEngine()
    found = Predictor(layout, histories, engine).predict(rows, ["click", "convert", "stars"])
    assert {task: p.shape for task, p in found.items()} == {
        "click": (62,), "convert": (62,), "stars": (62, 3), "ctcvr": (62,)
    }  # fmt: skip
    for k, row in enumerate(rows):
        wanted = {
            task: expected(layout, histories, engine, row, task) for task in ("click", "convert", "stars")
        }
        assert found["click"][k] == pytest.approx(wanted["click"][0])
        assert found["convert"][k] == pytest.approx(wanted["convert"][0])
        np.testing.assert_allclose(found["stars"][k], wanted["stars"])
    np.testing.assert_allclose(found["ctcvr"], found["click"] * found["convert"])
    assert (found["ctcvr"] <= found["click"]).all()


def test_a_window_is_asked_in_one_call_and_a_context_once(
    layout: Layout, histories: Histories, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "BATCH", 1)
    engine = RandomEngine()
    Predictor(layout, histories, engine).predict(rows, ["click"])
    windows = {(r.user_id, histories.start(r.user_id, r.point), r.known.stats is None) for r in rows}
    assert len(engine.calls) == len(windows)
    contexts = {(r.user_id, r.point, r.known.stats is None) for r in rows}
    assert sum(len(call) for call in engine.calls) == len(contexts)


def test_calibration_changes_binary_tasks_and_keeps_the_chain(
    layout: Layout, histories: Histories, rows: list[Row]
) -> None:
    lines = {"click": Calibration(2.0, 0.5), "convert": Calibration(0.5, 1.0)}
    raw = Predictor(layout, histories, RandomEngine()).predict(rows, ["click", "convert"])
    fitted = Predictor(layout, histories, RandomEngine(), lines).predict(rows, ["click", "convert"])
    for task, line in lines.items():
        np.testing.assert_allclose(fitted[task], line.apply(raw[task]))
    np.testing.assert_allclose(fitted["ctcvr"], fitted["click"] * fitted["convert"])


def test_free_words_are_asked_and_not_calibrated(
    layout: Layout, histories: Histories, rows: list[Row]
) -> None:
    engine = RandomEngine()
    lines = {"click": Calibration(2.0, 0.5)}
    found = Predictor(layout, histories, engine, lines).predict(rows[:1], ["click"], query="Would she?")[
        "click"
    ]
    (request,) = engine.calls[0]
    assert "Would she?" in layout.tokens.text(request.questions[0].ids)
    assert found[0] == np.exp(engine.score([request])[0][0][0])


def test_nothing_asked_nothing_answered(layout: Layout, histories: Histories) -> None:
    found = Predictor(layout, histories, RandomEngine()).predict([], ["click", "stars"])
    assert (found["click"].shape, found["stars"].shape) == ((0,), (0, 3))


def test_a_task_whose_answer_is_an_item_is_not_predicted(
    layout: Layout, histories: Histories, rows: list[Row]
) -> None:
    assert "next" in layout.tasks
    with pytest.raises(ValueError, match="'next' has no answers"):
        Predictor(layout, histories, RandomEngine()).predict(rows, ["next"])
