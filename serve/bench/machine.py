"""What this machine does in a second: matrix products, training, scoring, a list, `prepare`, and how soon it starts.

Everything is asked of the commands and functions that users call, on the built-in model and a simulated shop. Nothing
is left behind.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from genrec.errors import UserError
from genrec.progress import Progress
from prompts.adapter import AdapterCard
from serve.bench import limit
from serve.bench.workload import CANDIDATE_TOKENS, Cell, Workload

GENREC = [sys.executable, "-c", "import sys; from genrec.cli import main; sys.exit(main())"]
CONTEXT = 500  # tokens in front of the candidates
LISTED = 10
# As in recipe full-cpu, but for the length: one window a step, and hardly an evaluation.
RECIPE = {
    "history_tokens": 512, "learning_rate": 1.0e-3, "warmup_steps": 2, "lessons": 0.2, "lean_for": 1.0,
    "lean_to": 0.5, "reread": True, "rows_per_step": 1, "windows": 60, "valid_windows": 1, "save_every": 1_000,
    "evaluate_every": 1_000,
}  # fmt: skip
LOGGED = 5  # steps, behind which the trainer writes tokens and seconds down
# Flags in /proc/cpuinfo, the best first.
INSTRUCTIONS = {
    "amx_bf16": "AMX with bfloat16", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2",
}  # fmt: skip


@dataclass(frozen=True)
class MachinePlan:
    """What to measure, and how long."""

    # A folder that transformers saved, with its tokenizer.
    model: Path
    # "float32" or "bfloat16"; one that can be computed here.
    dtype: str
    # Of the simulated shop, whose log is prepared and trained on.
    users: int
    # Of training; those before the first LOGGED ones are not counted.
    steps: int
    # Numbers of candidates that are scored in one request.
    candidates: tuple[int, ...]
    # How often each request is scored, each time behind a context of its own; the median counts.
    rounds: int
    # Users who get a list.
    lists: int


class BenchRow(NamedTuple):
    """One row of the table. share: of what the matrix products alone would allow; None where that says nothing."""

    name: str
    value: float
    unit: str
    share: float | None
    # How long it took, and the processor's time in it (of all its threads): seconds.
    seconds: float
    cpu_seconds: float


class Elapsed(NamedTuple):
    seconds: float
    cpu_seconds: float


def instructions(cpuinfo: str) -> str:
    """The widest arithmetic of a processor, from the text of /proc/cpuinfo; "" where nothing known is named."""
    flags = set(cpuinfo.split())
    return next((words for flag, words in INSTRUCTIONS.items() if flag in flags), "")


def processor_kind() -> str:
    try:
        return instructions(Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        return ""


def measured(plan: MachinePlan, place: Path) -> tuple[list[BenchRow], float]:
    """The rows, and the rate of matrix products in operations a second. place: an empty folder."""
    steps: list[Callable[[Bench], Iterator[BenchRow]]] = [
        Bench.prepare, Bench.train, Bench.score, Bench.list_items, Bench.starts,
    ]  # fmt: skip
    bench = Bench(plan, place)
    rows: list[BenchRow] = []
    with Progress("bench", total=len(steps), unit="part") as shown:
        for step in steps:
            shown.describe(step.__name__.replace("_", " "))
            bench.look()
            rows += step(bench)
            shown.advance()
    bench.look()
    return bench.rated(rows), bench.flops


class Bench:
    """The parts in their order; each needs what those before it wrote."""

    def __init__(self, plan: MachinePlan, place: Path) -> None:
        self.plan, self.place = plan, place
        self.flops = 0.0  # the most seen, of several looks
        self.adapter = place / "run" / "adapter"
        self.data = place / "shop"
        _, self.body = limit.parameters(plan.model)
        self._needed: dict[str, float] = {}  # by row, the operations that its second of work has

    def look(self) -> None:
        self.flops = max(self.flops, limit.flops_a_second(self.plan.dtype))

    def rated(self, rows: list[BenchRow]) -> list[BenchRow]:
        """The rows with their share of the limit."""
        needed = self._needed
        return [
            row._replace(share=needed[row.name] / self.flops) if row.name in needed else row for row in rows
        ]

    def prepare(self) -> Iterator[BenchRow]:
        import pyarrow.parquet as pq

        size = [f"users={self.plan.users}", "days=30", "items=200"]
        options = [word for setting in size for word in ("--set", setting)]
        took = self._run("data", "prepare", "simulator", *options, "--out", str(self.data))
        events = sum(pq.read_metadata(file).num_rows for file in self.data.rglob("events.parquet"))
        yield BenchRow("prepare", events / took.seconds, "events/s", None, *took)

    def train(self) -> Iterator[BenchRow]:
        recipe = self.place / "bench.yaml"
        depth = self._depth()
        here = {
            "base": str(self.plan.model),
            "dtype": self.plan.dtype,
            "lora": {"last_layers": depth // 2},
        }
        recipe.write_text(yaml.safe_dump({**RECIPE, **here}))
        took = self._run("train", str(self.data), "--recipe", str(recipe), "--steps", str(self.plan.steps),
                         "--out", str(self.place / "run"))  # fmt: skip
        log = [entry for entry in AdapterCard.load(self.adapter).training["log"] if "loss" in entry]
        first, last = log[0], log[-1]
        rate = (last["num_tokens"] - first["num_tokens"]) / (last["seconds"] - first["seconds"])
        # Forward through all layers, backward through those that are trained.
        self._needed["training"] = rate * 2 * self.body * (1 + depth // 2 / depth)
        yield BenchRow("training", rate, "tokens/s", None, *took)

    def score(self) -> Iterator[BenchRow]:
        from serve.torch_engine import load

        engine = load(str(self.plan.model), self.plan.dtype)
        work = Workload(engine.backbone.head.shape[0], seed=0)
        for count in self.plan.candidates:
            times: dict[str, list[Elapsed]] = {"cold": [], "warm": []}
            for number in range(self.plan.rounds):
                for kind, request in zip(times, work.pair(Cell(count, CONTEXT), number), strict=True):
                    times[kind].append(timed(lambda request=request: engine.score([request])))  # type: ignore[misc]
            for kind, of_kind in times.items():
                took = Elapsed(*np.median(np.array(of_kind), axis=0).tolist())
                name = f"score {count:,} {kind}"
                tokens = CANDIDATE_TOKENS * count + (CONTEXT if kind == "cold" else 0)
                self._needed[name] = 2 * self.body * tokens / took.seconds
                yield BenchRow(name, count / took.seconds, "candidates/s", None, *took)

    def list_items(self) -> Iterator[BenchRow]:
        from genrec.dataset import Prepared
        from serve.adapters import open_adapter

        served = open_adapter(self.adapter, Prepared.load(self.data), engine="torch")
        users = sorted(served.layout.users, key=served.point, reverse=True)[: self.plan.lists]
        took = timed(lambda: [served.recommend(user, LISTED) for user in users])
        each = Elapsed(took.seconds / len(users), took.cpu_seconds / len(users))
        items = len(served.layout.items)
        yield BenchRow(f"top {LISTED} of {items}", 1 / each.seconds, "lists/s", None, *each)

    def starts(self) -> Iterator[BenchRow]:
        took = self._run("--help")
        yield BenchRow("genrec --help", took.seconds, "s", None, *took)
        adapter = ["--adapter", str(self.adapter), "--data", str(self.data)]
        user, item = (_first(self.data / "tables" / f"{name}.parquet") for name in ("users", "items"))
        for number in ("first", "again"):  # the first one may merge the adapter
            took = self._run("predict", *adapter, "--user", user, "--item", item, "--engine", "torch")
            yield BenchRow(f"genrec predict, {number}", took.seconds, "s", None, *took)
        took = self._serve()
        yield BenchRow("genrec serve, ready", took.seconds, "s", None, *took)

    def _serve(self) -> Elapsed:
        from serve.bench.processes import gateway

        private = self.place / "gateway"
        private.mkdir()
        started, before = time.perf_counter(), _children()
        with gateway(self.adapter, self.data, "torch", private):
            seconds = time.perf_counter() - started
        return Elapsed(seconds, _children() - before)

    def _run(self, *arguments: str) -> Elapsed:
        """A command of ours. Raises UserError where it fails, with what it said."""
        started, before = time.perf_counter(), _children()
        done = subprocess.run([*GENREC, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise UserError(f"`genrec {arguments[0]}` failed: {said}", cure="run it by itself")
        return Elapsed(seconds, _children() - before)

    def _depth(self) -> int:
        import json

        return int(json.loads((self.plan.model / "config.json").read_text())["num_hidden_layers"])


def _first(file: Path) -> str:
    """The id in a table's first row."""
    import pyarrow.parquet as pq

    return str(pq.read_table(file).column(0)[0].as_py())


def timed(work: Callable[[], Any]) -> Elapsed:
    """One call in this process."""
    started, before = time.perf_counter(), time.process_time()
    work()
    return Elapsed(time.perf_counter() - started, time.process_time() - before)


def _children() -> float:
    """Processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def load_average() -> float:
    return round(os.getloadavg()[0], 1)
