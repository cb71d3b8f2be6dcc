"""The contract on 200 prompts of the four tasks: every way of asking an adapter gives one answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway_fixtures import place_with_an_adapter

from eval.parity.__main__ import main
from eval.parity.drawn import DrawnPrompt, digest, draw
from eval.parity.gaps import gap, kept
from eval.parity.ways import vllm_installed
from genrec.dataset import Prepared
from prompts.adapter import histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.layout import Question

ADAPTER = Path("runs/small/adapter")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place_with_an_adapter(tmp_path_factory.mktemp("place"), users=90, spread=0.2)


@pytest.fixture(scope="module")
def result(place: Path) -> dict[str, Any]:
    """As a user runs it, each way a real one: PEFT, the torch engine, vLLM, and a process over its socket.

    float32 alone, which the contract holds in; bfloat16 is measured (docs/serving.md).
    """
    out = place / "parity.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([str(ADAPTER), "--prompts", "200", "--dtype", "float32", "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    assert list(found["dtypes"]) == ["float32"]
    return found


@pytest.mark.slow
def test_every_way_gives_the_answers_of_the_merged_model(result: dict[str, Any]) -> None:
    assert result["prompts"] == {"click": 50, "convert": 50, "next": 50, "return": 50}
    found = result["dtypes"]["float32"]
    assert len(found["pairs"]) == (15 if vllm_installed() else 10)
    for pair in found["pairs"]:
        assert pair["n"] == 200
        assert pair["pairs"] > 200
        assert pair["largest"] <= 1e-3, pair
        assert pair["flips_beyond_ties"] == 0, pair
    assert found["kept"]
    assert min(found["spread"].values()) > 0.1  # answers that were all alike would agree too


@pytest.mark.slow
def test_the_adapter_is_what_answers(result: dict[str, Any]) -> None:
    assert result["dtypes"]["float32"]["against_base"]["mean"] > 0.01


@pytest.mark.slow
def test_chats_with_log_probabilities_change_no_score(result: dict[str, Any]) -> None:
    beside = result["dtypes"]["float32"]["beside_chats"]
    assert beside["chats"] >= 1
    assert beside["chats_without"] == 0
    assert beside["largest"] <= 1e-3
    assert beside["flips_beyond_ties"] == 0


@pytest.mark.slow
def test_a_result_says_how_to_make_it_again(result: dict[str, Any]) -> None:
    assert result["command"].startswith("python -m eval.parity runs/small/adapter --prompts 200")
    assert result["seed"] == 0
    assert {"python", "torch", "peft"} <= set(result["versions"])
    assert result["machine"]
    assert result["date"]


def test_the_same_seed_draws_the_same_prompts(place: Path) -> None:
    data = Prepared.load(place / "data" / "simulator")
    layout = layout_of(data, load_tokenizer(BUILT_IN))
    histories = histories_of(data, layout, 160)
    first, again, other = (draw(data, layout, histories, "running", 40, seed) for seed in (0, 0, 1))
    assert digest(first) == digest(again) != digest(other)
    examples = data.examples[data.examples.split == "test"]
    asked = set(zip(examples.task, examples.user_id, strict=True))
    assert {(prompt.task, prompt.user_id) for prompt in first} <= asked


def prompts(n: int) -> list[DrawnPrompt]:
    return [DrawnPrompt("click", "u", str(k), (1,), (Question((2,), (3, 4)),)) for k in range(n)]


def test_flips_are_pairs_in_another_order_and_ties_are_told_apart() -> None:
    a, b = np.array([0.0, 1.0, 2.0, 2.0005]), np.array([0.0, 2.5, 2.0005, 2.0])
    found = gap(prompts(4), a, b, tie=1e-3)
    assert (found["pairs"], found["flips"], found["flips_beyond_ties"]) == (6, 3, 2)
    assert found["largest"] == pytest.approx(1.5)
    assert not kept([found], 1e-3)
    assert kept([gap(prompts(4), a, a + 5e-4, tie=1e-3)], 1e-3)
    assert not kept([gap(prompts(4), a, a + 2e-3, tie=1e-3)], 1e-3)


def test_log_odds_are_of_the_first_answer_or_of_the_whole_item() -> None:
    (binary,) = prompts(1)
    assert binary.log_odds([np.log([0.8, 0.2])]) == pytest.approx(np.log(4))
    steps = (Question((), (5,), "vocabulary"), Question((5,), (6,), "vocabulary"))
    item = DrawnPrompt("next", "u", "i", (1,), steps)
    assert item.log_odds([np.log([0.5]), np.log([0.4])]) == pytest.approx(np.log(0.2 / 0.8))
