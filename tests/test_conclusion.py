"""The verdict in words: what it says of each outcome, in one paragraph, and that it claims no more than it may."""

from typing import Any

import pytest
from small_shop import shop

from eval.lineup import lineup
from eval.report.advice import Commands
from eval.report.conclusion import conclusion
from eval.report.markdown import markdown
from eval.report.page import page
from eval.report.rivals import IN_TABLES_ONLY, RIVALS

COUNTING, MEAN, TREES = "stated statistic", "user and item mean", "LightGBM"
COMMANDS = Commands("genrec eval --adapter a", "genrec train data/shop")


def pair(against: str, difference: float, spread: float = 0.01, metric: str = "auc") -> dict[str, Any]:
    low, high = difference - spread, difference + spread
    wins = high < 0 if metric == "log_loss" else low > 0
    return {
        "against": against, "metric": metric, "difference": difference, "low": low, "high": high, "wins": wins,
    }  # fmt: skip


def no_pair(against: str, metric: str = "auc") -> dict[str, Any]:
    """As of a model that scored nothing, once it is written to JSON."""
    ends = dict.fromkeys(("difference", "low", "high"))
    return {"against": against, "metric": metric, **ends, "wins": False}


def result(
    model: str, value: float, *pairs: dict[str, Any], task: str = "click", **changes: Any
) -> dict[str, Any]:
    return {
        "task": task, "data": "shop", "split": "valid", "regime": "running", "model": model, "seed": 0, "n": 1000,
        "n_users": 60, "positives": 400, "unscored": 0, "sampled": True, "sampled_by": "blocks", "sampled_of": 5000,
        "sampled_per_user": 10, "metrics": {"auc": {"value": value, "low": value - 0.02, "high": value + 0.02}},
        "paired": list(pairs), "cost": {}, "command": "genrec eval", "machine": "a CPU", "versions": {},
        "date": "2026-01-01T00:00:00Z", "genrec_version": "0.1.0", **changes,
    }  # fmt: skip


def against(counting: float, means: float, trees: float, **changes: Any) -> list[dict[str, Any]]:
    """Ours at .75, with these differences to the others; the untrained model at .60."""
    pairs = [
        pair("genrec untrained", 0.15), pair(COUNTING, counting), pair(MEAN, means), pair(TREES, trees),
    ]  # fmt: skip
    others = {"genrec untrained": 0.15, COUNTING: counting, MEAN: means, TREES: trees}
    return [
        result("genrec", 0.75, *pairs, **changes),
        *(result(name, 0.75 - difference, **changes) for name, difference in others.items()),
    ]


def said(results: list[dict[str, Any]]) -> str:
    words = conclusion(results, "genrec", COMMANDS)
    assert "\n" not in words
    assert "  " not in words
    return words


def test_ahead() -> None:
    words = said(against(0.02, 0.05, 0.03))
    assert words == (
        "What was learned, on the valid split: click AUC 0.7500 (untrained 0.6000). It is ahead in AUC in each of "
        "3 comparisons with the stated statistic, the means and LightGBM. Beside the stated statistic (difference, 95% "
        "interval): ahead on click (AUC +0.020, +0.010 to +0.030). Beside the means: ahead on click (AUC +0.050, "
        "+0.040 to +0.060). Beside LightGBM: ahead on click (AUC +0.030, +0.020 to +0.040). "
        "60 users or more are behind every figure, enough for intervals by users. "
        "Next: `genrec eval --adapter a --split test`, once, to state it."
    )


def test_level_is_not_called_ahead() -> None:
    words = said(against(0.005, 0.002, -0.003))
    assert "It is level in AUC in each of 3 comparisons" in words
    assert "ahead" not in words
    assert "behind on" not in words


def test_behind_is_said_and_training_longer_comes_before_the_test_split() -> None:
    words = said(against(-0.02, 0.05, -0.03))
    assert (
        "Of 3 comparisons with the stated statistic, the means and LightGBM it is ahead in AUC in 1 and behind in AUC "
        "in 2." in words
    )
    assert "Beside LightGBM: behind on click (AUC -0.030" in words
    assert words.index("genrec train data/shop --minutes") < words.index("--split test")


def test_on_the_test_split_the_baseline_that_is_ahead_is_recommended() -> None:
    words = said(against(0.02, 0.05, -0.03, split="test"))
    assert (
        "the better choice today: LightGBM for click (in AUC). Next: `genrec train data/shop --minutes 60`"
        in words
    )
    assert "--split test" not in words
    assert "genrec serve" in said(against(0.02, 0.05, 0.03, split="test"))


def test_of_too_few_users_nothing_is_claimed() -> None:
    words = said(against(0.02, 0.05, 0.03, n_users=7))
    assert (
        "Whether that is ahead of the stated statistic, the means and LightGBM cannot be said of fewer than 50 users."
        in words
    )
    assert "looks ahead on click" in words
    assert "Too few users on every task here: click (7)" in words
    assert words.endswith("`genrec eval --adapter a --users 100 --rows 1000` to judge by more users.")
    whole = said(against(0.02, 0.05, 0.03, n_users=7, sampled=False))
    assert "the valid split itself has no more users" in whole


def test_more_lists_are_asked_for_where_theirs_are_too_few() -> None:
    lists = {"hit_rate@10": {"value": 0.1, "low": 0.0, "high": 0.2}}
    few = result("popularity", 0.1, task="next", metrics=lists, n_users=33, sampled_by="rows")
    assert said([few]).endswith("`genrec eval --adapter a --list-rows 4000` to judge by more users.")
    both = said([few, result("LightGBM", 0.7, n_users=7)])
    assert both.endswith("--users 100 --rows 1000 --list-rows 4000` to judge by more users.")


@pytest.mark.parametrize(
    ("n", "n_users", "advised"),
    [
        (500, 40, "--list-rows 1500"),
        (1500, 45, "--list-rows 2000"),
        (20, 19, "--list-rows 120"),
        (100, 20, "--list-rows 500"),
    ],
)
def test_more_lists_are_more_than_there_were(n: int, n_users: int, advised: str) -> None:
    lists = {"hit_rate@10": {"value": 0.1, "low": 0.0, "high": 0.2}}
    few = result(
        "popularity", 0.1, task="next", metrics=lists, n=n, n_users=n_users, sampled_by="rows", sampled_of=2000,
    )  # fmt: skip
    words = conclusion([few], "genrec", Commands("genrec eval", list_rows=n))
    assert f"Next: `genrec eval {advised}`" in words
    every = {**few, "n": 2000, "sampled": False, "sampled_by": ""}
    words = conclusion([every], "genrec", Commands("genrec eval", list_rows=2000))
    assert words.endswith("the valid split itself has no more users.")


def test_more_users_are_advised_only_while_the_split_may_have_them() -> None:
    blocks = against(0.02, 0.05, 0.03, n_users=30, sampled_by="blocks")
    all_users = conclusion(blocks, "genrec", Commands("genrec eval", users=100, rows=1000))
    assert "the valid split itself has no more users" in all_users
    assert "--users" not in all_users
    drawn = conclusion(blocks, "genrec", Commands("genrec eval", users=30, rows=3000, list_rows=None))
    assert "Next: `genrec eval --users 100 --rows 3000 --list-rows 0` to judge by more users." in drawn


def test_single_examples_of_a_task_about_the_user_are_asked_for_by_their_number() -> None:
    single = against(0.02, 0.05, 0.03, task="return", n=1000, n_users=40, sampled_by="rows", sampled_of=2500)
    words = conclusion(single, "genrec", Commands("genrec eval", users=100, rows=1000))
    assert "Next: `genrec eval --users 100 --rows 2500` to judge by more users." in words


def test_a_task_without_more_users_is_named_beside_one_that_has_them() -> None:
    whole = against(0.02, 0.05, 0.03, task="return", n_users=20, sampled=False, sampled_by="")
    words = said([*against(0.02, 0.05, 0.03, n_users=7), *whole])
    assert "--rows 1000` to judge click by more users. The valid split has no more users of return." in words


def test_training_that_is_not_seen_to_help_is_said() -> None:
    results = against(0.02, 0.05, 0.03)
    assert "untrained model" not in said(results)
    results[0]["paired"][0] = pair("genrec untrained", 0.005)
    assert "No gain over the untrained model is shown on click (AUC)." in said(results)


def test_tasks_of_few_users_are_named_beside_those_of_enough() -> None:
    words = said([*against(0.02, 0.05, 0.03), *against(0.02, 0.05, 0.03, task="return", n_users=20)])
    assert "It is ahead in AUC in each of 3 comparisons" in words  # those of return are not counted
    assert "Too few users on these tasks: return (20)" in words


def test_without_baselines_nothing_is_said_of_its_worth() -> None:
    words = said([result("genrec", 0.75, pair("genrec untrained", 0.15)), result("genrec untrained", 0.6)])
    assert "No baseline took part, so what this is worth beside them is not known." in words
    assert "ahead" not in words
    assert words.endswith("Next: `genrec eval --adapter a`, which measures the baselines too.")


def test_a_file_of_predictions_is_a_rival_when_no_baseline_took_part() -> None:
    def beside_today(difference: float) -> str:
        ours = result("genrec", 0.75, pair("genrec untrained", 0.15), pair("today", difference))
        return said([ours, result("genrec untrained", 0.6), result("today", 0.75 - difference)])

    won = beside_today(0.02)
    assert "It is ahead in AUC in 1 comparison with today." in won
    assert "Beside today (difference, 95% interval): ahead on click (AUC +0.020, +0.010 to +0.030)." in won
    assert "fewer than" not in won
    assert "No baseline" not in won
    lost = beside_today(-0.02)
    assert "It is behind in AUC in 1 comparison with today." in lost
    assert "train longer" in lost


def test_ours_without_statistics_is_no_baseline() -> None:
    ours = result("genrec", 0.75, pair("genrec without statistics", 0.1))
    words = said([ours, result("genrec without statistics", 0.65)])
    assert "No baseline took part" in words
    assert "fewer than" not in words
    assert words.endswith("which measures the baselines too.")


def test_the_prior_is_a_rival_only_where_there_is_no_other() -> None:
    metrics = {"accuracy": {"value": 0.6, "low": 0.5, "high": 0.7}}
    ours = result("genrec", 0.6, pair("prior", 0.1, metric="accuracy"), task="genre", metrics=metrics)
    alone = said([ours, result("prior", 0.5, task="genre", metrics=metrics)])
    assert "It is ahead in accuracy in 1 comparison with the prior." in alone
    among = against(0.02, 0.05, 0.03)
    among[0]["paired"].append(pair("prior", 0.25))
    assert "prior" not in said([*among, result("prior", 0.5)])


def test_ahead_in_one_metric_and_behind_in_the_other_is_not_called_ahead() -> None:
    results = against(0.02, 0.05, 0.015, split="test")
    results[0]["paired"] += [
        pair(name, difference, metric="log_loss")
        for name, difference in ((COUNTING, -0.1), (MEAN, 0.0), (TREES, 0.1))
    ]
    words = said(results)
    assert "it is ahead in AUC in 2 and ahead in AUC but behind in log loss in 1." in words
    assert (
        "Beside LightGBM: ahead in AUC but behind in log loss on click (AUC +0.015, +0.005 to +0.025; log loss +0.100, "
        "+0.090 to +0.110)."
    ) in words
    assert "the better choice today: LightGBM for click (in log loss)." in words


def test_a_metric_that_is_worse_than_the_untrained_models_is_said() -> None:
    results = against(0.02, 0.05, 0.03)
    results[0]["paired"].append(pair("genrec untrained", 0.1, metric="log_loss"))
    words = said(results)
    assert "It is behind the untrained model on click (log loss)." in words
    assert "No gain" not in words


def test_a_rival_that_scored_nothing_is_not_called_level() -> None:
    results = against(0.02, 0.05, 0.03)
    results[0]["paired"][-1] = no_pair(TREES)
    words = said(results)
    assert "It is ahead in AUC in each of 2 comparisons with the stated statistic and the means." in words
    assert "Beside LightGBM" not in words
    assert "Not compared, since there is no difference to state: LightGBM on click (AUC)." in words
    results[0]["paired"].append(pair("LightGBM with init_score", 0.04))
    assert "Beside LightGBM: ahead on click (AUC +0.040" in said(results)
    alone = said([result("genrec", 0.75, no_pair("today"), no_pair("genrec untrained"))])
    assert "Not compared, since there is no difference to state: today on click (AUC)." in alone
    assert "No baseline" not in alone
    assert "No gain" not in alone
    assert "--split test" not in alone


def test_an_unfinished_run_is_judged_only_so_far() -> None:
    ours = [result("genrec", 0.75, pair("genrec untrained", 0.15)), result("genrec untrained", 0.6)]
    words = conclusion(ours, "genrec", COMMANDS, pending=["click (LightGBM)"])
    assert "No baseline has been measured yet" in words
    assert "took part" not in words
    assert words.endswith("Next: the same command again, which measures what is missing.")
    baselines = conclusion([result(TREES, 0.78)], "", COMMANDS, pending=["next"])
    assert "is the best of the baselines measured so far: click" in baselines
    assert baselines.endswith("Next: the same command again, which measures what is missing.")


def test_the_baselines_alone_are_the_bar() -> None:
    words = said([result(TREES, 0.78, pair(COUNTING, 0.01)), result(COUNTING, 0.77)])
    assert "No adapter took part." in words
    assert "click AUC 0.7800 (0.760–0.800) by LightGBM" in words
    assert words.endswith("Next: `genrec train data/shop`, then `genrec eval`.")
    assert conclusion([]) == ""


def test_the_verdict_comes_first_in_the_reports() -> None:
    words = "Ahead <of> `genrec eval`."
    text = markdown(against(0.02, 0.05, 0.03), "Shop", words=words)
    assert text.startswith(f"# Shop\n\n{words}\n")
    html = page(against(0.02, 0.05, 0.03), words=words)
    assert html.index("Ahead &lt;of&gt; <code>genrec eval</code>.") < html.index("<nav>")


def test_of_two_kinds_of_lightgbm_the_harder_one_counts() -> None:
    results = against(0.02, 0.05, 0.03)
    results[0]["paired"].append(pair("LightGBM with init_score", -0.02))
    words = said([*results, result("LightGBM with init_score", 0.77)])
    assert (
        "Beside LightGBM: behind on click (AUC -0.020, -0.030 to -0.010, LightGBM with init_score)." in words
    )
    assert "it is ahead in AUC in 2 and behind in AUC in 1" in words


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("click", {"stated statistic", "user and item mean", "user mean", "item mean", "LightGBM"}),
        ("return", {"stated statistic", "user mean", "LightGBM"}),
        ("next", {"stated statistic", "popularity"}),
    ],
)
def test_the_baselines_that_it_speaks_of_are_called_so(task: str, names: set[str]) -> None:
    known = {name for models in RIVALS.values() for name in models}
    took_part = {make().name for make in lineup(shop(), task, quick=True)}
    assert took_part & known >= names
    assert took_part <= {*known, *IN_TABLES_ONLY, "prior"}
