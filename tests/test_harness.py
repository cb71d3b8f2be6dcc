"""The harness on a data set small enough to compute by hand, and the promises that it makes of any recommender."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from small_shop import shop

from eval import results_file
from eval.answers import answer, as_task, asked
from eval.baselines.prior import Prior
from eval.harness import Ask, compare, evaluate, tasks
from eval.recommender import ChainAnswer, Recommender
from eval.store import Store, by_users
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.provenance import machine
from genrec.tasks import Task

RESULTS = Path(results_file.__file__).parent / "results"


def tiny(rows: list[tuple[Any, ...]], **changes: Any) -> Prepared:
    """A data set with exactly these examples: (task, user, item, label, split); an example's impression is its item."""
    examples = pd.DataFrame(rows, columns=["task", "user_id", "item_id", "label", "split"])
    examples = examples.assign(
        ts=np.arange(len(rows)), known_at=np.arange(len(rows)), weight=1.0, horizon_days=np.nan, gap_days=np.nan,
        hint="", point=0, impression=examples.item_id.str.slice(1).astype(int),
    )  # fmt: skip
    stats = shop().stats["running"].iloc[: len(rows)].reset_index(drop=True)
    return replace(shop(), examples=examples, stats={"running": stats, "frozen": stats}, **changes)


class Says:
    """A recommender that says what it is told, by item."""

    def __init__(
        self, p: dict[str, float], convert: dict[str, float] | None = None, name: str = "says"
    ) -> None:
        self.p, self.convert, self.name = p, convert or {}, name

    def fit(self, data: Prepared, regime: str) -> None: ...

    def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
        asked_of = data.examples.iloc[rows]
        said = self.convert if (asked_of.task == "convert").all() else self.p
        return np.array([said[item] for item in asked_of.item_id], dtype=np.float64)


FOUR = [("click", "ann", "i0", 1, "test"), ("click", "ann", "i1", 0, "test"),
        ("click", "bob", "i2", 1, "test"), ("click", "bob", "i3", 0, "test")]  # fmt: skip


class TestFiguresByHand:
    def test_a_binary_task(self) -> None:
        done = evaluate(
            Says({"i0": 0.8, "i1": 0.4, "i2": 0.3, "i3": 0.1}), tiny(FOUR), Ask("click", repeats=20)
        )
        found = {name: metric["value"] for name, metric in done.result["metrics"].items()}
        assert found["auc"] == pytest.approx(3 / 4)  # of the pairs only i2 below i1 is wrong
        assert found["uauc"] == found["gauc"] == 1.0
        assert found["accuracy"] == 0.75
        assert found["brier"] == pytest.approx((0.04 + 0.16 + 0.49 + 0.01) / 4)
        assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.6, 0.3, 0.9]).mean())
        assert found["pcoc"] == pytest.approx(1.6 / 2)
        about = done.result
        assert (about["n"], about["n_users"], about["positives"], about["unscored"]) == (4, 2, 2, 0)
        assert about["curves"]["roc"][0] == [0.0, 0.0]
        assert about["curves"]["roc"][-1] == [1.0, 1.0]

    def test_what_was_not_scored_is_counted_and_left_out(self) -> None:
        done = evaluate(
            Says({"i0": 0.8, "i1": 0.4, "i2": np.nan, "i3": 0.1}), tiny(FOUR), Ask("click", repeats=20)
        )
        assert done.result["unscored"] == 1
        assert done.result["n"] == 4
        assert done.result["metrics"]["auc"]["value"] == 1.0

    def test_where_nothing_was_scored_no_figure_is_defined(self) -> None:
        done = evaluate(
            Says(dict.fromkeys(("i0", "i1", "i2", "i3"), np.nan)), tiny(FOUR), Ask("click", repeats=20)
        )
        assert (done.result["n"], done.result["unscored"]) == (4, 4)
        for name in ("auc", "log_loss", "gauc", "uauc", "ece"):
            assert np.isnan(done.result["metrics"][name]["value"]), name

    def test_the_chain_is_judged_on_all_impressions(self) -> None:
        data = tiny([*FOUR, ("convert", "ann", "i0", 1, "test"), ("convert", "bob", "i2", 0, "test")])
        chain = Says(
            {"i0": 0.8, "i1": 0.4, "i2": 0.5, "i3": 0.2}, {"i0": 0.5, "i1": 0.5, "i2": 0.1, "i3": 0.9}
        )
        done = evaluate(chain, data, Ask(CTCVR, repeats=20))
        assert done.answers.p.tolist() == pytest.approx([0.4, 0.2, 0.05, 0.18])
        assert done.answers.label.tolist() == [1, 0, 0, 0]
        assert done.result["metrics"]["auc"]["value"] == 1.0
        assert done.result["positives"] == 1

    def test_clicks_without_a_matured_conversion_end_the_period(self) -> None:
        data = tiny([*FOUR, ("convert", "ann", "i0", 1, "test"), ("convert", "bob", "i2", 1, "censored")])
        found = asked(data, CTCVR, "test")
        assert (data.examples.item_id[found.rows].tolist(), found.left_out) == (["i0", "i1"], 2)

    def test_lists_of_items(self) -> None:
        data = tiny([("next", "ann", f"i{n}", -1, "test") for n in range(4)])
        catalog = data.tables.items["item_id"].to_pylist()
        data.examples["item_id"] = catalog[:4]

        class Lists:
            name = "lists"

            def fit(self, data: Prepared, regime: str) -> None: ...

            def rank(self, data: Prepared, rows: np.ndarray, k: int) -> list[list[str] | None]:
                return [[catalog[0]], [catalog[0], catalog[5], catalog[1]], [catalog[0]], None]

        done = evaluate(Lists(), data, Ask("next", ks=(10, 1), repeats=20))
        found = {name: metric["value"] for name, metric in done.result["metrics"].items()}
        assert found["hit_rate@10"] == pytest.approx(2 / 3)
        assert found["ndcg@10"] == pytest.approx((1 + 1 / 2) / 3)
        assert found["mrr@10"] == pytest.approx((1 + 1 / 3) / 3)
        assert found["coverage@10"] == pytest.approx(3 / len(catalog))
        assert found["hit_rate@1"] == found["ndcg@1"] == pytest.approx(1 / 3)
        assert found["coverage@1"] == pytest.approx(1 / len(catalog))
        assert done.result["unscored"] == 1

    def test_a_choice_of_answers(self) -> None:
        rating = Task("rating", "choice", answers=("1", "2", "3"))
        data = tiny(
            [("rating", u, f"i{n}", n, "test") for n, u in enumerate("abc")], tasks={"rating": rating}
        )

        class Chooses:
            name = "chooses"

            def fit(self, data: Prepared, regime: str) -> None: ...

            def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
                return np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])

        done = evaluate(Chooses(), data, Ask("rating", repeats=20))
        assert done.result["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
        assert done.result["metrics"]["log_loss"]["value"] == pytest.approx(-np.log([0.5, 0.25, 0.7]).mean())


class Oracle:
    """Knows the label of every example; says it with overconfidence."""

    name = "oracle"

    def fit(self, data: Prepared, regime: str) -> None: ...

    def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
        labels = data.examples.label.iloc[rows].to_numpy()
        random = np.random.default_rng(0)
        said: np.ndarray = np.clip(np.where(random.random(len(rows)) < 0.7, labels, 1 - labels), 0.001, 0.999)
        return said


class TestChoicesAreMadeOnValid:
    def test_calibration_and_threshold_do_not_see_the_test(self) -> None:
        data = shop()
        for task, labels in (("click", "click"), ("convert", "convert"), (CTCVR, "convert")):
            examples, test = data.examples.copy(), data.rows(labels, "test")
            examples.loc[test, "label"] = 1 - examples.label[test]
            model = Prior()
            model.fit(data, "running")
            honest, other = (
                evaluate(model, d, Ask(task, repeats=5)) for d in (data, replace(data, examples=examples))
            )
            assert honest.result["calibrated"]["line"] == other.result["calibrated"]["line"]
            assert honest.result["threshold"] == other.result["threshold"]

    def test_calibration_repairs_overconfidence(self) -> None:
        done = evaluate(Oracle(), shop(), Ask("click", repeats=5))
        raw, after = done.result["metrics"], done.result["calibrated"]["metrics"]
        assert after["log_loss"]["value"] < raw["log_loss"]["value"] - 0.5
        assert after["auc"]["value"] == pytest.approx(raw["auc"]["value"], abs=1e-9)
        assert done.result["calibrated"]["line"]["slope"] < 1

    def test_every_metric_lies_in_its_interval(self) -> None:
        model = Prior()
        model.fit(shop(), "running")
        for task in ("click", "convert", CTCVR, "return"):
            for metric in evaluate(model, shop(), Ask(task, repeats=20)).result["metrics"].values():
                if not np.isnan(metric["low"]):
                    assert metric["low"] <= metric["value"] <= metric["high"]


class TestCompare:
    def test_the_better_one_wins_and_the_same_one_does_not(self) -> None:
        good, prior = Oracle(), Prior()
        prior.fit(shop(), "running")
        a, b = (evaluate(model, shop(), Ask("click", repeats=5)).answers for model in (good, prior))
        auc, loss = compare(a, b, repeats=50)
        assert (auc["metric"], auc["wins"], loss["metric"]) == ("auc", True, "log_loss")
        assert auc["difference"] == pytest.approx(0.2, abs=0.05)
        assert not any(pair["wins"] for pair in compare(a, a, repeats=50))

    def test_only_what_both_scored_is_compared(self) -> None:
        whole = evaluate(Oracle(), shop(), Ask("click", repeats=5)).answers
        part = whole.assign(p=whole.p.where(whole.index >= 10))
        assert compare(whole, part, repeats=5)[0]["n"] == len(whole) - 10

    def test_other_examples_are_refused(self) -> None:
        whole = evaluate(Oracle(), shop(), Ask("click", repeats=5)).answers
        with pytest.raises(ValueError, match="label"):
            compare(whole, whole.assign(label=1 - whole.label), repeats=5)


class TestChain:
    def test_one_pass_and_two_passes_say_the_same(self) -> None:
        p, convert = {"i0": 0.8, "i1": 0.4}, {"i0": 0.5, "i1": 0.5}
        data = tiny([*FOUR[:2], ("convert", "ann", "i0", 1, "test")])

        class OnePass(Says):
            def predict_chain(self, data: Prepared, rows: np.ndarray) -> ChainAnswer:
                return ChainAnswer(np.array([0.8, 0.4]), np.array([0.5, 0.5]))

        rows = asked(data, CTCVR, "test").rows
        columns = ["p_click", "p_convert", "p"]
        pd.testing.assert_frame_equal(
            answer(Says(p, convert), data, CTCVR, rows)[columns],
            answer(OnePass(p), data, CTCVR, rows)[columns],
        )

    def test_a_conversion_is_asked_at_the_impressions_own_moment_without_its_label(self) -> None:
        data = shop()
        rows = data.rows("click", "test")[:7]
        given = as_task(data, rows, "convert")
        assert given.examples.ts.tolist() == data.examples.ts.iloc[rows].tolist()
        assert given.examples.point.tolist() == data.examples.point.iloc[rows].tolist()
        assert (given.examples.label == -1).all()
        assert (
            given.stats["running"].item_share.tolist() == data.stats["running"].item_share.iloc[rows].tolist()
        )


class Counting(Says):
    """Counts how many rows it was asked; its answers may be stored."""

    fingerprint: ClassVar[str] = "one"

    def __init__(self) -> None:
        super().__init__({})
        self.rows = 0

    def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
        self.rows += len(rows)
        return np.linspace(0.1, 0.9, len(rows))


class TestStore:
    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eval.store.PART", 50)

    def test_an_answer_is_asked_once(self, tmp_path: Path) -> None:
        model, store = Counting(), Store(tmp_path)
        first = evaluate(model, shop(), Ask("click", repeats=5), store)
        n = model.rows
        second = evaluate(model, shop(), Ask("click", repeats=5), store)
        assert model.rows == n
        assert first.answers.equals(second.answers)
        assert first.result == second.result

    def test_what_was_killed_goes_on_where_it_stood(self, tmp_path: Path) -> None:
        class Killed(Counting):
            def predict(self, data: Prepared, rows: np.ndarray) -> np.ndarray:
                if self.rows > 100:
                    raise KeyboardInterrupt
                return super().predict(data, rows)

        rows = shop().rows("click", "test")
        killed, model = Killed(), Counting()
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path).answers(killed, shop(), "click", "running", rows)
        answers = Store(tmp_path).answers(model, shop(), "click", "running", rows)
        assert model.rows == len(rows) - killed.rows < len(rows)
        assert answers.row.tolist() == rows.tolist()

    @pytest.mark.parametrize("change", ["weights", "labels", "history", "task", "rows"])
    def test_anything_that_changes_an_answer_asks_anew(self, tmp_path: Path, change: str) -> None:
        model, data = Counting(), shop()
        rows = data.rows("click", "test")
        Store(tmp_path).answers(model, data, "click", "running", rows)
        before = model.rows
        if change == "weights":
            model.fingerprint = "two"  # type: ignore[misc]
        elif change == "labels":
            data = replace(data, examples=data.examples.assign(label=1 - data.examples.label))
        elif change == "history":
            data = replace(data, lines=data.lines.assign(click=1 - data.lines.click))
        elif change == "task":
            data = replace(
                data, tasks={**data.tasks, "click": replace(data.tasks["click"], question="Well?")}
            )
        else:
            rows = rows[1:]
        Store(tmp_path).answers(model, data, "click", "running", rows)
        assert model.rows == before + len(rows)

    def test_a_user_is_never_split(self) -> None:
        rows = shop().rows("click", "test")
        parts = list(by_users(shop(), rows))
        users = [set(shop().examples.user_id.iloc[part]) for part in parts]
        assert sum(map(len, users)) == len(set.union(*users))
        assert sorted(np.concatenate(parts)) == rows.tolist()


def test_tasks_are_those_of_the_data_and_the_chain() -> None:
    assert tasks(shop()) == ["click", "convert", "return", "next", CTCVR]
    with pytest.raises(UserError, match="No task 'dwell'"):
        evaluate(Prior(), shop(), Ask("dwell"))


class TestResultsFile:
    def result(self) -> dict[str, Any]:
        model: Recommender = Prior()
        model.fit(shop(), "running")
        return evaluate(model, shop(), Ask("click", repeats=5)).result

    def test_holds_all_that_it_takes_to_make_it_again(self, tmp_path: Path) -> None:
        path = tmp_path / "click.json"
        written = results_file.write_result(self.result(), path, command="genrec eval --seed 0")
        assert results_file.read_result(path) == written
        assert results_file.read_results(tmp_path) == [written]
        assert written["command"] == "genrec eval --seed 0"
        assert " cores" in written["machine"]
        assert {"python", "numpy"} <= set(written["versions"])

    def test_names_the_gpu_where_one_computed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No GPU is here, so what torch says of one stands in."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA L4")
        assert machine().endswith(" cores, NVIDIA L4")

    def test_an_undefined_number_is_null(self, tmp_path: Path) -> None:
        result = self.result()
        result["metrics"]["auc"] = {"value": float("nan"), "low": float("nan"), "high": np.float64("inf")}
        path = tmp_path / "click.json"
        results_file.write_result(result, path)
        assert json.loads(path.read_text())["metrics"]["auc"] == {"value": None, "low": None, "high": None}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"n_users": None}, "'n_users'"),
            ({"unscored": 10**9}, "'unscored'"),
            ({"metrics": {"auc": {"low": 0.1}}}, "'auc' has no value"),
            ({"metrics": {"auc": {"value": 0.9, "low": 0.1, "high": 0.5}}}, "outside"),
            ({"paired": [{"against": "LightGBM"}]}, "no 'metric'"),
        ],
    )
    def test_refuses_what_cannot_be_trusted(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            results_file.write_result({**self.result(), **change}, tmp_path / "click.json")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_committed_results_are_complete(path: Path) -> None:
    results_file.read_result(path)
