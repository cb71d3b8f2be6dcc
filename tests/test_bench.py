"""The measurement of candidates a second runs and says what it measured."""

import json
import sys
from pathlib import Path

import pytest
from training_fixtures import save_tiny_model

from serve import bench


def test_the_benchmark_reports_cold_and_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(save_tiny_model(tmp_path))
    monkeypatch.setattr(sys, "argv", ["bench", "--model", model, "--rounds", "2", "--dtype", "float32"])
    bench.main()
    report = json.loads(capsys.readouterr().out)
    assert (report["candidates"], report["context_tokens"], report["candidate_tokens"]) == (200, 464, 11)
    for kind in ("cold", "warm"):
        assert 0 < report[kind]["least"] <= report[kind]["candidates_per_second"] <= report[kind]["most"]
