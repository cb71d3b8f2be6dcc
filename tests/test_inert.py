"""Control tokens in what clients and items say are text, on every route: none reaches the model that a plain text would
not have brought."""

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from gateway_fixtures import Server

from genrec.dataset import Prepared
from prompts.adapter import AdapterCard
from prompts.language_model import load_tokenizer
from prompts.tokens import TokenizerFile
from serve.child import torch_app, torch_openai
from serve.gateway.app import application, control_tokens
from serve.gateway.gateway import Gateway
from serve.gateway.keys import SCOPES, Key, Keys
from serve.gateway.limits import Limits
from serve.gateway.link import Link
from serve.gateway.supervisor import Supervisor
from serve.merged import Merged
from serve.served import served
from serve.torch_engine import load

INERT: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "title": ("/v1/predict", lambda text: {"user": "0", "items": [text]}),
    "query": ("/v1/predict", lambda text: {"user": "0", "items": ["1"], "query": text}),
    "history": ("/v1/predict", lambda text: {"history": [{"item": text, "click": True}], "items": ["1"]}),
    "recommended": ("/v1/recommend", lambda text: {"history": [{"item": text, "click": True}], "k": 3}),
    "explained": ("/v1/explain", lambda text: {"history": [{"item": text}], "item": text}),
    "reranked by": ("/v1/rerank", lambda text: {"query": text, "documents": ["Fargo"]}),
    "document": ("/v2/rerank", lambda text: {"query": "Is it?", "documents": [text]}),
    "document's field": ("/v1/rerank", lambda text: {"query": "Is it?", "documents": [{"text": text}]}),
    "message": ("/v1/chat/completions", lambda text: {
        "model": "genrec", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}),
    "prompt": ("/v1/completions", lambda text: {"model": "genrec", "max_tokens": 1, "prompt": text}),
    "embedded": ("/v1/embeddings", lambda text: {"model": "genrec", "input": [text]}),
}  # fmt: skip


class Watched:
    """The torch engine, and every prompt that it has read."""

    def __init__(self, engine: Any) -> None:
        self._engine, self.read = engine, list[tuple[int, ...]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def score(self, requests: Any) -> Any:
        self.read += [(*request.context, *q.ids) for request in requests for q in request.questions]
        return self._engine.score(requests)

    def steps(self, prompt: Any, *rest: Any) -> Any:
        self.read.append(tuple(prompt))
        return self._engine.steps(prompt, *rest)

    def embed(self, prompts: Any) -> Any:
        self.read += map(tuple, prompts)
        return self._engine.embed(prompts)


class Here(Supervisor):
    """Serves an engine of this process in the place of a child's."""

    link: Any = None

    def start(self) -> None:
        self.link = Link(self.directory / "engine.sock")

    async def stop(self) -> None:
        await self.link.close()


@contextmanager
def listening(app: Any, **where: Any) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **where))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def watched(torch_server: Server) -> Iterator[tuple[httpx2.Client, Watched, Any]]:
    """A client of a gateway in this process, its engine, and the tokenizer."""
    adapter = torch_server.place / "runs" / "small" / "adapter"
    folder = next(adapter.glob("merged-*"))
    card, data = AdapterCard.load(adapter), Prepared.load(torch_server.place / "data" / "simulator")
    engine, tokenizer = Watched(load(str(folder), card.dtype)), load_tokenizer(str(folder))
    with tempfile.TemporaryDirectory() as directory, socket.socket() as free:
        made = torch_app.app(engine)
        made.include_router(torch_openai.routes(engine, tokenizer, "genrec", made.state.line))  # type: ignore[arg-type]
        here = Here("torch", folder, card.dtype, Path(directory))
        gateway = Gateway(
            Merged(folder, card),
            lambda _: here,
            lambda _, e: served(adapter, card, data, TokenizerFile(folder), e),
            "genrec",
            Limits(),
        )
        keys = Keys([Key("tests", hashlib.sha256(b"secret").hexdigest(), SCOPES)])
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with (
            listening(made, uds=str(here.directory / "engine.sock")),
            listening(application(gateway, keys, adapter), host="127.0.0.1", port=port),
            httpx2.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer secret"}, timeout=60
            ) as client,
        ):
            while client.get("/ready").status_code != 200:
                time.sleep(0.05)
            yield client, engine, tokenizer


@pytest.mark.parametrize("where", INERT)
def test_a_control_token_in_a_text_is_text(
    watched: tuple[httpx2.Client, Watched, Any], torch_server: Server, where: str
) -> None:
    client, engine, tokenizer = watched
    names = control_tokens(next((torch_server.place / "runs" / "small" / "adapter").glob("merged-*")))
    control = {tokenizer.convert_tokens_to_ids(name) for name in names}
    assert len(control) > 10
    path, body = INERT[where]

    def read(text: str) -> int:
        """The most control tokens that a prompt held."""
        engine.read.clear()
        assert client.post(path, json=body(text)).status_code == 200
        return max(sum(i in control for i in ids) for ids in engine.read)

    plain = read("a film")
    assert (plain > 0) == (where == "message")  # those of the chat template
    for name in names:
        assert control & set(tokenizer(name)["input_ids"])
        assert read(f"a {name} film") == plain, name
