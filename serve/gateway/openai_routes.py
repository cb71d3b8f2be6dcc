"""OpenAI's routes: the engine's own server answers them; only the routes and fields listed here reach it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import httpx2
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from serve.child.gone import unless_gone
from serve.child.remote import EngineUnavailable
from serve.gateway.admission import Admission
from serve.gateway.guard import problem
from serve.gateway.link import Link

ANY = {
    "model", "max_tokens", "temperature", "top_p", "n", "stop", "stream", "stream_options", "seed", "presence_penalty",
    "frequency_penalty", "logit_bias", "user",
}  # fmt: skip
FIELDS: Mapping[str, set[str]] = {
    "/v1/chat/completions": ANY | {"messages", "logprobs", "top_logprobs", "max_completion_tokens",
                                   "response_format"},
    "/v1/completions": ANY | {"prompt", "logprobs", "echo", "best_of", "suffix"},
    "/v1/embeddings": {"model", "input", "encoding_format", "dimensions", "user"},
}  # fmt: skip
DEFAULT_TOKENS = 256  # counted for a request that does not say how many it wants


def routes(link: Callable[[], Link], admission: Admission, control: Sequence[str]) -> APIRouter:
    """link: the engine that is ready, or raises EngineUnavailable. control: the tokenizer's control tokens."""
    router = APIRouter(tags=["OpenAI"])

    @router.get("/v1/models", summary="The model that is served")
    async def models() -> Response:
        try:
            reply = await link().client.get("/v1/models")
        except httpx2.TransportError as error:
            raise EngineUnavailable("the engine went away") from error
        return Response(reply.content, reply.status_code, media_type="application/json")

    async def proxied(request: Request) -> Response:
        path = request.url.path
        asked = await request.json()
        if not isinstance(asked, dict):
            return problem(400, "The body is not a JSON object", "invalid_request_error")
        if odd := sorted(set(asked) - FIELDS[path]):
            what = f"Unknown field {odd[0]!r}; {path} takes {', '.join(sorted(FIELDS[path]))}"
            return problem(400, what, "invalid_request_error", param=odd[0])
        body = inert(asked, control)
        if path != "/v1/embeddings":
            body["cache_salt"] = request.state.key.salt
        wanted = asked.get("max_tokens") or asked.get("max_completion_tokens") or DEFAULT_TOKENS
        tokens = len(json.dumps(asked)) // 3 + (wanted if isinstance(wanted, int) else DEFAULT_TOKENS)
        if body.get("stream"):
            return await streamed(link(), path, body, admission, tokens)
        async with admission.admitted(tokens):
            engine = link()
            status, content = await unless_gone(request, lambda: engine.post(path, json.dumps(body).encode()))
            return Response(content, status, media_type="application/json")

    for path in FIELDS:
        router.add_api_route(
            path, proxied, methods=["POST"], summary=f"As OpenAI's {path}", openapi_extra=_body(path)
        )
    return router


async def streamed(
    link: Link, path: str, body: dict[str, Any], admission: Admission, tokens: int
) -> Response:
    """Passes the engine's events on as they come. Admission holds until the last one."""
    admitted = admission.admitted(tokens)
    await admitted.__aenter__()
    link.in_flight += 1
    try:
        request = link.client.build_request("POST", path, json=body)
        reply = await link.client.send(request, stream=True)
    except BaseException as error:
        link.in_flight -= 1
        await admitted.__aexit__(type(error), error, None)
        if isinstance(error, httpx2.TransportError):
            raise EngineUnavailable("the engine went away") from error
        raise

    async def events() -> AsyncIterator[bytes]:
        try:
            async for part in reply.aiter_raw():
                yield part
        except httpx2.TransportError:
            gone = {
                "error": {
                    "message": "the engine went away",
                    "type": "server_error",
                    "param": None,
                    "code": None,
                }
            }
            yield f"data: {json.dumps(gone)}\n\n".encode()
        finally:
            link.in_flight -= 1
            await reply.aclose()
            await admitted.__aexit__(None, None, None)

    return StreamingResponse(events(), reply.status_code, media_type=reply.headers.get("content-type"))


def inert(value: Any, control: Sequence[str]) -> Any:
    """The same JSON with a word joiner inside every control token of its texts: a chat template's text is tokenized as
    a whole, and what a client writes must not close its message."""
    if isinstance(value, str):
        for token in control:
            value = value.replace(token, f"{token[0]}\u2060{token[1:]}")
        return value
    if isinstance(value, list):
        return [inert(v, control) for v in value]
    if isinstance(value, dict):
        return {k: inert(v, control) for k, v in value.items()}
    return value


def _body(path: str) -> dict[str, Any]:
    examples = {
        "/v1/chat/completions": {
            "model": "genrec",
            "messages": [{"role": "user", "content": "Name three films."}],
        },
        "/v1/completions": {"model": "genrec", "prompt": "Films like Fargo:", "max_tokens": 16},
        "/v1/embeddings": {"model": "genrec", "input": ["Fargo"]},
    }
    schema = {"type": "object", "required": ["model"], "example": examples[path]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
