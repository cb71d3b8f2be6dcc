"""Our routes in vLLM's own server: an endpoint plugin, loaded because VLLM_PLUGINS names it (vllm_server.py).

A request's questions become prompts of vLLM's engine (serve/fan_out.py), all in flight at once. When the client goes
away the task is cancelled, and with it what vLLM still computes for it. Embeddings are a second copy's
(second_copy.py): vLLM's own /v1/embeddings answers 404 here, and a plugin's route takes the place of one with its path.
"""

import asyncio
from argparse import Namespace
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request, Response
from vllm.entrypoints.serve.utils.api_utils import with_cancellation
from vllm.platforms import current_platform

from genrec.errors import UserError
from prompts.language_model import load_tokenizer
from serve.child.logprobs_asked import asks_logprobs
from serve.child.openai_embeddings import Embeddings
from serve.child.openai_schemas import EmbeddingsBody, Named
from serve.child.openai_schemas import answered as answered_as_openai
from serve.child.second_copy import SecondCopy
from serve.child.turns import Turns
from serve.child.wire import (
    EMBED,
    GENERATE,
    SCORE,
    Embed,
    Embedded,
    Generate,
    Generated,
    Refusal,
    Score,
    Scored,
)
from serve.engine import check_length
from serve.fan_out import Answers, SinglePrompt, prompts, waves
from serve.vllm_params import reading, without_stop, writing

router = APIRouter()


class Plugin:
    """What vLLM's registry asks for; see vllm.plugins.endpoint_plugins.interface."""

    name = "genrec"
    required_tasks = ("generate",)

    def attach_router(self, app: FastAPI) -> None:
        app.include_router(router)
        app.state.genrec_turns = Turns()
        if not current_platform.is_cuda():
            app.add_middleware(TakeTurns, turns=app.state.genrec_turns)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        state.genrec = Asking(engine_client, state.genrec_turns)
        state.genrec_copy = SecondCopy(args.model, args.dtype)
        model = Named(args.served_model_name[0], load_tokenizer(args.model))
        state.genrec_embeddings = Embeddings(model, state.genrec_copy.embed)


class Asking:
    """client: vLLM's engine."""

    def __init__(self, client: Any, turns: Turns) -> None:
        self._client, self._turns = client, turns
        self._limit = int(client.model_config.max_model_len)

    async def score(self, body: Score) -> Scored:
        requests = body.asked()
        found = Answers(requests)
        # vLLM writes a token behind each prompt, for which there must be room.
        asked = prompts(requests, self._limit - 1)
        async with self._turns.turn("score"):
            for wave in waves(requests, asked):
                await gathered([self._read(prompt, body.salt, found) for prompt in wave])
        return Scored(logprobs=[[row.tolist() for row in request] for request in found.all()])

    async def generate(self, body: Generate) -> Generated:
        check_length(len(body.prompt), self._limit - 1)
        most = min(body.max_tokens, self._limit - len(body.prompt))
        if most == 0:
            return Generated(ids=[])
        output = await self._last(body.prompt, writing(most, body.stop), body.salt)
        return Generated(ids=without_stop(output.token_ids, body.stop))

    async def _read(self, prompt: SinglePrompt, salt: str, found: Answers) -> None:
        output = await self._last(list(prompt.ids), reading(prompt.tokens), salt)
        found.put(prompt, lambda token: float(output.logprobs[0][token].logprob))

    async def _last(self, ids: list[int], params: Any, salt: str) -> Any:
        prompt: Any = {"prompt_token_ids": ids} | ({"cache_salt": salt} if salt else {})
        outputs = self._client.generate(prompt, params, f"genrec-{uuid4().hex}")
        return [output async for output in outputs][-1].outputs[0]


async def gathered(work: list[Any]) -> None:
    """All of it; the rest is cancelled where one fails, or where the caller is cancelled. The first failure is raised
    bare: vLLM's server answers its own errors, and ends where its engine is dead."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


class TakeTurns:
    """Holds a request that asks vLLM for the most likely tokens back while scores are computed, and the reverse."""

    def __init__(self, app: Any, turns: Turns) -> None:
        self.app, self.turns = app, turns

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(m.get("body", b"") for m in messages)

        async def again() -> Any:
            return messages.pop(0) if messages else await receive()

        async with AsyncExitStack() as stack:
            if asks_logprobs(body):
                await stack.enter_async_context(self.turns.turn("logprobs"))
            await self.app(scope, again, send)


@router.post(SCORE)
@with_cancellation
async def score(body: Score, raw_request: Request) -> Response:
    return await answered(raw_request.app.state.genrec.score(body))


@router.post(GENERATE)
@with_cancellation
async def generate(body: Generate, raw_request: Request) -> Response:
    return await answered(raw_request.app.state.genrec.generate(body))


@router.post(EMBED)
@with_cancellation
async def embed(body: Embed, raw_request: Request) -> Response:
    async def work() -> Embedded:
        return Embedded(embeddings=(await raw_request.app.state.genrec_copy.embed(body.prompts)).tolist())

    return await answered(work())


@router.post("/v1/embeddings")
async def embeddings(body: dict[str, Any], request: Request) -> Response:
    return await answered_as_openai(request, request.app.state.genrec_embeddings.answer, EmbeddingsBody, body)


async def answered(work: Any) -> Response:
    """Its JSON, or why it was refused."""
    try:
        return Response((await work).model_dump_json(), media_type="application/json")
    except (UserError, ValueError) as error:
        return Response(Refusal.of(error).model_dump_json(), status_code=400, media_type="application/json")
