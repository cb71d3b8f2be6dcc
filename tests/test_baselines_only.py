"""`genrec eval --baselines-only`: no adapter, no language model; what is done is on the page at once."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_shop import shop

from eval import harness
from eval.baselines.prior import Prior
from eval.harness import Ask, Evaluation, calibrations, evaluate
from eval.options import Options
from eval.proposed import commands
from eval.results_file import read_results
from eval.without_adapter import evaluate_baselines
from genrec import progress
from genrec.chain import CTCVR
from genrec.cli import main
from genrec.errors import UserError

RETURN = Options(tasks=("return",), rows=40, quick=True, repeats=10)


def test_the_command_needs_a_prepared_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shop().save(tmp_path / "data" / "shop")
    assert (
        main(["eval", "--baselines-only", "data/shop", "--tasks", "return", "--rows", "40", "--quick"]) == 0
    )
    results = read_results(tmp_path / "data" / "shop" / "eval")
    assert {r["model"] for r in results} >= {
        "prior",
        "user mean",
        "BG/NBD",
        "logistic regression",
        "LightGBM",
    }
    assert {r["split"] for r in results} == {"valid"}
    assert "report: data/shop/eval/report.html" in capsys.readouterr().out


def test_the_commands_it_proposes_measure_the_same(tmp_path: Path) -> None:
    data = replace(shop(), folder=Path("data/shop"))
    files = (Path("today.csv"), Path("my models/old.parquet"))
    options = Options(
        ("click", "next"), split="test", rows=40, users=20, list_rows=5, ks=(5, 20), nodes=100, regime="frozen",
        protocol="time", predictions=files, baselines=False, quick=True, engine="torch",
    )  # fmt: skip
    kept = (
        "--tasks click,next --regime frozen --protocol time --predictions today.csv "
        "--predictions 'my models/old.parquet' --k 5,20"
    )
    proposed = commands(data, options)
    assert proposed.evaluate == f"genrec eval --baselines-only data/shop {kept}"
    assert proposed.train == "genrec train data/shop"
    assert proposed.evaluate_trained == f"genrec eval {kept} --nodes 100 --engine torch"
    assert (proposed.users, proposed.rows, proposed.list_rows) == (20, 40, 5)
    assert commands(data, Options(regime="running")).evaluate == "genrec eval --baselines-only data/shop"


def test_the_commands_it_proposes_of_an_adapter_name_what_is_not_the_adapters_own() -> None:
    data, adapter = replace(shop(), folder=Path("data/shop")), Path("runs/a/adapter")
    for usual_regime, regime, named in (
        ("running", "running", ""), ("frozen", "frozen", ""), ("running", "frozen", " --regime frozen"),
        ("frozen", "running", " --regime running"),
    ):  # fmt: skip
        proposed = commands(data, Options(regime=regime), adapter, "shop", usual_regime)
        assert proposed.evaluate == f"genrec eval --adapter runs/a/adapter{named}"
    for folder, name in (("data/shop", "films"), ("elsewhere/shop", "shop")):
        other = commands(replace(data, folder=Path(folder)), Options(), adapter, name)
        assert other.evaluate == f"genrec eval --adapter runs/a/adapter {folder}"


def test_it_loads_no_language_model() -> None:
    heavy = "'torch' in sys.modules or 'transformers' in sys.modules"
    code = f"import sys, eval.without_adapter, eval.commands; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_strongest_baseline_is_compared_with_each_of_the_others(tmp_path: Path) -> None:
    results = evaluate_baselines(shop(), RETURN, tmp_path)
    strongest, *others = results
    assert {pair["against"] for pair in strongest["paired"]} == {r["model"] for r in others}
    assert not any(other["paired"] for other in others)
    assert strongest == next(r for r in read_results(tmp_path) if r["model"] == strongest["model"])


def test_what_is_killed_leaves_a_page_that_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def third_is_killed(*args: object) -> Evaluation:
        asked.append(args)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    real = harness.evaluate
    monkeypatch.setattr(harness, "evaluate", third_is_killed)
    options = Options(tasks=("return", "next"), rows=40, list_rows=5, quick=True, repeats=10)
    with pytest.raises(KeyboardInterrupt):
        evaluate_baselines(shop(), options, tmp_path)
    left = "user mean, prior); next"
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text()
        assert "Not finished when this was written" in text
        assert left in text
    assert len(read_results(tmp_path)) == 2
    monkeypatch.setattr(harness, "evaluate", real)
    evaluate_baselines(shop(), options, tmp_path)
    assert "Not finished" not in (tmp_path / "report.html").read_text()


def test_a_run_that_takes_long_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TQDM_DISABLE")
    for name in ("TICK_S", "FIRST_LINE_S", "EVERY_S"):  # milliseconds stand for seconds
        monkeypatch.setattr(progress, name, 0.001)
    evaluate_baselines(shop(), RETURN, tmp_path)
    said = capsys.readouterr()
    assert "evaluating: task 0 of 1: return, LightGBM" in said.err
    paragraph = said.out.rstrip().splitlines()[-1]
    assert paragraph.startswith("No adapter took part.")
    assert paragraph.split("Next: ")[1]


@pytest.mark.parametrize("task", ["click", "return", CTCVR])
def test_on_valid_only_raw_figures_are_reported_and_the_calibration_is_fitted_all_the_same(task: str) -> None:
    model = Prior()
    model.fit(shop(), "running")
    on_valid, on_test = (
        Ask(task, split=split, rows=80, valid_rows=80, repeats=2) for split in ("valid", "test")
    )
    chosen, claimed = (evaluate(model, shop(), ask) for ask in (on_valid, on_test))
    assert "calibrated" not in chosen.result
    assert "accuracy_at_valid_threshold" not in chosen.result["metrics"]
    assert "calibrated" in claimed.result
    kept = calibrations(model, shop(), on_valid)
    assert kept == calibrations(model, shop(), on_test) == claimed.lines
    assert task in kept or task == CTCVR


def test_a_split_without_examples_is_refused_before_any_work(tmp_path: Path) -> None:
    data = shop()
    none = data.examples.assign(split=data.examples.split.replace("valid", "censored"))
    empty = type(data)(**{**vars(data), "examples": none})
    with pytest.raises(UserError, match="No examples of return in the valid split"):
        evaluate_baselines(empty, RETURN, tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_data_sets_and_an_adapter_without_a_part_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "data/a", "--data", "data/b"]) == 2
    assert "Two data sets" in capsys.readouterr().err
    assert main(["eval", "--baselines-only", "--adapter", "runs/a/adapter"]) == 2
    assert "No language model takes part" in capsys.readouterr().err
    assert main(["eval", "--baselines-only", "--no-baselines"]) == 2


@pytest.mark.parametrize(
    "option", ["--engine=torch", "--nodes=9", "--without-statistics", "--no-untrained", "--no-ask"]
)
def test_options_of_a_model_that_takes_no_part_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--baselines-only", option]) == 2
    assert f"where: {option.partition('=')[0]}, --baselines-only" in capsys.readouterr().err


def test_a_sample_for_calibration_is_refused_where_validation_itself_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["eval", "--valid-rows", "100"]) == 2
    assert "sample them with --rows" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rows", "--users", "--k", "--list-rows"])
@pytest.mark.parametrize("value", ["-1", "ten", "1.5", ""])
def test_a_number_that_is_none_is_refused_by_name(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", f"{option}={value}"]) == 2
    said = capsys.readouterr().err
    assert option in said
    assert f"{value!r} is not a whole number of 1 or more" in said
