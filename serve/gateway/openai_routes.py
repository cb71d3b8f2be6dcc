"""OpenAI's routes: the engine's own server answers them; only the fields of openai_bodies.py reach it."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from genrec.errors import UserError
from serve.child.gone import unless_gone
from serve.child.remote import EngineUnavailable
from serve.gateway.admission import Admission, Prefix
from serve.gateway.guard import problem
from serve.gateway.limits import Limits
from serve.gateway.link import FAILED, Link, unless_failed
from serve.gateway.openai_bodies import ChatBody, EmbeddedBody, TextBody, WrittenBody

PROMPTS = ("messages", "prompt", "suffix", "input")  # fields that the model reads

# As FastAPI describes a route's replies.
WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {"description": "As OpenAI's; events where `stream` is true",
          "content": {"application/json": {}, "text/event-stream": {}}},
}  # fmt: skip


def routes(
    link: Callable[[], Link], admission: Admission, limits: Limits, control: Sequence[str]
) -> APIRouter:
    """link: the engine that is ready, or raises EngineUnavailable. control: the tokenizer's control tokens."""
    router = APIRouter(tags=["OpenAI"])

    @router.get("/v1/models", summary="The model that is served")
    async def models() -> Response:
        try:
            reply = await link().client.get("/v1/models")
        except httpx2.TransportError as error:
            raise EngineUnavailable("the engine went away") from error
        unless_failed(reply.status_code, reply.content)
        return Response(reply.content, reply.status_code, media_type="application/json")

    async def proxied(request: Request, asked: WrittenBody | EmbeddedBody) -> Response:
        path = request.url.path
        fields = asked.model_dump(exclude_unset=True)
        body = {
            name: inert(value, control) if name in PROMPTS else value
            for name, value in fields.items()
            if value is not None
        }
        tokens = len(json.dumps(body)) // 3
        read = Prefix.named((request.state.key.name, [body.get(name) for name in PROMPTS]), tokens)
        if isinstance(asked, WrittenBody):
            each = asked.wanted(limits)
            if asked.texts * each > limits.written_tokens:
                raise UserError(
                    f"{asked.texts * each:,} tokens to write, all prompts and choices together",
                    where="max_tokens",
                    cure=f"ask for {limits.written_tokens:,} at most",
                )
            # Said to the engine in any case, so that what is written is what was admitted.
            body |= {"cache_salt": request.state.key.salt, "max_tokens": each}
            tokens += asked.texts * each
            if asked.stream:
                return await streamed(link(), path, body, admission.admitted(tokens, read))
        async with admission.admitted(tokens, read):
            engine = link()
            status, content = await unless_gone(request, lambda: engine.post(path, json.dumps(body).encode()))
        if status >= 400 and not _has_error(content):
            return problem(status, content.decode(errors="replace")[:200], "engine_error")
        return Response(content, status, media_type="application/json")

    @router.post("/v1/chat/completions", summary="As OpenAI's chat completions", responses=WRITTEN)
    async def chat(body: ChatBody, request: Request) -> Response:
        return await proxied(request, body)

    @router.post("/v1/completions", summary="As OpenAI's completions", responses=WRITTEN)
    async def text(body: TextBody, request: Request) -> Response:
        return await proxied(request, body)

    @router.post("/v1/embeddings", summary="As OpenAI's embeddings")
    async def embeddings(body: EmbeddedBody, request: Request) -> Response:
        return await proxied(request, body)

    return router


async def streamed(
    link: Link, path: str, body: dict[str, Any], admitted: AbstractAsyncContextManager[None]
) -> Response:
    """Passes the engine's events on as they come. Admission holds until the last one."""
    await admitted.__aenter__()
    link.in_flight += 1
    try:
        request = link.client.build_request("POST", path, json=body)
        reply = await link.client.send(request, stream=True)
        if reply.status_code in FAILED:
            unless_failed(reply.status_code, await reply.aread())
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


def _has_error(content: bytes) -> bool:
    """Whether an engine's refusal has OpenAI's shape already."""
    try:
        return isinstance(json.loads(content).get("error"), dict)
    except (ValueError, AttributeError):
        return False
