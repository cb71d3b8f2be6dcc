"""What an adapter is served with: its own prompts, labels and calibrations; nobody is recommended what they touched."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from random_engine import RandomEngine
from served_shop import data, served

from genrec.errors import UserError
from prompts.adapter import AdapterCard, layout_of, prompts_hash
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from serve.gateway import schemas, work
from serve.gateway.rerank import rerank
from serve.gateway.run import opener
from serve.merged import Merged
from serve.served import Served
from serve.served import served as opened

LINE = {"slope": 2.0, "intercept": 0.5, "examples": 80}
USER = "u00003"


def card(**changes: Any) -> AdapterCard:
    layout = layout_of(data(), load_tokenizer(BUILT_IN))
    about = {"name": data().name, "prompts": prompts_hash(layout), **changes}
    return AdapterCard(
        base={"name": BUILT_IN}, dtype="float32", pack=layout.pack.name, tasks=[], history={"tokens": 160},
        regime="running", data=about, calibration={"click": LINE},
    )  # fmt: skip


def open_with(of: AdapterCard, **changes: Any) -> Served:
    tasks = {**data().tasks, **changes}
    engine = RandomEngine(vocabulary=50_000)
    return opened(Path("adapter"), of, replace(data(), tasks=tasks), load_tokenizer(BUILT_IN), engine)


@pytest.fixture(autouse=True)
def _tasks_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdapterCard, "task_objects", lambda self: dict(data().tasks))


def test_a_calibration_is_applied_on_the_data_set_that_it_was_fitted_on() -> None:
    assert set(open_with(card()).predictor.calibrations) == {"click"}
    assert open_with(card(name="another")).predictor.calibrations == {}


def test_other_prompts_than_those_of_the_training_are_refused() -> None:
    with pytest.raises(UserError, match="prompts have changed"):
        open_with(card(prompts="0" * 16))


def test_another_kind_of_log_than_that_of_the_training_is_refused_by_its_name() -> None:
    """The kind chooses among the words of the prompts, so that their hash differs as well."""
    assert open_with(card(log="shown")).layout.log == "shown"
    with pytest.raises(
        UserError, match=r"bought \(items, all .*\) then, shown \(impressions .*\) now"
    ) as caught:
        open_with(card(log="bought", prompts="0" * 16))
    assert caught.value.cure.startswith("train it again on this data set")


def test_another_label_rule_than_that_of_the_training_is_refused() -> None:
    click = data().tasks["click"]
    other = replace(click, label={**click.label, "within": "5m"})
    with pytest.raises(UserError, match="another label rule of click"):
        open_with(card(), click=other)


def test_requests_are_answered_while_the_data_set_is_prepared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has read all of it when it opens the adapter, before the first request asks for any."""
    monkeypatch.setattr("gc.freeze", lambda: None)  # the tests' process goes on to collect
    data().save(tmp_path / "shop")
    load_tokenizer(BUILT_IN).save_pretrained(tmp_path / "merged")
    here = opener(tmp_path / "shop")(Merged(tmp_path / "merged", card()), RandomEngine(vocabulary=50_000))
    replace(data(), examples=data().examples.assign(weight=2.0)).save(tmp_path / "shop")
    history = [{"item": next(iter(here.layout.items)), "click": True}]
    for about in ({"user": USER}, {"history": history}):
        body = schemas.RecommendBody.model_validate({**about, "k": 3})
        assert len(work.recommend(work.person(here, body), "genrec", body, 0.0).items) == 3
    ranking = rerank(
        here, schemas.RerankBody.model_validate({"history": history, "documents": ["Tea", "Cup"]})
    )
    assert len(ranking.order) == 2


def test_nobody_is_recommended_what_they_have_touched() -> None:
    here = served()
    touched = set(here.touched(USER, here.item_task()))
    assert touched
    everything = set(here.layout.items)
    assert {item for item, _ in here.recommend(USER, len(everything)).items} == everything - touched
    for repeat, left in (("never", everything - touched), ("allow", everything)):
        for retrieve in ("search", "followers") if repeat == "never" else ("search",):
            body = schemas.RecommendBody.model_validate(
                {"user": USER, "k": 30, "candidates": 30, "repeat": repeat, "retrieve": retrieve}
            )
            reply = work.recommend(work.person(here, body), "genrec", body, 0.0)
            listed = {item.item for item in reply.items}
            assert listed <= left
            assert retrieve == "followers" or listed == left
