"""Backpressure: work is admitted by the tokens that the engine will have to compute for it."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from prompts.tokens import MAX_DATA_TOKENS

REMEMBERED = 16_384  # tokens of contexts taken to be in an engine's cache: the torch one keeps as many
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
        self._read: OrderedDict[bytes, int] = OrderedDict()  # a context's mark -> its tokens, the newest last

    def room(self, tokens: int) -> None:
        """Raises Busy where so many more would pass the cap."""
        if self.waiting and self.waiting + tokens > self.cap:
            raise Busy(max(1, math.ceil(self.waiting / self._rate)))

    @asynccontextmanager
    async def admitted(self, tokens: int, context: "Prefix | None" = None) -> AsyncIterator[None]:
        """Raises Busy at once, without waiting, where the cap would be passed. context: one that the engine will then
        have read, unless the work fails."""
        self.room(tokens)
        self.waiting += tokens
        new = context is not None and not self.knows(context)
        if context is not None:
            self._remember(context)
        started = time.monotonic()
        try:
            yield
            self._measure(tokens, time.monotonic() - started)
        except BaseException:
            if new and context is not None:
                self._read.pop(context.mark, None)
            raise
        finally:
            self.waiting -= tokens

    def knows(self, context: "Prefix") -> bool:
        """Whether the engine has read it, as far as this process knows."""
        return context.mark in self._read

    def _remember(self, context: "Prefix") -> None:
        self._read[context.mark] = context.tokens
        self._read.move_to_end(context.mark)
        while len(self._read) > 1 and sum(self._read.values()) > REMEMBERED:
            self._read.popitem(last=False)

    def forget(self) -> None:
        """The engine was started anew: nothing is cached."""
        self._read.clear()

    def _measure(self, tokens: int, seconds: float) -> None:
        """A moving average of what all requests together get."""
        if seconds > 0.01 and tokens > 100:
            self._rate += 0.1 * (max(self.waiting, tokens) / seconds - self._rate)


class Prefix(NamedTuple):
    """A context as an engine caches it. mark: what its token ids are known by; each tenant has a cache of its own."""

    mark: bytes
    tokens: int

    @classmethod
    def of(cls, tenant: str, ids: Sequence[int]) -> "Prefix":
        return cls(hashlib.sha256(repr((tenant, tuple(ids))).encode()).digest(), len(ids))


def question_tokens(questions: int, text: str | None = None) -> int:
    """About as many as the engine has to read for so many questions; text: the words of each, where a client gave
    them."""
    return questions * (QUESTION_TOKENS + min(MAX_DATA_TOKENS, len(text or "") // 3))
