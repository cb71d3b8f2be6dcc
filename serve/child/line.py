"""The line that work for one engine stands in."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class OneAtATime:
    """The engine's only thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Waits its turn; work that is cancelled before it is not done."""
        future = asyncio.wrap_future(self._thread.submit(work))
        try:
            return await future
        finally:
            future.cancel()
