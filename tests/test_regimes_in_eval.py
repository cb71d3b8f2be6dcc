"""`genrec eval` gives every contestant the statistics of the regime that it measures, and no other."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from no_future_contract import shop, with_other_statistics
from untrained_adapter import save_untrained_adapter

from eval import comparison
from eval.baselines.means import Means
from eval.baselines.stated import Stated
from eval.options import Options
from eval.run import evaluate
from genrec.dataset import REGIMES, Prepared
from prompts.adapter import LORA, AdapterCard, histories_of, layout_of, prompts_hash
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer

TASKS = ("click", "next")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_adapter(tmp_path_factory.mktemp("work"), shop())


@pytest.mark.parametrize("regime", REGIMES)
def test_all_contestants_read_the_measured_regimes_statistics(
    adapter: Path, regime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fast(data: Prepared, task: str, *_: Any) -> list[Any]:
        return [Stated] if task == "next" else [Stated, lambda: Means("both")]

    monkeypatch.setattr(comparison, "lineup", fast)
    options = Options(TASKS, split="test", rows=30, list_rows=4, regime=regime, ask=False, repeats=2)

    def measured(data: Prepared, out: str) -> dict[tuple[str, str], Any]:
        results = evaluate(adapter, data, options, tmp_path / out)
        assert {result["regime"] for result in results} == {regime}
        metrics = ("log_loss", "ndcg@10", "mrr@10", "coverage@10")
        return {
            (r["task"], r["model"]): [r["metrics"][name]["value"] for name in metrics if name in r["metrics"]]
            for r in results
        }

    plain = measured(shop(), "plain")
    verdict = (tmp_path / "plain" / "report.md").read_text().splitlines()[2]
    proposed = verdict.partition("Next: `")[2].partition("`")[0]
    assert proposed.startswith(f"genrec eval --adapter {adapter} ")
    assert ("--regime frozen" in proposed) is (regime == "frozen")  # the adapter was trained on running ones
    assert "--regime running" not in proposed
    (another,) = set(REGIMES) - {regime}
    assert measured(with_other_statistics(another), "another") == plain
    own = measured(with_other_statistics(regime), "own")
    assert len(own) == 7
    unchanged = [name for name, figures in own.items() if figures == plain[name]]
    assert unchanged == []


def test_tabular_baselines_read_as_many_lines_as_the_window_holds(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest window of the validation examples, which is what a prompt shows."""
    given = list[int]()

    def recorded(data: Prepared, task: str, seed: int, quick: bool, history: int) -> list[Any]:
        given.append(history)
        return [lambda: Means("both")]

    monkeypatch.setattr(comparison, "lineup", recorded)
    options = Options(("click",), rows=6, ask=False, untrained=False, repeats=2)
    results = evaluate(adapter, shop(), options, tmp_path / "out")
    card = AdapterCard.load(adapter)
    histories = histories_of(
        shop(), layout_of(shop(), load_tokenizer(BUILT_IN)), card.history["tokens"], "running"
    )
    valid = shop().examples[shop().examples.split == "valid"]
    longest = max(
        point - histories.start(user, point) for user, point in zip(valid.user_id, valid.point, strict=True)
    )
    assert set(given) == {result["tabular_history_lines"] for result in results} == {longest}
    assert 1 < longest < valid.point.max()


def test_results_of_another_regime_lie_beside_those_of_this_one() -> None:
    one = {"task": "click", "split": "test", "model": "genrec", "regime": "running"}
    assert comparison.result_name("shop", one) == "shop-click-test-genrec.json"
    assert comparison.result_name("shop", {**one, "regime": "frozen"}) == "shop-click-test-frozen-genrec.json"


def test_answers_are_kept_for_their_own_adapter_and_regime(adapter: Path, tmp_path: Path) -> None:
    """A changed weight or prompt, and the other regime, are asked anew."""
    card = AdapterCard.load(adapter)
    other = save_untrained_adapter(tmp_path, shop(), seed=2)
    assert AdapterCard.load(other).fingerprint(other) != card.fingerprint(adapter)
    changed = shutil.copytree(adapter, tmp_path / "changed")
    (changed / LORA).write_bytes((adapter / LORA).read_bytes() + b" ")
    assert card.fingerprint(changed) != card.fingerprint(adapter)
    assert replace(card, history={"tokens": 80}).fingerprint(adapter) != card.fingerprint(adapter)
    layout = layout_of(shop(), load_tokenizer(BUILT_IN))
    reworded = replace(shop().tasks["click"], question="Well, {{ item.title }}?")
    again = layout_of(shop(), load_tokenizer(BUILT_IN), tasks={**shop().tasks, "click": reworded})
    assert prompts_hash(again) != prompts_hash(layout)
