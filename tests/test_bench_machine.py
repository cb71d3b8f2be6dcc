"""`genrec bench`: every part of the product is measured through what users call, and written down with the machine."""

import argparse
import json
from pathlib import Path

import pytest
from training_fixtures import save_tiny_model

from genrec.command import Parser, fill
from genrec.errors import UserError
from serve.bench import machine_command
from serve.bench.command import bench
from serve.bench.machine import instructions

ROWS = [
    "prepare", "training", "score 1 cold", "score 1 warm", "score 4 cold", "score 4 warm", "top 10 of 200",
    "genrec --help", "genrec predict, first", "genrec predict, again", "genrec serve, ready",
]  # fmt: skip


def parsed(*arguments: str) -> argparse.Namespace:
    return fill(Parser(prog="genrec bench"), bench).parse_args(arguments)


@pytest.mark.slow
def test_one_table_says_what_a_machine_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    least = {"users": 25, "steps": 10, "candidates": (1, 4), "rounds": 2, "lists": 1}
    monkeypatch.setattr(machine_command, "QUICK", least)
    base = str(save_tiny_model(tmp_path / "base", head_dim=32))
    out = tmp_path / "speed.json"
    bench.run(parsed("--quick", "--model", base, "--dtype", "float32", "--out", str(out)))
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["rows"]] == ROWS
    for row in report["rows"]:
        assert row["value"] > 0
        assert row["seconds"] > 0
        limited = row["name"].startswith(("training", "score"))
        assert (row["share"] is not None) == limited
        assert not limited or 0 < row["share"] < 1
    assert report["matmul_gflops"] > 0
    assert {"machine", "instructions", "date", "commit", "command", "versions"} <= report.keys()
    shown = capsys.readouterr().out
    assert all(name in shown for name in ROWS)
    assert report["machine"] in shown


def test_a_model_that_is_not_there_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(UserError):
        bench.run(parsed("--quick", "--model", "/nowhere/at/all"))


@pytest.mark.parametrize(
    ("cpuinfo", "kind"),
    [
        ("flags : fma avx2 f16c", "AVX2"),
        ("flags : avx2 avx512f avx512_bf16", "AVX-512 with bfloat16"),
        ("flags : avx2 avx512f avx512_bf16 amx_bf16 amx_tile", "AMX with bfloat16"),
        ("Features : fp asimd", ""),
    ],
)
def test_a_processor_is_named_by_its_widest_arithmetic(cpuinfo: str, kind: str) -> None:
    assert instructions(cpuinfo) == kind
