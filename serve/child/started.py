"""An engine's process for as long as it is needed: for a command or a test that asks it without a gateway."""

import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from serve.child.process import command
from serve.child.remote import EngineUnavailable
from serve.child.wire import HEALTH

if TYPE_CHECKING:
    import httpx2

STARTS_WITHIN = 300.0  # seconds
ENDS_WITHIN = 60.0


@contextmanager
def started(kind: str, folder: Path, dtype: str, answers_within: float = 600.0) -> Iterator["httpx2.Client"]:
    """A client of a new process's socket, once it answers; the process ends with the block.

    kind: "torch" or "vllm". folder: a model that transformers saved, tokenizer included. answers_within: seconds that
    a request may take. Raises EngineUnavailable where the process ends, or takes too long, before it answers.
    """
    import httpx2

    with TemporaryDirectory(prefix="genrec-") as place:  # short: a socket's path has 107 bytes at most
        socket = Path(place, "engine.sock")
        process = subprocess.Popen(command(kind, folder, dtype, socket), stdin=subprocess.DEVNULL)
        transport = httpx2.HTTPTransport(uds=str(socket))
        try:
            with httpx2.Client(
                transport=transport, base_url="http://engine", timeout=answers_within
            ) as client:
                _wait_until_ready(client, process)
                yield client
        finally:
            if process.poll() is None:
                _end(process)


def _wait_until_ready(client: "httpx2.Client", process: "subprocess.Popen[bytes]") -> None:
    import httpx2

    for _ in range(int(STARTS_WITHIN / 0.1)):
        if process.poll() is not None:
            raise EngineUnavailable(f"the engine ended before it was ready: status {process.returncode}")
        try:
            if client.get(HEALTH).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise EngineUnavailable(f"the engine was not ready after {STARTS_WITHIN:.0f} s")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
    if (status := process.wait()) not in (0, -signal.SIGTERM):
        warnings.warn(f"the engine did not end as it was told: status {status}", stacklevel=1)
