"""The gateway as an ASGI application."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genrec.errors import UserError
from serve.child.gone import ClientGone
from serve.child.remote import EngineUnavailable
from serve.gateway import schemas, work
from serve.gateway.admission import Busy
from serve.gateway.explain import explain as explained
from serve.gateway.gateway import Gateway
from serve.gateway.guard import Guard, problem
from serve.gateway.keys import Keys
from serve.gateway.openai_routes import routes
from serve.gateway.prices import (
    predict_tokens,
    question_tokens,
    recommend_tokens,
    rerank_tokens,
    title_tokens,
)
from serve.gateway.rerank import document_text
from serve.gateway.rerank import rerank as reranked
from serve.merged import successor


def application(gateway: Gateway, keys: Keys, runs: Path) -> FastAPI:
    """runs: a resolved folder; /admin/swap names what lies in it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(gateway.start())
        try:
            yield
        finally:
            starting.cancel()
            await gateway.stop()

    app = FastAPI(
        title="genrec", lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Recommendation by one language model: probabilities, lists, reasons; and OpenAI's routes.",
        responses={code: {"model": schemas.ProblemReply} for code in (400, 401, 403, 413, 429, 503, "4XX")},
    )  # fmt: skip
    limits = gateway.limits

    def bounded(what: str, count: int, most: int) -> None:
        if count > most:
            raise UserError(f"{count:,} {what}", where=what, cure=f"send {most:,} at most")

    def told(about: Any) -> None:
        if about.history is not None:
            bounded("history", len(about.history), limits.history)

    # ---- health -----------------------------------------------------------------------------------------

    @app.get("/health", tags=["health"], summary="Whether this process lives")
    async def health() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready", tags=["health"], summary="Whether requests would be answered")
    async def ready() -> Response:
        if gateway.ready:
            return JSONResponse({"status": "ready", "engine": gateway.kind})
        return problem(503, "not ready", "service_unavailable", headers={"Retry-After": "1"})

    # ---- recommendation ---------------------------------------------------------------------------------

    @app.post(
        "/v1/predict", tags=["recommendation"], summary="Every task's probability, of one user and some items"
    )
    async def predict(body: schemas.PredictBody, request: Request) -> schemas.PredictReply:
        bounded("items", len(body.items), limits.candidates)
        bounded("query", len(body.query or ""), limits.query_characters)
        told(body)
        return await gateway.answer_about(
            request,
            body,
            lambda served: predict_tokens(served, body),
            lambda who: work.predict(who, gateway.model, body),
        )

    @app.post(
        "/v1/recommend", tags=["recommendation"], summary="A list: retrieved, scored, combined, diverse"
    )
    async def recommend(body: schemas.RecommendBody, request: Request) -> schemas.RecommendReply:
        received = time.monotonic()
        bounded("k", body.k, limits.top)
        bounded("candidates", body.candidates, limits.candidates)
        told(body)
        return await gateway.answer_about(
            request,
            body,
            lambda served: recommend_tokens(served, body),
            lambda who: work.recommend(who, gateway.model, body, received),
        )

    @app.post(
        "/v1/explain", tags=["recommendation"], summary="Which history lines moved a probability, how much"
    )
    async def explain(body: schemas.ExplainBody, request: Request) -> schemas.ExplainReply:
        told(body)
        return await gateway.answer_about(
            request,
            body,
            lambda served: question_tokens(1) + title_tokens(served, [body.item]),
            lambda who: explained(who, gateway.model, body),
            leaves_out=True,
        )

    @app.post("/v1/rerank", tags=["recommendation"], summary="Cohere's rerank")
    @app.post("/v2/rerank", tags=["recommendation"], summary="Cohere's rerank, v2", operation_id="rerank_v2")
    async def rerank(body: schemas.RerankBody, request: Request) -> schemas.RerankReply:
        bounded("documents", len(body.documents), limits.candidates)
        bounded("query", len(body.query or ""), limits.query_characters)
        told(body)
        texts = [document_text(document, body.rank_fields) for document in body.documents]
        ranking = await gateway.answer(
            request,
            lambda served: rerank_tokens(served, body.query, texts),
            lambda served: reranked(served, body),
        )
        results = [
            schemas.Ranked(
                index=n, relevance_score=p, document={"text": texts[n]} if body.return_documents else None,
                item=ranking.documents[n].item_id if ranking.documents[n].known else None,
                read_as=ranking.documents[n].read_as, note=ranking.documents[n].note,
            )
            for n, p in ranking.order
        ]  # fmt: skip
        meta = schemas.RerankMeta(
            api_version={"version": request.url.path[2:3]}, billed_units={"search_units": 1},
            query_read_as=ranking.query_read_as, user=ranking.who.name, known=ranking.who.known,
            names=work.names_read(history=ranking.who.read),
        )  # fmt: skip
        return schemas.RerankReply(id=str(uuid.uuid4()), results=results, meta=meta)

    # ---- weights ----------------------------------------------------------------------------------------

    @app.post("/admin/swap", tags=["admin"], summary="Serve another adapter, trained on the same data set")
    async def swap(body: schemas.SwapBody) -> dict[str, str]:
        try:
            merged = await anyio.to_thread.run_sync(successor, body.adapter, runs, gateway.merged.card)
        except UserError as error:
            # It says where on the disk; a client wants to know where in the request.
            raise UserError(error.what, where="adapter", cure=error.cure) from error
        before = await gateway.swap(merged)
        return {"serving": str(merged.folder), "before": str(before)}

    # ---- errors -----------------------------------------------------------------------------------------

    @app.exception_handler(UserError)
    async def mistaken(request: Request, error: UserError) -> Response:
        return problem(400, f"{error.what}. {error.cure}" if error.cure else error.what, "invalid_request_error",
                       param=error.where or None)  # fmt: skip

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return problem(
            400, f"{where}: {first['msg']}" if where else first["msg"], "invalid_request_error", where or None
        )

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """No such route, or not with this method."""
        kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
        return problem(error.status_code, str(error.detail), kind, headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        """A bug of ours; its traceback is logged, and told to nobody."""
        return problem(500, "An error of the server's own; it is logged", "server_error")

    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> Response:
        return problem(429, str(error), "rate_limit_error", headers={"Retry-After": str(error.retry_after)})

    @app.exception_handler(EngineUnavailable)
    async def unavailable(request: Request, error: EngineUnavailable) -> Response:
        return problem(503, str(error), "service_unavailable", headers={"Retry-After": "1"})

    @app.exception_handler(ClientGone)
    async def gone(request: Request, error: ClientGone) -> Response:
        return Response(status_code=499)  # nobody reads it

    # Whatever takes over has the same base, and so its tokenizer.
    control = control_tokens(gateway.merged.folder)
    app.include_router(routes(gateway.link, gateway.admission, limits, control))
    app.add_middleware(Guard, keys=keys, limits=limits)
    return app


def control_tokens(folder: Path) -> list[str]:
    """Of the tokenizer in a model's folder."""
    import json

    facts = json.loads((folder / "tokenizer.json").read_text())
    return [token["content"] for token in facts["added_tokens"]]
