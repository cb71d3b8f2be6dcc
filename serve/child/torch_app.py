"""The torch engine behind the same routes as vLLM's server, for machines without vLLM.

    python -m serve.child.torch_server --help

One thread computes, a request at a time, in the order they came; a request whose client has gone before its turn is
not computed.
"""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from genrec.errors import UserError
from serve.child import wire
from serve.child.gone import ClientGone, unless_gone
from serve.child.line import OneAtATime
from serve.engine import Engine


def app(engine: Engine) -> FastAPI:
    made, line = FastAPI(openapi_url=None), OneAtATime()
    made.state.line = line

    async def computed(request: Request, work: Callable[[], BaseModel]) -> Response:
        try:
            found = await unless_gone(request, lambda: line.run(work))
        except ClientGone:
            return Response(status_code=499)  # nobody reads it
        except (UserError, ValueError) as error:
            return Response(wire.Refusal.of(error).model_dump_json(), 400, media_type="application/json")
        return Response(found.model_dump_json(), media_type="application/json")

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
