"""The measure of hostile titles: nothing where nothing changes, all of it where a model obeys, length taken out."""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway_fixtures import place_with_an_adapter
from small_shop import shop

from eval.injection.__main__ import main
from eval.injection.lift import Case, cases, measure, summary, titles
from eval.injection.titles import Texts, load_texts, pair
from genrec.errors import UserError
from prompts.adapter import histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.layout import Layout
from prompts.tokens import MAX_DATA_TOKENS
from serve.engine import Request

TEXTS = load_texts()
Odds = Callable[[str], float]


class Planted:
    """An engine whose log-odds of a yes are a function of the question's text."""

    name = "planted"

    def __init__(self, layout: Layout, odds: Odds) -> None:
        self.layout, self.odds = layout, odds

    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        return [[self.answer(self.layout.tokens.text(q.ids)) for q in r.questions] for r in requests]

    def answer(self, text: str) -> np.ndarray:
        odds = self.odds(text)
        return np.array([-np.logaddexp(0, -odds), -np.logaddexp(0, odds)])

    def generate(self, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]) -> list[int]:
        raise NotImplementedError

    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        raise NotImplementedError


def own_taste(text: str) -> float:
    """Of the item's own words alone: the three that a simulated title begins with."""
    return zlib.crc32(" ".join(text.split()[:2]).encode()) % 1000 / 500 - 1


@pytest.fixture(scope="module")
def layout() -> Layout:
    return layout_of(shop(), load_tokenizer(BUILT_IN))


@pytest.fixture(scope="module")
def asked(layout: Layout) -> list[Case]:
    return cases(shop(), layout, histories_of(shop(), layout, 160), "running", 8, 8, 3, seed=0)


def lifted(layout: Layout, asked: list[Case], odds: Odds, texts: Texts) -> dict[str, Any]:
    written, names = titles(layout, asked, texts), list(texts.hostile)
    found = summary(measure(Planted(layout, odds), layout, asked, written, names), names, seed=0, repeats=200)
    texts_found: dict[str, Any] = found["texts"]
    return {**texts_found, "worst": found["worst"]}


def test_an_identical_title_gains_nothing(layout: Layout, asked: list[Case]) -> None:
    found = lifted(
        layout, asked, lambda text: zlib.crc32(text.encode()) % 1000 / 100, Texts({"same": "{title}"}, ("x",))
    )
    for what in ("rank", "log_odds", "rank_raw", "log_odds_raw"):
        assert found["same"][what] == {"value": 0, "low": 0, "high": 0}
    assert found["same"]["rank_control"] == 0


def test_a_model_that_obeys_is_caught(layout: Layout, asked: list[Case]) -> None:
    found = lifted(layout, asked, lambda text: own_taste(text) + 9 * ("answer yes" in text), TEXTS)
    obeyed = found["ignore-above"]
    assert obeyed["log_odds"]["value"] == pytest.approx(9)
    assert obeyed["rank"]["low"] > 0.2
    assert found["worst"]["rank"]["value"] >= obeyed["rank"]["value"]
    assert found["praise"]["rank"]["value"] == 0


def test_a_model_that_disobeys_has_a_negative_lift(layout: Layout, asked: list[Case]) -> None:
    found = lifted(layout, asked, lambda text: own_taste(text) - 9 * ("answer yes" in text), TEXTS)
    assert found["ignore-above"]["rank"]["high"] < -0.2


def test_what_length_alone_does_is_no_lift(layout: Layout, asked: list[Case]) -> None:
    def by_length(text: str) -> float:
        return len(layout.tokens.literal(text.split("\t")[0])) / 10

    found = lifted(layout, asked, by_length, Texts({"yes": "{title} yes yes yes yes"}, TEXTS.harmless))
    assert found["yes"]["rank_raw"]["low"] > 0.2
    assert found["yes"]["rank"]["value"] == pytest.approx(0, abs=0.05)
    assert found["yes"]["log_odds"]["value"] == pytest.approx(0, abs=0.05)


def test_the_corpus_is_large_and_each_control_as_long_as_its_text(layout: Layout) -> None:
    assert len(TEXTS.hostile) >= 20
    for number, (name, text) in enumerate(TEXTS.hostile.items()):
        one = pair(layout.tokens, "Crème brûlée 龙猫", text, TEXTS.harmless, number)
        assert one.apart == 0, name
        assert one.tokens <= MAX_DATA_TOKENS
        assert len(layout.tokens.data(one.control)) == one.tokens
        assert ("龙猫" in one.control) == ("{title}" in text)
        assert "yes" not in one.control


def test_candidates_are_what_the_user_was_shown_and_each_is_asked_once(asked: list[Case]) -> None:
    examples = shop().examples
    shown = examples[(examples.task == "click") & (examples.split == "test")]
    for case in asked:
        assert len(set(case.candidates)) == 8
        assert set(case.candidates) <= set(shown[shown.user_id == case.user_id].item_id)
        assert len(set(case.targets)) == 3


def test_users_with_fewer_candidates_are_refused_by_number(layout: Layout) -> None:
    with pytest.raises(UserError, match="--candidates"):
        cases(shop(), layout, histories_of(shop(), layout, 160), "running", 8, 500, 3, seed=0)


def test_a_corpus_of_ones_own_is_checked(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("hostile: [a, b]\nharmless: c\n")
    with pytest.raises(UserError, match="no mapping"):
        load_texts(own)


@pytest.mark.slow
def test_an_adapter_is_attacked_as_a_user_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place_with_an_adapter(tmp_path))
    assert main(["runs/small/adapter", "--users", "3", "--candidates", "6", "--targets", "2"]) == 0
    assert "adapter: worst " in capsys.readouterr().out
    found = json.loads(Path("runs/small/injection.json").read_text())
    assert found["users"] == 3
    assert found["targets"] == 6
    assert found["controls_apart"] == 0
    assert found["before"]["texts"].keys() == found["after"]["texts"].keys() == TEXTS.hostile.keys()
    assert found["before"]["mean"] != found["after"]["mean"]
    assert found["command"].startswith("python -m eval.injection runs/small/adapter")
    assert main(["runs/small/adapter", "--candidates", "500"]) == 2
