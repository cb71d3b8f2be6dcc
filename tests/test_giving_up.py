"""A text that nobody waits for any more is not written to its end: over real sockets, to the engine and through the
gateway."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import anyio
import httpx2
import pytest
import starlette.requests
import uvicorn
from engine_contract import CONTEXT, QUESTIONS
from fastapi import FastAPI
from tiny import save_model, save_tokenizer

from prompts.language_model import load_tokenizer
from serve.child.gone import ClientGone
from serve.child.remote import RemoteEngine, over_socket
from serve.child.torch_app import app
from serve.child.torch_openai import routes
from serve.engine import Request
from serve.gateway import openai_routes, schemas
from serve.gateway.admission import Admission
from serve.gateway.gateway import READERS, Gateway
from serve.gateway.guard import Guard
from serve.gateway.keys import Keys, add
from serve.gateway.limits import Limits
from serve.gateway.link import Link
from serve.torch_engine import TorchEngine, load

MOST = 3_000  # tokens that the text would have
BODIES: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "w5 w6"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "w5 w6"}]},
}


class Counting(TorchEngine):
    written = 0

    def steps(self, *args: Any, **options: Any) -> Any:
        for step in super().steps(*args, **options):
            self.written += 1
            yield step


@contextmanager
def listening(application: FastAPI, place: Path) -> Iterator[None]:
    config = uvicorn.Config(application, uds=str(place), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(save_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=2 * MOST))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Counting:
    return Counting(load(str(folder), "float32").backbone)


@pytest.fixture(scope="module")
def sockets(engine: Counting, folder: Path) -> Iterator[dict[str, Path]]:
    with TemporaryDirectory(prefix="genrec-") as place, ExitStack() as stack:
        found = {"engine": Path(place, "engine.sock"), "gateway": Path(place, "gateway.sock")}
        tokenizer = load_tokenizer(str(folder))
        tokenizer.eos_token = None  # no text ends by itself
        child = app(engine)
        child.include_router(routes(engine, tokenizer, "genrec", child.state.line))
        stack.enter_context(listening(child, found["engine"]))
        link, keys = Link(found["engine"]), Path(place, "keys.json")
        Path(place, "secret").write_text(add(keys, "tests", ("openai",)))
        gateway = FastAPI()
        gateway.include_router(openai_routes.routes(lambda: link, Admission(1 << 20), Limits(), ()))
        gateway.add_middleware(Guard, keys=Keys.load(keys), limits=Limits())
        stack.enter_context(listening(gateway, found["gateway"]))
        yield found


def scores(at: Path, engine: Counting) -> int:
    """Tokens written by the time the engine's line has come to twenty requests, one after the other: a text that is
    still being written gets its turns between them."""
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(at)), base_url="http://engine") as client:
        remote = RemoteEngine(over_socket(client), "remote")
        for _ in range(20):
            remote.score([Request(CONTEXT, QUESTIONS)])
    return engine.written


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("where", ["engine", "gateway"])
def test_a_text_ends_when_its_client_goes_away(
    sockets: dict[str, Path], engine: Counting, where: str, path: str
) -> None:
    engine.written = 0
    asked = http.client.HTTPConnection("genrec")
    asked.sock = socket.socket(socket.AF_UNIX)
    asked.sock.connect(str(sockets[where]))
    key = (sockets[where].parent / "secret").read_text()
    asked.request(
        "POST", path, json.dumps({"model": "genrec", "max_tokens": MOST, "temperature": 0, **BODIES[path]}),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )  # fmt: skip
    while engine.written < 3:
        time.sleep(0.001)
    asked.close()
    before = engine.written
    while (now := scores(sockets["engine"], engine)) != before:
        before = now
    assert engine.written < MOST


def test_a_history_is_not_written_for_a_client_that_went_away_before_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some: Any = SimpleNamespace(link=object())
    gateway = Gateway(some, lambda _: some, lambda *_: some, "genrec", Limits())
    gateway._live.served = some
    monkeypatch.setattr("serve.gateway.work.person", lambda *_: pytest.fail("written"))

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def ask() -> None:
        for n in range(READERS):
            gateway._readers.acquire_on_behalf_of_nowait(n)
        request = starlette.requests.Request({"type": "http"}, receive)
        with anyio.fail_after(60), pytest.raises(ClientGone):
            await gateway.answer_about(
                request, schemas.About(user=None, history=[]), lambda _: 1, lambda who: who
            )

    anyio.run(ask)
