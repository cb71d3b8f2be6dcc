"""Two kinds of work that must not stand in one batch take turns."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Any number of one kind at once, never two kinds; first come, first served, so that neither waits for ever.

    vLLM's V1 model runner needs it: in a step where one request names the tokens whose log-probabilities it wants, one
    that asks for the most likely tokens' gets none.
    """

    def __init__(self) -> None:
        self._kind: str | None = None
        self._busy = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, kind: str) -> AsyncIterator[None]:
        await self._enter(kind)
        try:
            yield
        finally:
            self._busy -= 1
            self._next()

    async def _enter(self, kind: str) -> None:
        if not self._waiting and (self._busy == 0 or self._kind == kind):
            self._kind, self._busy = kind, self._busy + 1
            return
        place: tuple[str, asyncio.Future[None]] = (kind, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            await place[1]
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            else:  # its turn had come
                self._busy -= 1
            self._next()
            raise

    def _next(self) -> None:
        """Let in those at the head of the line that may go together."""
        while self._waiting and (self._busy == 0 or self._waiting[0][0] == self._kind):
            kind, place = self._waiting.popleft()
            if not place.cancelled():
                self._kind, self._busy = kind, self._busy + 1
                place.set_result(None)
