"""A server as a user starts it: `genrec serve` in a process of its own, on a tiny model and a simulated shop."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from training_fixtures import save_tiny_model, tiny_shop

from finetune.recipe import Recipe
from finetune.run import train
from genrec.dataset import Prepared
from serve.gateway.keys import SCOPES, add

GENREC = [sys.executable, "-c", "import sys; from genrec.cli import main; sys.exit(main())"]
SERVE = [*GENREC, "serve"]


def below(pid: int) -> list[int]:
    """Process ids of its children, by the operating system."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in found.split()]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def place_with_an_adapter(root: Path, users: int = 60, spread: float = 0.02) -> Path:
    """data/simulator and runs/small/adapter, as a user has them."""
    tiny_shop(users=users, items=30, days=60, train=0.5).save(root / "data" / "simulator")
    base = str(save_tiny_model(root / "base", head_dim=32, spread=spread))
    recipe = Recipe(
        name="small", base=base, dtype="float32", history_tokens=160,
        rows_per_step=2, steps=3, evaluate_every=3, valid_windows=2, warmup_steps=0, learning_rate=1e-2,
    )  # fmt: skip
    train(Prepared.load(root / "data" / "simulator"), recipe, root / "runs" / "small")
    return root


@dataclass
class Server:
    process: "subprocess.Popen[str]"
    url: str
    key: str
    place: Path

    def client(self, key: str | None = None, **options: object) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, **{"timeout": 120, **options})  # type: ignore[arg-type]

    def children(self) -> list[int]:
        """Process ids of the engine, by the operating system."""
        return below(self.process.pid)

    def wait_until_ready(self, seconds: float = 180) -> None:
        for _ in range(int(seconds / 0.1)):
            assert self.process.poll() is None, "the server ended"
            try:
                if httpx2.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError("not ready in time")


@contextmanager
def running(place: Path, engine: str, *options: str) -> Iterator[Server]:
    with starting(place, engine, *options) as server:
        server.wait_until_ready()
        yield server


@contextmanager
def starting(place: Path, engine: str, *options: str) -> Iterator[Server]:
    port = free_port()
    keys = place / f"keys-{port}.json"
    key = add(keys, "tests", SCOPES)
    process = subprocess.Popen(
        [*SERVE, "--engine", engine, "--port", str(port), "--keys", str(keys), *options],
        cwd=place, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield Server(process, f"http://127.0.0.1:{port}", key, place)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)
