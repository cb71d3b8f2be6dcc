"""Costs say what was asked: an answer that another task's pass had given is no fast answer, and in no chart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from our_model import ours
from random_engine import RandomEngine
from small_shop import shop
from test_report import result

from eval.baselines.means import Means
from eval.comparison import Comparison
from eval.cost import cost, spent, together
from eval.harness import Ask, evaluate
from eval.options import Options
from eval.ours import Genrec
from eval.recommender import Searches, Work
from eval.report.page import page
from eval.store import Store
from genrec.chain import CTCVR


def test_what_clicks_pass_has_answered_costs_nothing_and_says_so() -> None:
    model = ours(shop())
    costs, n = {}, {}
    for task in ("click", "convert", CTCVR):
        found = evaluate(model, shop(), Ask(task, repeats=2)).result
        costs[task], n[task] = found["cost"], found["n"]
    assert costs["click"]["questions"] == 2 * n["click"]
    assert costs["click"]["note"] == "click and convert asked in one pass"
    assert costs["click"]["candidates_per_second"] == pytest.approx(n["click"] / costs["click"]["seconds"])
    for task in ("convert", CTCVR):
        assert costs[task]["questions"] == 0
        assert costs[task]["note"] == "answered in click's pass"
        assert costs[task]["candidates_per_second"] is None


def test_what_was_asked_before_in_part_is_counted_in_part() -> None:
    model, rows = ours(shop()), shop().rows("click", "test")
    model.predict(shop(), rows[:10])
    cost = evaluate(model, shop(), Ask("click", repeats=2)).result["cost"]
    assert cost["questions"] == 2 * (len(rows) - 10)
    assert cost["note"].startswith(f"10 of {len(rows):,} answered in click's pass")
    assert cost["candidates_per_second"] == pytest.approx((len(rows) - 10) / cost["seconds"])


def test_a_list_is_a_question_and_no_candidate() -> None:
    cost = evaluate(ours(shop()), shop(), Ask("next", rows=5, repeats=2)).result["cost"]
    assert cost["questions"] == 5
    assert (cost["exact_lists"], cost["mean_gap"]) == (5, 0)
    assert set(cost) == {"seconds", "questions", "lists_per_second", "exact_lists", "mean_gap"}


def test_who_does_not_count_is_asked_once_an_example_and_twice_for_the_chain() -> None:
    model = Means("user")
    model.fit(shop(), "running")
    for task, each in (("click", 1), (CTCVR, 2)):
        found = evaluate(model, shop(), Ask(task, repeats=2)).result
        assert found["cost"]["questions"] == each * found["n"]
        assert "note" not in found["cost"]


def test_kept_answers_keep_their_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.store.PART", 50)
    model, rows = ours(shop()), shop().rows("click", "test")
    first, again = (Store(tmp_path).answers(model, shop(), "click", "running", rows).attrs for _ in range(2))
    assert first == again
    assert first["questions"] == 2 * len(rows)
    for path in tmp_path.rglob("*.parquet"):  # as an earlier version kept them
        part = pd.read_parquet(path)
        part.attrs = {"seconds": part.attrs["seconds"]}
        part.to_parquet(path)
    assert evaluate(model, shop(), Ask("click", repeats=2), Store(tmp_path)).result["cost"] == {}


def test_the_chart_shows_speeds_of_what_was_asked() -> None:
    asked = {"seconds": 2.0, "questions": 1000, "candidates_per_second": 500.0}
    remembered = {
        "seconds": 0.001,
        "questions": 0,
        "candidates_per_second": None,
        "note": "answered in click's pass",
    }
    older = {"seconds": 0.01, "examples_per_second": 123456.0}
    html = page([result(cost=asked), result("ours", cost=remembered), result("older", cost=older)])
    section = html[html.index('id="cost"') : html.index('id="runs"')]
    assert section.count("<rect") == 1
    assert "answered in click&#39;s pass" in section
    assert "older" not in section
    assert "123" not in section
    assert 'id="cost"' not in page([result(cost=older)])


def test_the_memory_says_what_a_fresh_pass_says() -> None:
    once, model = ours(shop()), ours(shop())
    rows = shop().rows("convert", "test")
    evaluate(model, shop(), Ask("click", repeats=2))
    np.testing.assert_array_equal(once.predict(shop(), rows), model.predict(shop(), rows))


def test_lists_within_a_bound_are_full_cheaper_and_kept_apart() -> None:
    exact = ours(shop())
    bounded = Genrec(
        "genrec", exact.layout, exact.histories, RandomEngine(vocabulary=60_000), "of no weights", nodes=1
    )
    rows = shop().rows("next", "test")[:3]
    lists, every = bounded.rank(shop(), rows, 8), exact.rank(shop(), rows, 8)
    assert [len(items or ()) for items in lists] == [len(items or ()) for items in every] == [8] * 3
    assert lists != every
    assert bounded.fingerprint != exact.fingerprint
    assert bounded.work.searches[:2] == (0, 3)
    assert bounded.work.searches.gaps > 0
    assert exact.work.searches == (3, 0, 0)


def test_a_result_says_how_many_of_its_lists_are_exact_and_how_far_the_others_are() -> None:
    before, after = Work(0, {}, Searches(5, 0, 0.0)), Work(4, {}, Searches(6, 3, 1.5))
    first = spent(1.0, "next", 4, before, after)
    assert first["searches"] == [1, 3, 1.5]
    older = {key: value for key, value in first.items() if key != "searches"}
    whole = cost(together([first, first, older]), "next", 12, lists=True)
    assert (whole["exact_lists"], whole["mean_gap"]) == (2, 0.5)
    assert whole["note"] == "2 of 8 lists exact, a gap of 0.50 in the others"
    assert "exact_lists" not in cost(together([older]), "next", 4, lists=True)
    assert "note" not in cost(spent(1.0, "next", 1, before, Work(1, {}, Searches(6, 0, 0.0))), "next", 1)


def test_fewer_examples_may_calibrate_than_are_judged(tmp_path: Path) -> None:
    both = Comparison(shop(), Options(split="test", rows=40, valid_rows=5), tmp_path, ["click"])
    assert (both.ask("click").rows, both.ask("click").valid_rows) == (40, 5)
    alike = Comparison(shop(), Options(split="test", rows=40), tmp_path, ["click"])
    assert alike.ask("click").valid_rows == 40
