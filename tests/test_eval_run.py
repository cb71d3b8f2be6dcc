"""The main job on a small scale: train, evaluate beside the baselines, open the adapter, ask it."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_fixtures import save_tiny_model, tiny_shop

from eval.options import Options
from eval.ours import Genrec
from eval.results_file import read_results
from eval.run import evaluate
from finetune.recipe import Recipe
from finetune.run import train
from genrec.cli import main
from genrec.dataset import Prepared
from genrec.touches import Touches
from prompts.adapter import AdapterCard
from serve.adapters import open_adapter
from serve.served import Served, newest_adapter


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: data/simulator and runs/small/adapter."""
    root = tmp_path_factory.mktemp("work")
    tiny_shop(users=60, items=30, days=60, train=0.5).save(root / "data" / "simulator")
    recipe = Recipe(
        name="small", base=str(save_tiny_model(root / "base")), dtype="float32", history_tokens=160, rows_per_step=2,
        steps=8, evaluate_every=4, valid_windows=4, warmup_steps=0, learning_rate=1e-2,
    )  # fmt: skip
    train(Prepared.load(root / "data" / "simulator"), recipe, root / "runs" / "small")
    return root


@pytest.fixture(scope="module")
def data(place: Path) -> Prepared:
    return Prepared.load(place / "data" / "simulator")


@pytest.fixture(scope="module")
def served(place: Path, data: Prepared) -> Served:
    return open_adapter(newest_adapter(place / "runs"), data)


@pytest.fixture(scope="module")
def evaluated(place: Path, data: Prepared) -> Path:
    """eval/ beside the adapter, after `genrec eval` on a sample."""
    adapter = newest_adapter(place / "runs")
    options = Options(split="test", rows=150, list_rows=10, without_stats=True, quick=True, repeats=100)
    evaluate(adapter, data, options, adapter.parent / "eval")
    return adapter.parent / "eval"


def test_an_evaluation_holds_every_task_beside_its_baselines(evaluated: Path) -> None:
    results = read_results(evaluated)
    models = {(r["task"], r["model"]) for r in results}
    for task in ("click", "convert", "ctcvr", "return"):
        assert {(task, name) for name in ("genrec", "genrec untrained", "LightGBM", "prior")} <= models
    assert {("next", "item-kNN"), ("next", "popularity"), ("next", "genrec")} <= models
    ours = next(r for r in results if (r["task"], r["model"]) == ("click", "genrec"))
    assert {p["against"] for p in ours["paired"]} >= {
        "LightGBM",
        "genrec untrained",
        "genrec without statistics",
    }
    assert ours["training"]["steps"] == 8
    weights = (evaluated.parent / "adapter" / "adapter_model.safetensors").read_bytes()
    assert ours["adapter_sha256"] == hashlib.sha256(weights).hexdigest()
    assert "adapter_sha256" not in next(r for r in results if r["model"] == "LightGBM")
    assert ours["sampled"] is True


def test_a_report_in_three_forms(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "LightGBM" in (evaluated / "report.md").read_text()
    for text in (page, (evaluated / "report.md").read_text()):  # the verdict stands before the first table
        assert text.index("What was learned, on the test split: click AUC") < text.index(
            "All figures" if text is page else "|"
        )
    assert "Not finished" not in page


def test_calibration_and_the_worth_of_free_wordings_go_into_the_adapter(evaluated: Path, place: Path) -> None:
    card = AdapterCard.load(evaluated.parent / "adapter")
    for task in ("click", "convert", "return"):  # what is reported is what is kept
        result = json.loads((evaluated / f"simulator-{task}-test-genrec.json").read_text())
        assert result["calibrated"]["line"] == card.calibration[task]
    assert "click" in card.metrics["ask"]
    assert isinstance(card.metrics["ask"]["click"]["within"], bool)


@pytest.mark.parametrize("chosen", ["", "running"])
def test_the_regime_is_the_adapters_own_unless_it_is_named(
    place: Path, data: Prepared, chosen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(newest_adapter(place / "runs"), adapter)
    replace(AdapterCard.load(adapter), regime="frozen", calibration={}).save(adapter)
    options = Options(("return",), rows=30, regime=chosen, baselines=False, untrained=False, ask=False)
    results = evaluate(adapter, data, options, tmp_path / "eval")
    assert {r["regime"] for r in results} == {chosen or "frozen"}
    said = "measured on running statistics, though the adapter was trained on frozen ones"
    assert (said in capsys.readouterr().out) is bool(chosen)
    assert ("return" in AdapterCard.load(adapter).calibration) is not bool(chosen)


def test_free_wordings_are_measured_on_the_regimes_own_statistics(
    place: Path, data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(newest_adapter(place / "runs"), adapter)
    replace(AdapterCard.load(adapter), regime="frozen", calibration={}).save(adapter)
    read = set[str]()
    asked = Genrec._asked

    def noted(self: Genrec, *args: Any) -> dict[str, Any]:
        read.add(self.regime)
        return asked(self, *args)

    monkeypatch.setattr(Genrec, "_asked", noted)
    options = Options(("return",), rows=10, baselines=False, untrained=False)
    evaluate(adapter, data, options, tmp_path / "eval")
    assert read == {"frozen"}


def test_another_data_set_leaves_the_adapters_calibration(
    place: Path, data: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(newest_adapter(place / "runs"), adapter)
    card = AdapterCard.load(adapter)
    kept = replace(
        card, data={**card.data, "train_end": card.data["train_end"] - 1}, calibration={}, metrics={}
    )
    kept.save(adapter)
    evaluate(adapter, data, Options(("click",), rows=30, baselines=False, untrained=False), tmp_path / "eval")
    assert AdapterCard.load(adapter) == kept
    assert "calibration stays as it is" in capsys.readouterr().out


def test_a_wording_names_each_examples_own_horizon(served: Served, data: Prepared) -> None:
    rows = np.flatnonzero((data.examples.task == "return").to_numpy())[:6]
    mixed = replace(data, examples=data.examples.assign(horizon_days=np.arange(len(data.examples)) % 2 + 3.0))
    words = "Back within {{ amount(horizon_days) }} days?"
    ours = Genrec("ask", served.layout, served.histories, served.engine, "", query=words)
    found = ours.predict(mixed, rows)
    for at in (rows[::2], rows[1::2]):
        assert ours.predict(mixed, at) == pytest.approx(found[np.isin(rows, at)], abs=1e-6)
    assert len(set(mixed.examples.horizon_days.iloc[rows])) == 2


def test_a_file_of_predictions_takes_part_and_is_paired(
    place: Path,
    data: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    asked = data.examples[data.examples.split.isin(("valid", "test")) & (data.examples.task == "click")]
    theirs = asked[["task", "user_id", "item_id", "ts"]].assign(p=0.1 + 0.8 * asked.label)
    theirs.to_csv(tmp_path / "today.csv", index=False)
    adapter = tmp_path / "adapter"
    shutil.copytree(newest_adapter(place / "runs"), adapter)
    command = [
        "eval",
        "--adapter",
        str(adapter),
        "--rows",
        "60",
        "--no-untrained",
        "--no-ask",
        "--no-baselines",
    ]
    command += [
        "--tasks",
        "click,return",
        "--out",
        str(tmp_path),
        "--predictions",
        str(tmp_path / "today.csv"),
    ]
    assert main(command) == 0
    click, there = (
        json.loads((tmp_path / f"simulator-click-valid-{m}.json").read_text()) for m in ("genrec", "today")
    )
    assert there["metrics"]["auc"]["value"] == 1.0
    assert {pair["against"] for pair in click["paired"]} == {"today"}
    assert (there["n"], there["unscored"]) == (click["n"], 0)
    assert "return: today does not take part" in capsys.readouterr().out
    assert main([*command, "--protocol", "leave-last-out"]) == 2
    assert "genrec data prepare simulator --split last" in capsys.readouterr().err


def test_the_chain_holds_for_calibrated_answers(evaluated: Path, data: Prepared) -> None:
    served = open_adapter(evaluated.parent / "adapter", data)
    rows = [
        served.row(user, item) for user in ("0", "1", "stranger") for item in list(served.layout.items)[:20]
    ]
    found = served.predictor.predict(rows, ["click", "convert"])
    assert (found["ctcvr"] <= found["click"]).all()
    assert np.isfinite(found["ctcvr"]).all()


def test_cold_users_items_and_empty_histories_are_scored(served: Served) -> None:
    found = served.predictor.predict([served.row("stranger", "no such item")], ["click", "convert"])
    assert 0 < found["ctcvr"][0] <= found["click"][0] < 1
    assert len(served.recommend("stranger", 3).items) == 3


def test_recommendations_are_exact_and_leave_out_what_was_seen(served: Served) -> None:
    user = str(served.data.lines.user_id.iloc[0])
    found = served.recommend(user, 5)
    assert found.exact
    assert not {item for item, _ in found.items} & set(served.touched(user, served.item_task()))
    assert set(dict(found.items)) <= set(served.layout.items)


def test_no_next_item_is_among_those_masked_as_touched(served: Served, data: Prepared) -> None:
    past = Touches(data, data.tasks["next"])
    asked = data.examples[data.examples.task == "next"]
    assert len(asked) > 100
    for row in asked.itertuples():
        assert row.item_id not in past.items(row.user_id, row.point)
    user = str(asked.user_id.iloc[0])
    assert set(served.touched(user, served.item_task())) == set(past.items(user, served.point(user)))


def test_the_commands_answer(
    place: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    user, items = str(served.data.lines.user_id.iloc[0]), ",".join(list(served.layout.items)[:3])
    assert main(["predict", "--user", user, "--items", items, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(answer["items"]) == 3
    assert all(0 < row["ctcvr"] <= row["click"] < 1 for row in answer["items"])
    assert main(["recommend", "--user", user, "-k", "4"]) == 0
    assert "exact over 30 titles" in capsys.readouterr().out
    assert main(["ask", "Is it for them?", "--user", user, "--item", items.split(",")[0]]) == 0
    assert "yes: 0." in capsys.readouterr().out


def test_an_adapter_of_another_base_or_other_prompts_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(place)
    adapter = tmp_path / "adapter"
    shutil.copytree(newest_adapter(place / "runs"), adapter)
    card = json.loads((adapter / "genrec.json").read_text())
    for change, message in (
        ({"base": {**card["base"], "fingerprint": "0" * 64}}, "was trained on"),
        ({"data": {**card["data"], "prompts": "0" * 16}}, "prompts have changed"),
        ({"base": {"name": "org/not-there", "fingerprint": ""}}, "Cannot load the model"),
    ):
        (adapter / "genrec.json").write_text(json.dumps({**card, **change}))
        assert main(["predict", "--user", "1", "--items", "1", "--adapter", str(adapter)]) == 2
        assert message in capsys.readouterr().err
