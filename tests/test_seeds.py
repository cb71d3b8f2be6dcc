"""The headline over seeds: means and spreads of ours, baselines measured once."""

from pathlib import Path

import pytest

from eval.seeds import main, table


def result(model: str, seed: int, auc: float, wins: bool = True) -> dict[str, object]:
    pair = {
        "against": "LightGBM",
        "metric": "auc",
        "difference": 0.01,
        "low": 0.0,
        "high": 0.02,
        "wins": wins,
    }
    return {
        "task": "click", "data": "shop", "split": "test", "regime": "running", "model": model, "seed": seed, "n": 50,
        "metrics": {"auc": {"value": auc}}, "paired": [pair] if model == "genrec" else [],
    }  # fmt: skip


def test_means_and_spreads_over_seeds() -> None:
    runs = [result("genrec", 0, 0.8), result("genrec", 1, 0.7, wins=False), result("LightGBM", 0, 0.74)]
    lines = table(runs).splitlines()
    assert lines[0] == "## shop, click, test, running: 50 examples"
    assert lines[-2:] == [
        "| genrec | 2 | 0.7500 (0.7000 to 0.8000) | LightGBM (AUC) 1/2 |",
        "| LightGBM | 1 | 0.7400 |  |",
    ]


def test_a_folder_without_results_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: No results\n  where: {tmp_path}\n")
    (tmp_path / "other.json").write_text("{}")
    assert main([str(tmp_path)]) == 2
    assert "other.json" in capsys.readouterr().err
