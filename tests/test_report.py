"""The reports: what a reader sees, that nothing in a name becomes markup, that the page needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eval.report import write_report
from eval.report.charts import Axis, Dot, Series, bar_chart, interval_chart, line_chart, number
from eval.report.latex import latex
from eval.report.markdown import markdown
from eval.report.page import learning_charts, page, smoothed
from eval.report.table import groups, origins, seed_figures, verdict
from genrec.errors import UserError

HOSTILE = "<script>alert(1)</script> | {{ 7 * 7 }}"


def metric(value: float, spread: float = 0.02) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread}


def result(model: str = "trees", task: str = "click", auc: float = 0.75, **changes: Any) -> dict[str, Any]:
    return {
        "task": task, "data": "films", "split": "test", "regime": "running", "model": model, "seed": 0, "n": 1000,
        "n_users": 50, "positives": 400, "unscored": 0, "left_out": 0, "sampled": False,
        "metrics": {"auc": metric(auc), "log_loss": metric(0.6), "brier": metric(0.21), "accuracy": metric(0.7)},
        "curves": {"reliability": [[0.2, 0.25, 500], [0.7, 0.6, 500]], "roc": [[0, 0], [0.2, 0.6], [1, 1]]},
        "paired": [], "cost": {"seconds": 2.0, "questions": 1000, "candidates_per_second": 500.0},
        "command": "genrec eval", "machine": "a CPU, 2 cores",
        "date": "2026-01-01T00:00:00Z", "genrec_version": "0.1.0", "versions": {},
        **changes,
    }  # fmt: skip


def lists(model: str, ndcg: float) -> dict[str, Any]:
    metrics = {"hit_rate@10": metric(2 * ndcg), "ndcg@10": metric(ndcg), "coverage@10": {"value": 0.3}}
    return result(model, "next", metrics=metrics, curves={}, positives=None)


PAIR = {"against": "means", "metric": "auc", "difference": 0.02, "low": 0.01, "high": 0.03, "wins": True}
LEARNING = [
    {"step": s, "tokens": s * 100, "seconds": s * 2.0, "loss": {"click": 1 / s, "next": 2.0}}
    for s in (1, 2, 3)
]


def test_markdown_is_what_a_reader_expects() -> None:
    text = markdown([result("means", auc=0.7), result("trees", auc=0.75, paired=[PAIR])], "Films")
    assert text.startswith(
        "# Films\n\n## click on films\n\ntest split, running statistics: 1,000 examples of 50 users, 40.0% yes.\n"
    )
    assert [line for line in text.splitlines() if line.startswith("|")][:4] == [
        "| model | AUC | log loss | Brier/MSE | accuracy | unscored |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| trees | **0.7500** (0.730–0.770) | **0.6000** (0.580–0.620) | **0.2100** | **0.7000** | 0 |",
        "| means | 0.7000 (0.680–0.720) | **0.6000** (0.580–0.620) | **0.2100** | **0.7000** | 0 |",
    ]
    assert "\n| trees | means | +0.0200 (+0.0100 to +0.0300) wins |\n" in text
    assert text.endswith("\n    genrec eval\n")


def test_a_pair_without_an_interval_is_shown_without_one() -> None:
    alone = result(paired=[{**PAIR, "low": None, "high": None, "wins": False}])
    assert "+0.0200 (- to -) undecided" in markdown([alone])
    assert "<small>- to -</small>" in page([alone])


@pytest.mark.parametrize(
    ("metric_of", "low", "high", "said"),
    [
        ("auc", 0.01, 0.03, "wins"),
        ("auc", -0.01, 0.03, "undecided"),
        ("auc", -0.03, -0.01, "loses"),
        ("log_loss", -0.03, -0.01, "wins"),
        ("log_loss", 0.01, 0.03, "loses"),
        ("ndcg@10", -0.03, 0.0, "undecided"),
    ],
)
def test_who_is_behind_is_said_to_lose(metric_of: str, low: float, high: float, said: str) -> None:
    pair = {**PAIR, "metric": metric_of, "low": low, "high": high, "wins": said == "wins"}
    assert verdict(pair) == said
    assert f") {said} |" in markdown([result(paired=[pair])])
    assert f'<span class="{said}">{said}</span>' in page([result(paired=[pair])])


def test_seeds_of_one_model_stand_apart() -> None:
    both = [
        result(auc=0.7, seed=n, metrics={"auc": metric(0.7 + n), "accuracy": metric(0.7)}) for n in (0, 1)
    ]
    text, html = markdown([*both, result("means")]), page([*both, result("means")])
    for name in ("trees, seed 0", "trees, seed 1"):
        assert f"\n| {name} |" in text
        assert f"<td>{name}</td>" in html
    assert "\n| means |" in text
    rows = seed_figures([*both, *(result(task="convert", seed=n) for n in (0, 1))])
    assert [row["name"] for row in rows] == ["trees, seed 0", "trees, seed 1"]


def test_results_of_other_examples_are_not_called_the_same() -> None:
    text = markdown([result(), result("means", n=500)])
    assert "500 to 1,000 examples, not the same for all" in text


def test_a_command_stands_once_with_all_that_it_made() -> None:
    made = origins([result(), result("means", "convert"), result("other", command="genrec eval --seed 1")])
    assert [origin.command for origin in made] == ["genrec eval", "genrec eval --seed 1"]
    assert made[0].models == {
        "click on films, test, running": ["trees"], "convert on films, test, running": ["means"],
    }  # fmt: skip
    html = page([result(), result("means", "convert")])
    assert html.count("<pre>genrec eval</pre>") == 1
    assert "<details" not in html  # paper cannot open them


def test_the_contents_say_no_more_than_tells_sections_apart() -> None:
    assert ">click</a>" in page([result(), result(task="convert")])
    both = page([result(), result(regime="frozen")])
    assert ">click, running</a>" in both
    assert ">click, frozen</a>" in both


def test_ours_has_one_colour_wherever_it_stands() -> None:
    html = page([result("ours", auc=0.6), result("trees", auc=0.8)], ours=["ours"])
    legend = html[html.index("<h3>ROC") :]
    assert legend.index('class="key c0"></i>ours') < legend.index('class="key c1"></i>trees')


def test_each_tasks_loss_has_an_axis_of_its_own() -> None:
    assert [name for name, _ in learning_charts(LEARNING)] == ["click", "next"]
    assert learning_charts([]) == []


def test_a_sample_is_called_one_and_says_how_it_was_drawn() -> None:
    users, rows = (result(sampled=True, sampled_of=10_000, sampled_by=by) for by in ("users", "rows"))
    assert ", a sample of 10,000 by whole users." in markdown([users])
    assert ", a sample of 10,000 by single examples." in markdown([rows])
    blocks = result(sampled=True, sampled_of=10_000, sampled_by="blocks", sampled_per_user=20)
    assert ", a sample of 10,000: at most 20 consecutive ones of a user." in markdown([blocks])
    assert "sample" not in markdown([result()])


def test_the_seeds_four_figures_need_both_tasks() -> None:
    assert "seed" not in markdown([result()])
    both = markdown([result(), result(task="convert", auc=0.6)])
    assert (
        "| the seed article's, on data that it does not name | | 0.8450 | 0.0450 | 0.7890 | 0.0870 |" in both
    )
    assert "| trees | films, running | 0.7000 | 0.2100 | 0.7000 | 0.2100 |" in both


def test_groups_follow_the_funnel_and_keep_regimes_apart() -> None:
    found = groups([lists("knn", 0.1), result(task="ctcvr"), result(regime="frozen"), result()])
    assert [(g.task, g.regime) for g in found] == [
        ("click", "frozen"), ("click", "running"), ("ctcvr", "running"), ("next", "running"),
    ]  # fmt: skip
    assert [r["model"] for r in groups([lists("worse", 0.1), lists("better", 0.2)])[0].sorted()] == [
        "better",
        "worse",
    ]


def test_the_trivial_prior_is_never_set_bold() -> None:
    prior = result("prior", auc=0.9, metrics={"auc": metric(0.5), "gauc": metric(0.5), "ece": metric(0.0)})
    others = [
        result(name, metrics={"auc": metric(auc), "gauc": metric(gauc), "ece": metric(0.1 - gauc / 10)})
        for name, auc, gauc in (("trees", 0.7, 0.4), ("means", 0.6, 0.3))
    ]
    text, html = markdown([prior, *others]), page([prior, *others])
    row = next(line for line in text.splitlines() if line.startswith("| prior"))
    assert "**" not in row
    assert text.count("**0.4000**") == 1  # the best GAUC of those that know something
    cells = html[html.index("<td>prior</td>") :].partition("</tr>")[0]
    assert 'class="best"' not in cells


def test_what_stands_alone_is_not_the_best_of_anything() -> None:
    assert "**" not in markdown([result()])


def test_figures_of_few_users_are_flagged() -> None:
    few, enough = result(n_users=49), result(n_users=50)
    said = "Only 49 users: below 50, intervals by users are not to be trusted"
    for written in (markdown, page, latex):
        assert said in written([few])
        assert "not to be trusted" not in written([enough])


def test_an_adapter_of_another_regime_is_said_to_be() -> None:
    other = markdown([result("genrec", trained_regime="frozen"), result()])
    assert "test split, running statistics (the adapter was trained on frozen ones): 1,000 examples" in other
    assert "was trained on" not in markdown([result("genrec", trained_regime="running"), result()])


def test_an_unfinished_report_says_what_is_missing() -> None:
    pending = ["click (LightGBM)", "next"]
    for text in (markdown([result()], pending=pending), page([result()], pending=pending)):
        assert "Still missing: click (LightGBM); next." in text
        assert "baselines are fitted anew" in text
    assert "Still missing" not in page([result()])


def test_costs_are_of_the_split_that_was_measured() -> None:
    on_valid, on_test = page([result(split="valid")]), page([result()])
    assert "Of the valid split, on a CPU, 2 cores." in on_valid
    assert "Of the test split, on a CPU, 2 cores." in on_test
    assert "test split" not in on_valid
    both = page([result(split="valid"), result()])
    assert "Of the test and valid splits, on" in both
    for split in ("valid", "test"):
        assert f'<td class="words">click, {split}, running</td>' in both


def test_only_a_calibrated_reliability_chart_explains_its_dashes() -> None:
    curves = {"reliability": [[0.3, 0.3, 9]]}
    calibrated = {"line": {}, "threshold": 0.5, "metrics": {"log_loss": metric(0.58)}, "curves": curves}
    said = "Dashed: calibrated on the valid split."
    assert said in page([result(calibrated=calibrated)])
    assert said not in page([result(split="valid")])


def test_lists_of_several_lengths_are_ranked_by_the_first() -> None:
    found = [
        result(name, "next", metrics={
            "hit_rate@5": metric(five), "ndcg@5": metric(five), "hit_rate@20": metric(twenty), "ndcg@20": metric(0.1),
            "coverage@5": {"value": 0.3}, "coverage@20": {"value": 0.3},
        }, curves={}, positives=None)
        for name, five, twenty in (("a", 0.2, 0.3), ("b", 0.1, 0.5))
    ]  # fmt: skip
    group = groups(found)[0]
    assert (group.kind, group.main) == ("item", ("hit_rate@5", "ndcg@5"))
    assert [r["model"] for r in group.sorted()] == ["a", "b"]
    assert "| model | HR@5 | HR@20 | NDCG@5 | NDCG@20 | coverage@5 | coverage@20 |" in markdown(found)


def test_a_latex_table_is_one_that_latex_reads() -> None:
    text = latex([result("our_model & 5%", auc=0.8), result("means", auc=0.7)])
    assert r"our\_model \& 5\% & \textbf{0.8000} (0.780--0.820) &" in text
    assert text.count(r"\begin{tabular}{lrrrr}") == text.count(r"\end{tabular}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert (
        r"\caption{click on films: test split, running statistics: 1,000 examples of 50 users, 40.0\% yes."
        in text
    )
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert [row.count(" & ") for row in rows] == [4, 4, 4]


def test_a_report_names_the_commit_and_the_adapters_weights() -> None:
    ours = result("genrec", commit="0123456789abcdef" * 2, dirty=True, adapter_sha256="f" * 64)
    html = page([ours, result("older")])
    assert "genrec 0.1.0 at 0123456789ab with uncommitted changes" in html
    assert f"adapter weights, sha256: {'f' * 64}" in html


class Outside(HTMLParser):
    """Collects every reference that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [
            v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith("#")
        ]


@pytest.fixture(scope="module")
def html() -> str:
    calibrated = {
        "line": {},
        "threshold": 0.5,
        "metrics": {"log_loss": metric(0.58)},
        "curves": {"reliability": [[0.3, 0.3, 9]]},
    }
    undefined = result("undefined", metrics={"auc": {"value": None, "low": None, "high": None}})
    results = [
        result("ours", auc=0.8, paired=[PAIR], calibrated=calibrated), result(HOSTILE), undefined,
        result("ours", "convert"), lists("ours", 0.2), lists("knn", 0.1),
    ]  # fmt: skip
    return page(results, LEARNING, title=HOSTILE, ours=["ours"])


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    seen = Outside()
    seen.feed(html)
    assert seen.fetched == []
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert not re.search(r"@import|url\(", html)


def test_names_are_text_and_never_markup(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html  # as it stands, not 49


def test_the_page_draws_every_kind_of_figure(html: str) -> None:
    for heading in (
        "click on films",
        "convert on films",
        "next on films",
        "Reliability",
        "ROC",
        "Learning",
        "Cost",
        "Commands",
    ):
        assert heading in html
    assert "Accuracy and squared error of CTR and CVR" in html
    assert html.count('class="chart"') >= 9
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert "The last point: step 3, 300 tokens" in html


def test_charts_put_points_where_they_belong() -> None:
    chart = line_chart(
        [Series("a", [(0, 0), (1, 1)], 0)], Axis("x", 0, 1), Axis("y", 0, 1), width=164, height=152
    )
    assert 'points="52.0,110.0 152.0,10.0"' in chart
    assert Axis("x", 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Axis("x", 0.52, 0.81).ticks(3) == pytest.approx([0.6, 0.7, 0.8])


def test_charts_of_one_value_and_of_equal_values_are_drawn() -> None:
    assert "<circle" in interval_chart([Dot("a", 0.5, None, None)], "AUC")
    assert "<circle" in interval_chart([Dot("a", 0.5, 0.5, 0.5), Dot("b", 0.5, 0.5, 0.5)], "AUC")
    bars = bar_chart([Dot("a", 2000.0, None, None), Dot("b", 2e5, None, None)], "a second")
    assert bars.count("<rect") == 2
    assert [tick in bars for tick in (">1k<", ">10k<", ">100k<", ">1M<")] == [True] * 4


def test_numbers_are_short() -> None:
    assert [number(v) for v in (0.25, 0, 1500, 2_500_000, 0.1 + 0.2)] == ["0.25", "0", "1,500", "2.5M", "0.3"]


def test_the_moving_average_starts_at_the_first_value() -> None:
    assert [y for _, y in smoothed([(1, 4.0), (2, 4.0), (3, 4.0)])] == pytest.approx([4, 4, 4])


def test_four_files_are_written(tmp_path: Path) -> None:
    paths = write_report([result()], tmp_path / "report", learning=LEARNING)
    assert [path.name for path in paths] == ["report.md", "report.json", "report.html", "report.tex"]
    assert json.loads(paths[1].read_text())[0]["model"] == "trees"
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
        "report.tex",
    ]
    with pytest.raises(UserError, match="no results"):
        write_report([], tmp_path)
