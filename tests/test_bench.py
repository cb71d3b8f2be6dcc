"""`genrec bench serve`: contestants answer the same, a gateway loses nothing, and the report says what was measured."""

import argparse
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway_fixtures import GENREC, place_with_an_adapter
from kinds import NEEDS_VLLM
from tiny import save_model, save_tokenizer

from genrec.command import Parser, fill
from genrec.errors import UserError
from serve.bench.clients import Sent, counted
from serve.bench.command import bench
from serve.bench.limit import candidates_a_second, parameters
from serve.bench.race import Answered, Turn, summary, turns
from serve.bench.run import drop_the_broken_round
from serve.bench.workload import Cell, Workload

FASTEST = "generative-scoring-best"


def run(*arguments: str) -> int | None:
    return bench.run(parsed("serve", *arguments))


def parsed(*arguments: str) -> argparse.Namespace:
    return fill(Parser(prog="genrec bench"), bench).parse_args(arguments)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(save_model(tmp_path_factory.mktemp("tiny"), head_dim=32))


# ---- the whole of it ----------------------------------------------------------------------------------------


def raced(tiny: Path, out: Path, contestants: str) -> dict[str, Any]:
    run("--model", str(tiny), "--dtype", "float32", "--candidates", "2,5", "--contexts", "40", "--rounds", "2",
        "--contestants", contestants, "--seed", "7", "--out", str(out))  # fmt: skip
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_a_race_on_a_tiny_model_says_what_it_measured(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = raced(tiny, tmp_path / "out.json", "torch")
    assert [(cell["candidates"], cell["context_tokens"]) for cell in report["cells"]] == [(2, 40), (5, 40)]
    for cell in report["cells"]:
        for kind in ("cold", "warm"):
            one = cell[kind]["contestants"]["torch"]
            rate = one["candidates_per_second"]
            assert 0 < rate["least"] <= rate["median"] <= rate["most"]
            assert len(rate["rounds"]) == 2
            assert one["share_of_limit"] > 0
    assert (report["seed"], report["dtype"]) == (7, "float32")
    assert {"command", "machine", "date", "versions", "load_average", "limit"} <= report.keys()
    shown = capsys.readouterr().out
    assert shown.count("torch") == 4
    assert report["machine"] in shown


@pytest.mark.slow
@NEEDS_VLLM
def test_every_contestant_answers_the_same_and_stands_beside_the_baseline(tiny: Path, tmp_path: Path) -> None:
    report = raced(tiny, tmp_path / "out.json", f"torch,vllm,{FASTEST}")
    assert report["log_odds_apart_at_most"] < 1e-3
    for cell in report["cells"]:
        times = cell["warm"]["contestants"]["vllm"]["times"]
        assert len(times[FASTEST]["rounds"]) == 2
        assert cell["warm"]["contestants"][FASTEST]["times"] == {}


@pytest.mark.slow
def test_a_gateway_is_asked_by_many_clients_and_loses_nothing(tmp_path: Path) -> None:
    place = place_with_an_adapter(tmp_path)
    out = tmp_path / "out.json"
    run("--adapter", str(place / "runs/small/adapter"), "--data", str(place / "data/simulator"), "--engine", "torch",
        "--contestants", "torch", "--candidates", "3", "--contexts", "20", "--rounds", "2", "--clients", "1,4",
        "--requests", "9", "--out", str(out))  # fmt: skip
    behind = json.loads(out.read_text())["gateway"]
    assert behind["log_odds_apart_at_most"] < 1e-3
    (cell,) = behind["cells"]
    assert set(cell["cold"]["contestants"]) == {"direct", "gateway"}
    assert behind["warm_predict"]["p50_ms"] > 0
    assert [row["clients"] for row in behind["clients"]] == [1, 4]
    burst = behind["burst"]
    assert burst["requests"] == burst["answered"] + burst["refused_429"]
    assert burst["answered"] >= burst["fit_at_once"] > 0
    assert 0 < burst["refused"]["p50_ms"] <= burst["refused"]["most_ms"]
    for row in behind["clients"]:
        assert row["replies"] == row["answered"] == row["requests"] == 9
        assert row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]


@pytest.mark.slow
@NEEDS_VLLM
def test_told_to_end_it_leaves_no_server_behind(tiny: Path, tmp_path: Path) -> None:
    mine = {"GENREC_BENCH_MARK": str(tmp_path)}  # inherited by all that it starts
    line = [*GENREC, "bench", "serve", "--model", str(tiny), "--dtype", "float32", "--candidates", "2",
            "--contexts", "40", "--rounds", "100", "--contestants", f"torch,{FASTEST}"]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(line, env=os.environ | mine, stdout=log, stderr=log)
    still = [pid for pid in with_mark(tmp_path) if stands_still(pid)]
    until = time.monotonic() + 300
    while not still:
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
        still = [pid for pid in with_mark(tmp_path) if stands_still(pid)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    until = time.monotonic() + 20  # what they started ends some milliseconds after them
    while with_mark(tmp_path):
        assert time.monotonic() < until, with_mark(tmp_path)
        time.sleep(0.1)


def with_mark(mark: Path) -> list[int]:
    found = []
    for pid in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(mark).encode() in (pid / "environ").read_bytes():
                found.append(int(pid.name))
    return found


def stands_still(pid: int) -> bool:
    with suppress(OSError):
        return "State:\tT" in Path(f"/proc/{pid}/status").read_text()
    return False


# ---- its parts, by hand -------------------------------------------------------------------------------------


def test_prompts_are_new_each_round_and_candidates_each_time() -> None:
    work, cell = Workload(128, seed=0), Cell(3, 20)
    (cold, warm), (next_cold, _) = work.pair(cell, 0), work.pair(cell, 1)
    assert cold.context == warm.context != next_cold.context
    assert len(cold.context) == 20
    assert not {q.ids for q in cold.questions} & {q.ids for q in warm.questions}
    assert all(2 <= n < 128 for n in (*cold.context, *cold.questions[0].ids))
    first, second = cold.questions[0].answers
    assert first != second
    assert Workload(128, seed=0).pair(cell, 1)[0] == next_cold
    assert Workload(128, seed=1).pair(cell, 1)[0] != next_cold


def test_all_are_cold_before_any_is_warm_and_another_begins_each_round() -> None:
    def ask(name: str, number: int, kind: str) -> Answered:
        return Answered(1.0, np.array([0.5]))

    order = [(turn.contestant, turn.kind) for n in (0, 1) for turn in turns(n, ["a", "b"], ask)]
    assert order == [("a", "cold"), ("b", "cold"), ("a", "warm"), ("b", "warm"),
                     ("b", "cold"), ("a", "cold"), ("b", "warm"), ("a", "warm")]  # fmt: skip


def test_ctrl_c_keeps_the_rounds_that_were_whole() -> None:
    a_round = list(turns(0, ["a", "b"], lambda *_: Answered(1.0, np.array([0.5]))))
    found = [[*a_round, *a_round[:3]], a_round[:2]]
    drop_the_broken_round(found, len(a_round))
    assert found == [a_round, []]
    with pytest.raises(KeyboardInterrupt):
        drop_the_broken_round([a_round[:3]], len(a_round))


def test_ratios_are_of_the_same_round() -> None:
    # The machine is four times as busy in the second round: rates fall, the ratio stays.
    seconds = [("a", 1.0), ("b", 2.0), ("b", 8.0), ("a", 4.0)]
    found = summary([Turn(name, "cold", Answered(s, np.array([0.5]))) for name, s in seconds], 8, ["b"])
    assert found["cold"]["a"]["candidates_per_second"] == {
        "median": 5.0, "least": 2.0, "most": 8.0, "rounds": [8.0, 2.0],
    }  # fmt: skip
    assert found["cold"]["a"]["times"]["b"]["rounds"] == [2.0, 2.0]


def test_what_is_refused_or_lost_is_not_counted_as_answered() -> None:
    sent = [
        Sent(200, 0.0, 1.0),
        Sent(200, 1.0, 4.0),
        Sent(429, 0.5, 0.6),
        Sent(0, 2.0, 2.5),
        Sent(503, 3, 3.1),
    ]
    found = counted(sent, 5)
    assert (found["requests"], found["replies"], found["answered"], found["refused_429"]) == (5, 4, 2, 1)
    assert found["other_statuses"] == {"503": 1}
    assert found["requests_per_second"] == 0.5
    assert found["p50_ms"] == 2000


def test_the_limit_counts_what_each_token_is_multiplied_with(tiny: Path) -> None:
    every, body = parameters(tiny)
    assert every - body == 128 * 64  # the embedding, which is the head too
    # 4 heads and 2 of keys and of values, of 32; three matrices of 64 x 128; norms of 64.
    layer = 64 * 32 * (4 + 2 + 2 + 4) + 3 * 64 * 128 + 2 * 64
    assert body == 2 * layer + 64
    assert candidates_a_second(2e9, 1_000_000, 10) == 100


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--candidates", "10,many"], "--candidates is 10,many"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--clients", "65"], "--clients is 65"),
        (["--contestants", "torch,sglang"], "No contestant 'sglang'"),
        (["--data", "data/shop"], "--data is of an adapter"),
        (["--contexts", "250"], "The model reads 256 tokens"),
    ],
)
def test_what_cannot_be_measured_is_said_first(tiny: Path, arguments: list[str], what: str) -> None:
    model = [] if "--data" in arguments else ["--model", str(tiny)]
    with pytest.raises(UserError, match=what):
        run(*model, *arguments)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parsed("serve", "--help")
    text = capsys.readouterr().out
    assert all(word in text for word in ("generative-scoring-best", "cold", "warm", "examples:"))
