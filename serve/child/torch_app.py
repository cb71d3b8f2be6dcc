"""The torch engine behind the same routes as vLLM's server, for machines without vLLM.

    python -m serve.child.torch_server --help

One thread computes, a request at a time, in the order they came; a request whose client has gone before its turn is
not computed.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from genrec.errors import UserError
from serve.child import wire
from serve.engine import Engine

Result = TypeVar("Result")


class OneAtATime:
    """The engine's only thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Waits its turn; work that is cancelled before it is not done."""
        future = asyncio.wrap_future(self._thread.submit(work))
        try:
            return await future
        finally:
            future.cancel()


def app(engine: Engine) -> FastAPI:
    made, line = FastAPI(openapi_url=None), OneAtATime()
    made.state.line = line

    async def computed(request: Request, work: Callable[[], BaseModel]) -> Response:
        answer, gone = asyncio.ensure_future(line.run(work)), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                return Response(status_code=499)  # nobody reads it
            return Response((await answer).model_dump_json(), media_type="application/json")
        except (UserError, ValueError) as error:
            return Response(wire.Refusal.of(error).model_dump_json(), 400, media_type="application/json")
        finally:
            gone.cancel()
            answer.cancel()

    @made.get(wire.HEALTH)
    async def health() -> Response:
        return Response()

    @made.post(wire.SCORE)
    async def score(body: wire.Score, request: Request) -> Response:
        def work() -> wire.Scored:
            return wire.Scored(logprobs=[[row.tolist() for row in r] for r in engine.score(body.asked())])

        return await computed(request, work)

    @made.post(wire.GENERATE)
    async def generate(body: wire.Generate, request: Request) -> Response:
        def work() -> wire.Generated:
            return wire.Generated(ids=engine.generate(body.prompt, body.max_tokens, body.stop))

        return await computed(request, work)

    @made.post(wire.EMBED)
    async def embed(body: wire.Embed, request: Request) -> Response:
        return await computed(request, lambda: wire.Embedded(embeddings=engine.embed(body.prompts).tolist()))

    return made


async def _gone(request: Request) -> None:
    """Returns when the client has closed its connection; the body has been read by then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
