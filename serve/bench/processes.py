"""Starts the servers that are measured, on Unix sockets and on the loopback address, and ends them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from genrec.errors import UserError
from serve.gateway.supervisor import in_a_group

STARTS_WITHIN = 1_800  # seconds: vLLM's defaults compile the model the first time, for minutes
ENDS_WITHIN = 60.0
READ_SECONDS = 1_800.0
CACHE_TOKENS = 65_536  # for vLLM at its defaults, which would take nearly all of a CPU's memory
GROUPS: set[int] = (
    set()
)  # process groups of what was started and has not ended, as far as it has a group of its own
VLLM_DEFAULTS = "compiled, blocks of 128 tokens, one core left free; only the cache has a size of ours"


class GatewayAt(NamedTuple):
    """key: of one tenant. engine_socket: the same engine without the gateway."""

    url: str
    key: str
    engine_socket: Path


@contextmanager
def started(line: list[str], ready: Callable[[], bool], log: Path, **environment: str) -> Iterator[int]:
    """A server's process group, once it answers. log: where what it says goes. Raises UserError where it ends before
    that."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            line, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            preexec_fn=in_a_group,
        )  # fmt: skip
        GROUPS.add(process.pid)
        try:
            _wait(process, ready, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(ENDS_WITHIN)
            finally:
                with suppress(ProcessLookupError, PermissionError):  # its group: vLLM's engine is in it
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                GROUPS.discard(process.pid)


def kill_all() -> None:
    """Ends at once what was started, also what stands still."""
    for group in GROUPS:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _wait(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], log: Path) -> None:
    for _ in range(int(STARTS_WITHIN / 0.2)):
        if process.poll() is not None:
            break
        try:
            if ready():
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    said = log.read_text(errors="replace").strip().splitlines()[-5:]
    raise UserError("A server that is measured did not start", where="\n".join(said), cure="see what it says")


@contextmanager
def on_socket(line: list[str], place: Path, **environment: str) -> Iterator[tuple[httpx2.Client, int]]:
    """A server on a Unix socket: a client of it, and its process group."""
    with asking(place) as client:

        def ready() -> bool:
            return client.get("/health", timeout=5).status_code == 200

        with started(line, ready, place.with_suffix(".log"), **environment) as group:
            yield client, group


def asking(place: Path) -> httpx2.Client:
    transport = httpx2.HTTPTransport(uds=str(place))
    return httpx2.Client(
        transport=transport, base_url="http://engine", timeout=httpx2.Timeout(READ_SECONDS, connect=5)
    )


def child(folder: Path, dtype: str, place: Path) -> Any:
    """The gateway's own child: vLLM's server with the settings that score fastest."""
    from serve.child.process import command

    return on_socket(command("vllm", folder, dtype, place), place)


def vllm_defaults(folder: Path, dtype: str, place: Path, eager: bool) -> Any:
    """vLLM's server with nothing set but what the contestants share, and how much memory it takes."""
    from serve.vllm_engine import key_value_bytes, on_cuda

    line = [
        sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", "--model", str(folder),
        "--dtype", dtype, "--uds", str(place),
    ]  # fmt: skip
    if not on_cuda():
        line += ["--kv-cache-memory-bytes", str(CACHE_TOKENS * key_value_bytes(str(folder), dtype))]
    line += ["--enforce-eager"] if eager else []
    return on_socket(line, place, VLLM_PLUGINS="", VLLM_NO_USAGE_STATS="1",
                     VLLM_ENGINE_READY_TIMEOUT_S=str(STARTS_WITHIN))  # fmt: skip


@contextmanager
def gateway(
    adapter: Path, data: Path, engine: str, place: Path, *options: str, scopes: tuple[str, ...] = ("predict",)
) -> Iterator[GatewayAt]:
    """`genrec serve`, with a key of its own for these scopes. place: an empty private directory, where its engine's
    socket will lie too."""
    from serve.gateway.keys import add

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys, url = place / "keys.json", f"http://127.0.0.1:{port}"
    key = add(keys, "bench", scopes)
    line = [
        sys.executable, "-c", "import sys; from genrec.cli import main; sys.exit(main())", "serve",
        "--adapter", str(adapter), "--data", str(data), "--engine", engine, "--port", str(port), "--keys", str(keys),
        *options,
    ]  # fmt: skip

    def ready() -> bool:
        return httpx2.get(f"{url}/ready", timeout=5).status_code == 200

    with started(line, ready, place / "gateway.log", TMPDIR=str(place)):
        (engine_socket,) = place.glob("genrec-*/*.sock")
        yield GatewayAt(url, key, engine_socket)
