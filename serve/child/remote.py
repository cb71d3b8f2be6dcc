"""An engine that runs elsewhere: the same protocol, asked over a socket."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from serve.child import wire
from serve.engine import Request

Post = Callable[[str, bytes], tuple[int, bytes]]  # path, JSON -> status, JSON


class EngineUnavailable(Exception):
    """The engine's process cannot be reached, went away, or failed."""


class RemoteEngine:
    """post: how to reach it; raises EngineUnavailable. salt: whose cached prefixes may be read, asked at each call.

    Safe to call from several threads where `post` is.
    """

    def __init__(self, post: Post, name: str, salt: Callable[[], str] = str) -> None:
        self._post, self._name, self._salt = post, name, salt

    @property
    def name(self) -> str:
        return self._name

    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        reply = wire.Scored.model_validate_json(
            self._ask(wire.SCORE, wire.Score.of(list(requests), self._salt()))
        )
        return [[np.array(row, np.float64) for row in request] for request in reply.logprobs]

    def generate(self, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]) -> list[int]:
        body = wire.Generate(prompt=list(prompt), max_tokens=max_tokens, stop=list(stop), salt=self._salt())
        return wire.Generated.model_validate_json(self._ask(wire.GENERATE, body)).ids

    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        reply = wire.Embedded.model_validate_json(
            self._ask(wire.EMBED, wire.Embed(prompts=[list(p) for p in prompts]))
        )
        return np.array(reply.embeddings, np.float32)

    def _ask(self, path: str, body: BaseModel) -> bytes:
        status, content = self._post(path, body.model_dump_json().encode())
        if status == 400:
            raise wire.Refusal.model_validate_json(content).again()
        if status != 200:
            raise EngineUnavailable(f"the engine answered {status}: {content[:200]!r}")
        return content


def over_socket(client: Any) -> Post:
    """client: an httpx2.Client whose transport is the socket."""
    import httpx2

    def post(path: str, body: bytes) -> tuple[int, bytes]:
        try:
            reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the engine cannot be reached: {error}") from error
        return reply.status_code, reply.content

    return post
