"""Backpressure: work is admitted by the tokens that the engine will have to compute for it."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

REMEMBERED = 10_000  # contexts taken to be in the engine's cache
QUESTION_TOKENS = 12
QUESTIONS = 2  # of a candidate: will she click, will she buy
START_RATE = 1_000.0  # tokens a second, until one has been measured


class Busy(Exception):
    """Not admitted. retry_after: seconds, 1 or more."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"busy: try again in {retry_after} s")


class Admission:
    """cap: tokens admitted and not yet answered. One request alone is admitted whatever it costs."""

    def __init__(self, cap: int) -> None:
        self.cap, self.waiting = cap, 0
        self._rate = START_RATE
        self._read: OrderedDict[bytes, None] = OrderedDict()

    def room(self, tokens: int) -> None:
        """Raises Busy where so many more would pass the cap."""
        if self.waiting and self.waiting + tokens > self.cap:
            raise Busy(max(1, math.ceil(self.waiting / self._rate)))

    @asynccontextmanager
    async def admitted(self, tokens: int, context: bytes | None = None) -> AsyncIterator[None]:
        """Raises Busy at once, without waiting, where the cap would be passed. context: the mark of one that the
        engine will then have read."""
        self.room(tokens)
        self.waiting += tokens
        if context is not None:
            self._remember(context)
        started = time.monotonic()
        try:
            yield
            self._measure(tokens, time.monotonic() - started)
        finally:
            self.waiting -= tokens

    def knows(self, context: bytes) -> bool:
        """Whether the engine has read the context of this mark, as far as this process knows."""
        return context in self._read

    def _remember(self, context: bytes) -> None:
        self._read[context] = None
        self._read.move_to_end(context)
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)

    def forget(self) -> None:
        """The engine was started anew: nothing is cached."""
        self._read.clear()

    def _measure(self, tokens: int, seconds: float) -> None:
        """A moving average of what all requests together get."""
        if seconds > 0.01 and tokens > 100:
            self._rate += 0.1 * (max(self.waiting, tokens) / seconds - self._rate)


def mark(tenant: str, context: Sequence[int]) -> bytes:
    """What a context's token ids are known by: each tenant has a cache of its own."""
    return hashlib.sha256(repr((tenant, tuple(context))).encode()).digest()
