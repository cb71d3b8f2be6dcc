"""Backpressure: work is admitted by the tokens that the engine will have to compute for it."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

REMEMBERED = 16_384  # tokens of prompts taken to be in an engine's cache: the torch one keeps as many
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
        self._read: OrderedDict[bytes, int] = OrderedDict()  # a prefix's mark -> its tokens, the newest last

    def room(self, tokens: int) -> None:
        """Raises Busy where so many more would pass the cap."""
        if self.waiting and self.waiting + tokens > self.cap:
            raise Busy(max(1, math.ceil(self.waiting / self._rate)))

    @contextmanager
    def reserved(self, tokens: int) -> Iterator[None]:
        """Raises as `admitted`; for what has to be done in this process before the price is known."""
        self.room(tokens)
        self.waiting += tokens
        try:
            yield
        finally:
            self.waiting -= tokens

    @asynccontextmanager
    async def admitted(self, tokens: int, *read: "Prefix") -> AsyncIterator[None]:
        """Raises Busy at once, without waiting, where the cap would be passed. read: what the engine will then have in
        its cache, in the place of what it read longest ago, unless the work fails."""
        self.room(tokens)
        self.waiting += tokens
        new = [prefix for prefix in read if not self.knows(prefix)]
        for prefix in read:
            self._remember(prefix)
        started = time.monotonic()
        try:
            yield
            self._measure(tokens, time.monotonic() - started)
        except BaseException:
            for prefix in new:
                self._read.pop(prefix.mark, None)
            raise
        finally:
            self.waiting -= tokens

    def knows(self, prefix: "Prefix") -> bool:
        """Whether the engine has it in its cache, as far as this process knows."""
        return prefix.mark in self._read

    def _remember(self, prefix: "Prefix") -> None:
        self._read[prefix.mark] = prefix.tokens
        self._read.move_to_end(prefix.mark)
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
    """A context or another prompt as an engine caches it. mark: what it is known by; each tenant has a cache of its
    own."""

    mark: bytes
    tokens: int

    @classmethod
    def of(cls, tenant: str, ids: Sequence[int]) -> "Prefix":
        return cls.named((tenant, tuple(ids)), len(ids))

    @classmethod
    def named(cls, name: object, tokens: int) -> "Prefix":
        """Of what is known otherwise than by its ids."""
        return cls(hashlib.sha256(repr(name).encode()).digest(), tokens)
