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

    @asynccontextmanager
    async def admitted(self, tokens: int) -> AsyncIterator[None]:
        """Raises Busy at once, without waiting, where the cap would be passed."""
        if self.waiting and self.waiting + tokens > self.cap:
            raise Busy(max(1, math.ceil(self.waiting / self._rate)))
        self.waiting += tokens
        started = time.monotonic()
        try:
            yield
            self._measure(tokens, time.monotonic() - started)
        finally:
            self.waiting -= tokens

    def fresh(self, tenant: str, context: Sequence[int]) -> int:
        """How many of a context's tokens the engine has not read for this tenant, as far as this process knows."""
        mark = hashlib.sha256(repr((tenant, tuple(context))).encode()).digest()
        known = mark in self._read
        self._read[mark] = None
        self._read.move_to_end(mark)
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
        return 0 if known else len(context)

    def forget(self) -> None:
        """The engine was started anew: nothing is cached."""
        self._read.clear()

    def _measure(self, tokens: int, seconds: float) -> None:
        """A moving average of what all requests together get."""
        if seconds > 0.01 and tokens > 100:
            self._rate += 0.1 * (max(self.waiting, tokens) / seconds - self._rate)
