"""OpenAI's routes on the torch engine: what vLLM's server answers where vLLM is.

Chat and text completions (streams, stop words, log-probabilities, echo, several prompts and choices), embeddings,
models. A token is one turn in the engine's line, so that a long text does not hold scores up, and one that nobody waits
for any more ends with the token at hand.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from serve.child.likely import Likely, likely
from serve.child.line import OneAtATime
from serve.child.openai_embeddings import Embeddings
from serve.child.openai_schemas import Chat, CompletionBody, EmbeddingsBody, Named, Text, answered
from serve.torch_engine import TorchEngine

STANDARD_TOKENS = 16  # of a text completion that does not say, as OpenAI's
Step = TypeVar("Step")


@dataclass
class Writing:
    """One choice as it grows. ids, likely: of the tokens written, None where nothing was asked or nothing is known;
    text: what has been told of it."""

    ids: list[int] = field(default_factory=list)
    likely: list[Likely | None] = field(default_factory=list)
    text: str = ""
    finished: str | None = None


def routes(engine: TorchEngine, tokenizer: Any, name: str, line: OneAtATime) -> APIRouter:
    router, created, model = APIRouter(), int(time.time()), Named(name, tokenizer)
    server = OpenAI(engine, model, line)
    embeddings = Embeddings(model, lambda prompts: line.run(lambda: engine.embed(prompts)))

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        one = {"id": name, "object": "model", "created": created, "owned_by": "genrec"}
        return {"object": "list", "data": [one]}

    def tokenizer_is_loaded() -> None:
        """Awaited in a thread: a tokenizer that is loaded at its first use would hold every other request up."""
        len(tokenizer)

    needs_text = [Depends(tokenizer_is_loaded)]

    @router.post("/v1/completions", dependencies=needs_text)
    async def completions(body: dict[str, Any], request: Request) -> Response:
        return await answered(request, server.text, Text, body)

    @router.post("/v1/chat/completions", dependencies=needs_text)
    async def chat(body: dict[str, Any], request: Request) -> Response:
        return await answered(request, server.chat, Chat, body)

    @router.post("/v1/embeddings", dependencies=needs_text)
    async def embed(body: dict[str, Any], request: Request) -> Response:
        return await answered(request, embeddings.answer, EmbeddingsBody, body)

    return router


class OpenAI:
    def __init__(self, engine: TorchEngine, model: Named, line: OneAtATime) -> None:
        self.engine, self.model, self.line = engine, model, line

    @cached_property
    def _end(self) -> set[int]:
        """The token that ends a text, where there is one."""
        return {token for token in [self.model.tokenizer.eos_token_id] if token is not None}

    # ---- the two routes ---------------------------------------------------------------------------------

    async def text(self, body: Text) -> Response:
        self.model.check(body.model)
        prompts = self.model.prompts(body.prompt)
        most = STANDARD_TOKENS if body.max_tokens is None else body.max_tokens
        frame = _Frame("cmpl", "text_completion", self.model.name)
        if body.stream:
            if len(prompts) * body.n > 1 or body.echo:
                raise ValueError("stream: one prompt, one choice, and no echo")
            return self._streamed(frame, body, prompts[0], most, body.logprobs, self._text_delta)
        choices = []
        for k, prompt in enumerate(prompts):
            echoed = await self._echoed(prompt, body.logprobs) if body.echo else Writing()
            for n in range(body.n):
                done = await self._written(prompt, most, body, body.logprobs, n)
                whole = Writing(
                    echoed.ids + done.ids, echoed.likely + done.likely, echoed.text + done.text, done.finished
                )
                choice = {
                    "index": k * body.n + n,
                    "text": whole.text,
                    "finish_reason": done.finished,
                    "logprobs": None,
                }
                if body.logprobs is not None:
                    choice["logprobs"] = self._text_logprobs(whole)
                choices.append((choice, len(done.ids)))
        return self._reply(frame, choices, sum(map(len, prompts)))

    async def chat(self, body: Chat) -> Response:
        self.model.check(body.model)
        messages = [message.model_dump(exclude_none=True) for message in body.messages]
        rendered = self.model.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        prompt = self.model.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        most = next((m for m in (body.max_completion_tokens, body.max_tokens) if m is not None), 1 << 30)
        top = (body.top_logprobs or 0) if body.logprobs else None
        if body.stream:
            if body.n > 1:
                raise ValueError("stream: one choice")
            frame = _Frame("chatcmpl", "chat.completion.chunk", self.model.name)
            return self._streamed(frame, body, prompt, most, top, self._chat_delta)
        choices = []
        for n in range(body.n):
            done = await self._written(prompt, most, body, top, n)
            logprobs = None if top is None else {"content": self._chat_logprobs(done.ids, done.likely)}
            message = {"role": "assistant", "content": done.text}
            choice = {"index": n, "message": message, "finish_reason": done.finished, "logprobs": logprobs}
            choices.append((choice, len(done.ids)))
        return self._reply(_Frame("chatcmpl", "chat.completion", self.model.name), choices, len(prompt))

    # ---- writing ----------------------------------------------------------------------------------------

    async def _written(
        self, prompt: Sequence[int], most: int, body: CompletionBody, top: int | None, n: int
    ) -> Writing:
        done = Writing()
        async for _ in self._writing(done, prompt, most, body, top, n):
            pass
        return done

    async def _writing(
        self, done: Writing, prompt: Sequence[int], most: int, body: CompletionBody, top: int | None, n: int
    ) -> AsyncIterator[tuple[str, slice]]:
        """Grows `done`; yields each new stretch of text with the tokens it came from. top: how many of the most likely
        tokens are told beside each; None: no log-probabilities."""
        stops = [body.stop] if isinstance(body.stop, str) else list(body.stop or ())
        seed = (body.seed if body.seed is not None else uuid.uuid4().int >> 70) + n
        steps = self.engine.steps(prompt, most, body.temperature, body.top_p, seed)
        kept = ((token, None if top is None else likely(row, token, top)) for token, row in steps)
        told, held = 0, max((len(s) for s in stops), default=1) - 1
        async for token, known in self._turns(kept):
            if token in self._end:
                done.finished = "stop"
                break
            done.ids.append(token)
            done.likely.append(known)
            whole = self._text(done.ids)
            cut = min((at for s in stops if (at := whole.find(s)) >= 0), default=-1)
            if cut >= 0:
                done.finished = "stop"
                new, done.text = whole[len(done.text) : cut], whole[:cut]
                yield new, slice(told, len(done.ids))
                return
            safe = len(whole) - held
            if not whole.endswith("\ufffd") and safe > len(
                done.text
            ):  # half a character waits for its other half
                new, done.text = whole[len(done.text) : safe], whole[:safe]
                yield new, slice(told, len(done.ids))
                told = len(done.ids)
        done.finished = done.finished or "length"
        whole = self._text(done.ids)
        if len(whole) > len(done.text) or told < len(done.ids):
            new, done.text = whole[len(done.text) :], whole
            yield new, slice(told, len(done.ids))

    async def _echoed(self, prompt: Sequence[int], top: int | None) -> Writing:
        """The prompt as if it had been written; nothing is known of its first token."""
        echoed = Writing(list(prompt), [None], self._text(prompt))
        if top is None:
            echoed.likely *= len(prompt)
            return echoed
        following = iter(prompt[1:])
        kept = (
            [likely(row, token, top) for row, token in zip(rows, following, strict=False)]
            for rows in self.engine.read_through(prompt)
        )
        async for some in self._turns(kept):
            echoed.likely += some
        return echoed

    async def _turns(self, steps: Iterator[Step]) -> AsyncIterator[Step]:
        """Each step computed by the engine's thread, in a turn of its own."""
        while (step := await self.line.run(lambda: next(steps, None))) is not None:
            yield step

    # ---- shapes -----------------------------------------------------------------------------------------

    def _reply(
        self, frame: "_Frame", choices: Sequence[tuple[dict[str, Any], int]], prompt_tokens: int
    ) -> Response:
        whole = frame.around([choice for choice, _ in choices])
        return JSONResponse({**whole, "usage": _usage(prompt_tokens, sum(tokens for _, tokens in choices))})

    def _streamed(
        self,
        frame: "_Frame",
        body: CompletionBody,
        prompt: Sequence[int],
        most: int,
        top: int | None,
        delta: Callable[[str, Writing, slice, int | None], dict[str, Any]],
    ) -> Response:
        async def events() -> AsyncIterator[str]:
            done = Writing()
            with_usage = bool((body.stream_options or {}).get("include_usage"))
            chat = frame.kind.startswith("chat")
            if chat:
                yield frame.event(
                    [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
                )
            async for text, tokens in self._writing(done, prompt, most, body, top, 0):
                yield frame.event([{"index": 0, "finish_reason": None, **delta(text, done, tokens, top)}])
            last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            yield frame.event([{"index": 0, **last, "finish_reason": done.finished}])
            if with_usage:
                yield frame.event([], usage=_usage(len(prompt), len(done.ids)))
            yield "data: [DONE]\n\n"

        self.engine.check_length(len(prompt))
        return StreamingResponse(events(), media_type="text/event-stream")

    def _text_delta(self, text: str, done: Writing, tokens: slice, top: int | None) -> dict[str, Any]:
        part = Writing(done.ids[tokens], done.likely[tokens], text)
        return {"text": text, "logprobs": None if top is None else self._text_logprobs(part)}

    def _chat_delta(self, text: str, done: Writing, tokens: slice, top: int | None) -> dict[str, Any]:
        content = None if top is None else self._chat_logprobs(done.ids[tokens], done.likely[tokens])
        return {"delta": {"content": text}, "logprobs": None if content is None else {"content": content}}

    def _text_logprobs(self, done: Writing) -> dict[str, Any]:
        tokens = [self._text([i]) for i in done.ids]
        offsets = np.cumsum([0, *map(len, tokens)])[:-1].tolist()
        of = [known and known.logprob for known in done.likely]
        tops = [known and {self._text([i]): p for i, p in known.best} for known in done.likely]
        return {"tokens": tokens, "token_logprobs": of, "top_logprobs": tops, "text_offset": offsets}

    def _chat_logprobs(self, ids: Sequence[int], known: Sequence[Likely | None]) -> list[dict[str, Any]]:
        def one(token: int, logprob: float) -> dict[str, Any]:
            text = self._text([token])
            return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

        return [
            {**one(token, found.logprob), "top_logprobs": [one(*best) for best in found.best]}
            for token, found in zip(ids, known, strict=True)
            if found is not None
        ]

    # ---- tokens -----------------------------------------------------------------------------------------

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.model.tokenizer.decode(list(ids), skip_special_tokens=False))


@dataclass(frozen=True)
class _Frame:
    """What stands around the choices of one reply."""

    prefix: str
    kind: str
    model: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def around(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": f"{self.prefix}-{self.id}", "object": self.kind, "created": self.created, "model": self.model,
                "choices": choices}  # fmt: skip

    def event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**self.around(choices), **more})}\n\n"


def _usage(prompt: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
