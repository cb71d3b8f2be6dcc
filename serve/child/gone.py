"""Work that is given up when nobody waits for its answer any more; in the engine's process and in the gateway's."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import Request

Result = TypeVar("Result")


class ClientGone(Exception):
    """The client closed its connection before the answer was there. Whatever is replied, nobody reads it."""


async def unless_gone(request: Request, work: Callable[[], Awaitable[Result]]) -> Result:
    """What work returns or raises; where the client goes away first it is cancelled, and ClientGone raised.

    The request's body has been read by then.
    """
    found: list[Result] = []
    failed: list[Exception] = []  # raised outside the group, which would wrap them
    async with anyio.create_task_group() as group:

        async def until_gone() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(until_gone)
        try:
            found.append(await work())
        except Exception as error:
            failed.append(error)
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    if not found:
        raise ClientGone
    return found[0]
