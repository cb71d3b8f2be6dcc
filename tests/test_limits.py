"""What one request may ask, to the one, and what it is admitted for: without an engine, so that whatever passes every
limit is answered with 503."""

import asyncio
import hashlib
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import starlette.requests
from fastapi import FastAPI

from serve.gateway import schemas
from serve.gateway.admission import REMEMBERED, Busy, Prefix
from serve.gateway.app import application
from serve.gateway.gateway import Gateway
from serve.gateway.keys import SCOPES, Key, Keys
from serve.gateway.limits import Limits

LIMITS = Limits()
CHAT = {"model": "genrec", "messages": [{"role": "user", "content": "?"}]}
TEXT = {"model": "genrec", "prompt": "a"}


class Nothing:
    """In the place of merged weights and of their supervisor: an engine that keeps what it was sent, or none."""

    link: Any = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.kind = folder, "none"


class Kept:
    """An engine that answers nothing; admitted: what was waited for when it was asked."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.asked: list[dict[str, Any]] = []
        self.admitted: list[int] = []

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(json.loads(body))
        self.admitted.append(self.gateway.admission.waiting)
        return 200, b"{}"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": []}')
    nothing: Any = Nothing(tmp_path)
    return Gateway(nothing, lambda _: nothing, lambda *_: nothing, "genrec", LIMITS)


@pytest.fixture
def app(gateway: Gateway) -> FastAPI:
    keys = Keys([Key("tests", hashlib.sha256(b"secret").hexdigest(), SCOPES)])
    return application(gateway, keys, Path("runs"))


def served(gateway: Gateway) -> Kept:
    """An engine that is ready, and a data set that has been read."""
    live: Any = gateway._live
    live.served = live.supervisor.link = kept = Kept(gateway)
    return kept


def post(app: FastAPI, path: str, body: dict[str, Any], key: str = "secret") -> httpx2.Response:
    async def ask() -> httpx2.Response:
        transport, headers = httpx2.ASGITransport(app), {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://genrec", headers=headers
        ) as client:
            return await client.post(path, json=body)

    return asyncio.run(ask())


HISTORY = [{"item": "1"}]
# A name, the most of it, and what asks for so much.
BOUNDS: dict[str, tuple[str, int, Any]] = {
    "items": ("/v1/predict", LIMITS.candidates, lambda n: {"items": ["1"] * n}),
    "characters of a question": ("/v1/predict", LIMITS.query_characters, lambda n: {"query": "?" * n}),
    "events told": ("/v1/predict", LIMITS.history, lambda n: {"history": HISTORY * n}),
    "k": ("/v1/recommend", LIMITS.top, lambda n: {"k": n}),
    "candidates": ("/v1/recommend", LIMITS.candidates, lambda n: {"candidates": n}),
    "events to explain by": ("/v1/explain", LIMITS.history, lambda n: {"item": "1", "history": HISTORY * n}),
    "documents": ("/v1/rerank", LIMITS.candidates, lambda n: {"query": "?", "documents": ["1"] * n}),
    "characters of a query": (
        "/v2/rerank", LIMITS.query_characters, lambda n: {"query": "?" * n, "documents": ["1"]},
    ),
    "tokens of a chat": ("/v1/chat/completions", LIMITS.written_tokens, lambda n: {**CHAT, "max_tokens": n}),
    "tokens of a chat, as it is said now": (
        "/v1/chat/completions", LIMITS.written_tokens, lambda n: {**CHAT, "max_completion_tokens": n},
    ),
    "tokens of a stream": (
        "/v1/completions", LIMITS.written_tokens, lambda n: {**TEXT, "max_tokens": n, "stream": True},
    ),
    "prompts of two choices": (
        "/v1/completions", LIMITS.written_tokens // 4, lambda n: {**TEXT, "prompt": ["a"] * n, "n": 2, "max_tokens": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDS)
def test_a_limit_holds_to_the_one(app: FastAPI, name: str) -> None:
    path, most, body = BOUNDS[name]
    assert post(app, path, body(most)).status_code == 503
    over = post(app, path, body(most + 1))
    assert over.status_code == 400
    assert f"{LIMITS.written_tokens if most == LIMITS.written_tokens // 4 else most:,} at most" in over.text


@pytest.mark.parametrize(
    ("path", "body", "each", "texts"),
    [
        ("/v1/chat/completions", CHAT, LIMITS.chat_tokens, 1),
        ("/v1/chat/completions", {**CHAT, "max_tokens": None, "n": 4}, LIMITS.chat_tokens, 4),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 9, "max_completion_tokens": 7}, 7, 1),
        ("/v1/completions", {**TEXT, "prompt": ["a", "b"], "n": 3}, LIMITS.text_tokens, 6),
        ("/v1/completions", {**TEXT, "max_tokens": 0, "echo": True}, 0, 1),
    ],
)
def test_no_more_is_written_than_was_admitted(
    gateway: Gateway, app: FastAPI, path: str, body: dict[str, Any], each: int, texts: int
) -> None:
    kept = served(gateway)
    assert post(app, path, body).status_code == 200
    assert kept.asked[0]["max_tokens"] == each
    prompt = len(json.dumps({k: v for k, v in body.items() if v is not None})) // 3
    assert kept.admitted == [prompt + texts * each]


HERS = Prefix.of("tests", [1, 2, 3])


async def read(gateway: Gateway, prefix: Prefix) -> None:
    async with gateway.admission.admitted(1, prefix):
        pass


def test_a_long_chat_drives_contexts_out_of_the_cache(gateway: Gateway, app: FastAPI) -> None:
    served(gateway)
    asyncio.run(read(gateway, HERS))
    post(app, "/v1/chat/completions", CHAT)
    assert gateway.admission.knows(HERS)
    post(app, "/v1/completions", {**TEXT, "prompt": "?" * 3 * REMEMBERED})
    assert not gateway.admission.knows(HERS)


def test_an_explanation_drives_contexts_out_of_the_cache(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a window of 40 lines and 500 tokens 40 are kept, each without a line."""
    served(gateway)
    request = starlette.requests.Request({"type": "http", "state": {"key": Key("tests", "", SCOPES)}}, hangs)

    async def hers(*_: object) -> tuple[Any, list[int]]:
        return SimpleNamespace(window=40), [7] * 500

    async def ask(leaves_out: bool) -> None:
        about = schemas.About(user="7", history=None)
        await gateway.answer_about(request, about, lambda _: 12, lambda who: None, leaves_out)

    monkeypatch.setattr(gateway, "_read", hers)
    asyncio.run(read(gateway, HERS))
    asyncio.run(ask(leaves_out=False))
    assert gateway.admission.knows(HERS)
    asyncio.run(ask(leaves_out=True))
    assert not gateway.admission.knows(HERS)


def test_a_burst_of_histories_is_refused_before_they_are_written(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is being written, as long as any; the next would pass the cap with it."""
    served(gateway)
    written = threading.Event()
    monkeypatch.setattr("serve.gateway.work.person", lambda *_: written.wait(60))
    request = starlette.requests.Request({"type": "http", "state": {"key": Key("tests", "", SCOPES)}}, hangs)
    event = schemas.HistoryEvent.model_validate({"item": "1"})
    about = schemas.About(user=None, history=[event] * 2_000)
    gateway.admission.cap = 30_000

    async def ask() -> None:
        await gateway.answer_about(request, about, lambda _: 12, lambda who: who)

    async def both() -> None:
        first = asyncio.create_task(ask())
        while not gateway.admission.waiting:
            await asyncio.sleep(0.01)
        with pytest.raises(Busy):
            await asyncio.wait_for(ask(), 30)
        written.set()
        with pytest.raises(AttributeError):  # nobody was read
            await first
        assert gateway.admission.waiting == 0

    asyncio.run(both())


async def hangs() -> dict[str, str]:
    """A client that stays."""
    await asyncio.Event().wait()
    return {}
