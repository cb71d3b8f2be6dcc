"""What answers: merged weights, the engine that runs them, and what knows their prompts and calibrations."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from serve.child.remote import EngineUnavailable, RemoteEngine
from serve.gateway.link import Link, from_thread
from serve.gateway.supervisor import Supervisor
from serve.merged import Merged
from serve.served import Served

SALT: ContextVar[str] = ContextVar("salt", default="")  # of a request's tenant; goes along into threads


class Live:
    """One adapter behind an engine of its own; served: None until it has been opened.

    A request is answered by one of these from its first step to its last, also while another takes over: no answer is
    made of one adapter's probabilities and another's calibrations, no search of two models.
    """

    def __init__(self, merged: Merged, supervisor: Supervisor) -> None:
        self.merged, self.supervisor = merged, supervisor
        self.served: Served | None = None
        self._requests = 0

    def open(self, open_served: Callable[[Merged, RemoteEngine], Served]) -> None:
        """Some seconds. Raises UserError for what cannot be opened."""
        supervisor = self.supervisor  # the engine holds no more than that

        def post(path: str, body: bytes) -> tuple[int, bytes]:
            return from_thread(_link(supervisor))(path, body)

        self.served = open_served(self.merged, RemoteEngine(post, "remote", SALT.get))

    def link(self) -> Link:
        """Raises EngineUnavailable while no engine is ready."""
        return _link(self.supervisor)

    @contextmanager
    def held(self) -> Iterator[Served]:
        """It goes on until the block has ended. Raises EngineUnavailable where nothing can be answered now."""
        self.link()
        if self.served is None:
            raise EngineUnavailable("the data set is still being read")
        self._requests += 1
        try:
            yield self.served
        finally:
            self._requests -= 1

    async def end(self) -> None:
        """When nothing is in flight any more."""
        try:
            while self._requests or ((link := self.supervisor.link) is not None and link.in_flight):
                await asyncio.sleep(0.05)
        finally:
            await self.supervisor.stop()
            self.served = None  # its memory is given back: no garbage collection looks for it


def _link(supervisor: Supervisor) -> Link:
    if (link := supervisor.link) is None:
        raise EngineUnavailable("the engine is not ready")
    return link
