"""What the routes share: the engine that is ready, the data set, and how a request is admitted and answered."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

import anyio
from fastapi import Request

from serve.child.gone import unless_gone
from serve.child.remote import EngineUnavailable, RemoteEngine
from serve.gateway import schemas, work
from serve.gateway.admission import Admission, Prefix
from serve.gateway.limits import Limits
from serve.gateway.link import Link, from_thread
from serve.gateway.supervisor import Supervisor
from serve.served import Served

SALT: ContextVar[str] = ContextVar("salt", default="")  # of a request's tenant; goes along into threads
THREADS = 16  # requests whose prompts are written and read at once
READERS = 4  # contexts that are written at once: apart, so that no refusal waits for what was admitted
Reply = TypeVar("Reply")


class Gateway:
    """open_served: reads the data set, around the engine it is given (some seconds)."""

    def __init__(
        self,
        supervisor: Supervisor,
        open_served: Callable[[RemoteEngine], Served],
        model: str,
        limits: Limits,
    ) -> None:
        self.supervisor, self.model, self.limits = supervisor, model, limits
        self.admission = Admission(limits.waiting_tokens)
        self._open = open_served
        self._served: Served | None = None
        self.draining = False
        self._threads, self._readers = anyio.CapacityLimiter(THREADS), anyio.CapacityLimiter(READERS)
        supervisor.on_start = self._engine_is_new

    async def start(self) -> None:
        self.supervisor.start()
        engine = RemoteEngine(lambda path, body: from_thread(self.link())(path, body), "remote", SALT.get)
        self._served = await anyio.to_thread.run_sync(self._open, engine)

    def _engine_is_new(self) -> None:
        """What is known of what the last one had cached, and of its weights, holds no longer."""
        self.admission.forget()
        if self._served is not None:
            self._served.catalog.vectors.forget()

    @property
    def ready(self) -> bool:
        return self._served is not None and self.supervisor.link is not None and not self.draining

    @property
    def served(self) -> Served:
        if self._served is None:
            raise EngineUnavailable("the data set is still being read")
        return self._served

    def link(self) -> Link:
        """Raises EngineUnavailable while no engine is ready."""
        if (link := self.supervisor.link) is None:
            raise EngineUnavailable("the engine is not ready")
        return link

    async def answer_about(
        self,
        request: Request,
        about: schemas.About,
        questions: int,
        function: Callable[[work.Person], Reply],
        leaves_out: bool = False,
    ) -> Reply:
        """function of the user whom a request asks about, as in `answer`. What the engine has to compute: her context,
        unless it has read it, and so many tokens of questions; where each line of hers is left out in turn, what
        follows that line each time."""
        served = self._open_for_work()
        self.admission.room(questions)  # else what follows is done for nothing
        who, ids = await self._read(request, served, about)
        context = Prefix.of(request.state.key.name, ids)
        fresh = 0 if self.admission.knows(context) else len(ids)
        again = who.window * (questions + len(ids) // 2) if leaves_out else 0
        read = [context]
        if leaves_out:  # each of these windows is kept whole, and nobody asks for it again
            read.append(Prefix.named((context.mark, "without a line"), who.window * len(ids)))
        return await self.answer(request, fresh + questions + again, lambda: function(who), *read)

    def _open_for_work(self) -> Served:
        """What answers. Raises EngineUnavailable where nothing can be answered now."""
        if self.draining:
            raise EngineUnavailable("shutting down")
        self.link()
        return self.served

    async def _read(
        self, request: Request, served: Served, about: schemas.About
    ) -> tuple[work.Person, list[int]]:
        """Of whom a request asks, and her context's ids. What has to be written for that is written in a thread, unless
        the client goes away before its turn."""

        def read() -> tuple[work.Person, list[int]]:
            who = work.person(served, about)
            return who, who.context.tolist()

        if about.history is None and about.user is not None and served.histories.written(about.user):
            return read()
        return await unless_gone(request, lambda: anyio.to_thread.run_sync(read, limiter=self._readers))

    async def answer(
        self, request: Request, tokens: int, function: Callable[[], Reply], *read: Prefix
    ) -> Reply:
        """function, in a thread, once its tokens are admitted; given up when the client goes away. read: as in
        Admission.admitted."""
        self._open_for_work()
        SALT.set(request.state.key.salt)
        async with self.admission.admitted(tokens, *read):
            return await unless_gone(
                request, lambda: anyio.to_thread.run_sync(function, limiter=self._threads)
            )
