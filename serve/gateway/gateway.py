"""What the routes share: the engine that is ready, the data set, and how a request is admitted and answered."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from fastapi import Request

from serve.child.gone import unless_gone
from serve.child.remote import EngineUnavailable, RemoteEngine
from serve.gateway import schemas, work
from serve.gateway.admission import Admission, Prefix
from serve.gateway.limits import Limits
from serve.gateway.link import Link
from serve.gateway.live import SALT, Live
from serve.gateway.prices import context_tokens
from serve.gateway.supervisor import Supervisor
from serve.merged import Merged
from serve.served import Served

THREADS = 16  # requests whose prompts are written and read at once
READERS = 4  # contexts that are written at once: apart, so that no refusal waits for what was admitted
Reply = TypeVar("Reply")


class Gateway:
    """first: what is served to begin with. supervise: makes an engine's supervisor. open_served: opens an adapter on
    the data set, around the engine it is given (some seconds). on_failure is called where that fails at the start;
    `failure` then says why."""

    def __init__(
        self,
        first: Merged,
        supervise: Callable[[Merged], Supervisor],
        open_served: Callable[[Merged, RemoteEngine], Served],
        model: str,
        limits: Limits,
    ) -> None:
        self._supervise, self._open, self.model, self.limits = supervise, open_served, model, limits
        self.admission = Admission(limits.waiting_tokens)
        self.draining = False
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._threads, self._readers = anyio.CapacityLimiter(THREADS), anyio.CapacityLimiter(READERS)
        self._live, self._swapping = self._made(first), asyncio.Lock()

    def _made(self, merged: Merged) -> Live:
        live = Live(merged, self._supervise(merged))
        live.supervisor.on_start = lambda: self._engine_is_new(live)
        return live

    async def start(self) -> None:
        self._live.supervisor.start()
        try:
            await anyio.to_thread.run_sync(self._live.open, self._open)
        except Exception as error:
            self.failure = error
            self.on_failure()

    async def stop(self) -> None:
        self.draining = True
        await self._live.supervisor.stop()

    async def swap(self, merged: Merged) -> Path:
        """Other weights take over, with all that is said of them, when their engine is ready; what was asked before is
        answered by the old ones, which then end. Returns the folder of those.

        Raises UserError for an adapter that cannot be opened, EngineUnavailable where its engine does not start or the
        data set has not been read yet; then nothing has changed.
        """
        async with self._swapping:
            if self._live.served is None:
                raise EngineUnavailable("the data set is still being read")
            new = self._made(merged)
            await anyio.to_thread.run_sync(new.open, self._open)
            new.supervisor.start()
            try:
                if not await new.supervisor.came_up():
                    raise EngineUnavailable("the new engine did not start; the old one serves on")
            except BaseException:
                await new.end()
                raise
            old, self._live = self._live, new
            self.admission.forget()
            await old.end()
            return old.merged.folder

    def _engine_is_new(self, live: Live) -> None:
        """What the last one had cached is gone, and what it had embedded is embedded anew."""
        if live is self._live:
            self.admission.forget()
        if live.served is not None:
            live.served.catalog.vectors.forget()

    @property
    def ready(self) -> bool:
        return self._live.served is not None and self._live.supervisor.link is not None and not self.draining

    @property
    def kind(self) -> str:
        """Of engine."""
        return self._live.supervisor.kind

    @property
    def merged(self) -> Merged:
        """What is served now."""
        return self._live.merged

    def link(self) -> Link:
        """Raises EngineUnavailable while no engine is ready."""
        return self._live.link()

    @contextmanager
    def held(self) -> Iterator[Served]:
        """What answers now, and goes on to for the whole of a block. Raises EngineUnavailable where nothing can be
        answered now."""
        if self.draining:
            raise EngineUnavailable("shutting down")
        with self._live.held() as served:
            yield served

    async def answer_about(
        self,
        request: Request,
        about: schemas.About,
        price: Callable[[Served], int],
        function: Callable[[work.Person], Reply],
        leaves_out: bool = False,
    ) -> Reply:
        """function of the user whom a request asks about, as in `answer`. What the engine has to compute: her context,
        unless it has read it, and price's tokens of questions; where each line of hers is left out in turn, what
        follows that line each time."""
        with self.held() as served:
            questions = price(served)
            self.admission.room(questions)  # else what follows is done for nothing
            who, ids = await self._read(request, served, about, questions)
            context = Prefix.of(request.state.key.name, ids)
            fresh = 0 if self.admission.knows(context) else len(ids)
            again = who.window * (questions + len(ids) // 2) if leaves_out else 0
            read = [context]
            if leaves_out:  # each of these windows is kept whole, and nobody asks for it again
                read.append(Prefix.named((context.mark, "without a line"), who.window * len(ids)))
            return await self._work(request, fresh + questions + again, lambda: function(who), *read)

    async def _read(
        self, request: Request, served: Served, about: schemas.About, questions: int
    ) -> tuple[work.Person, list[int]]:
        """Of whom a request asks, and her context's ids. What has to be written for that counts as waiting work, with
        its questions, and is written in a thread, unless the client goes away before its turn."""

        def read() -> tuple[work.Person, list[int]]:
            who = work.person(served, about)
            return who, who.context.tolist()

        if about.history is None and about.user is not None and served.histories.written(about.user):
            return read()
        with self.admission.reserved(questions + context_tokens(about)):
            return await unless_gone(request, lambda: anyio.to_thread.run_sync(read, limiter=self._readers))

    async def answer(
        self, request: Request, price: Callable[[Served], int], function: Callable[[Served], Reply]
    ) -> Reply:
        """function of what answers now, in a thread, once price's tokens are admitted; given up when the client goes
        away."""
        with self.held() as served:
            return await self._work(request, price(served), lambda: function(served))

    async def _work(
        self, request: Request, tokens: int, function: Callable[[], Reply], *read: Prefix
    ) -> Reply:
        """read: as in Admission.admitted."""
        SALT.set(request.state.key.salt)
        async with self.admission.admitted(tokens, *read):
            return await unless_gone(
                request, lambda: anyio.to_thread.run_sync(function, limiter=self._threads)
            )
