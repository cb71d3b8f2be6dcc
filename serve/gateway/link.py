"""The gateway's end of the engine's socket."""

import logging
from pathlib import Path

import anyio.from_thread
import httpx2

from serve.child.remote import EngineUnavailable, Post

log = logging.getLogger("genrec.link")
READ_SECONDS = 600.0
FAILED = (500, 503)  # of vLLM's server whose engine has died, too


class Link:
    """One child's socket; counts what is in flight on it."""

    def __init__(self, socket: Path) -> None:
        # None is kept for the next request: the child may be closing one that has been idle, just then.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        transport = httpx2.AsyncHTTPTransport(uds=str(socket), limits=limits)
        timeout = httpx2.Timeout(READ_SECONDS, connect=5)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://engine", timeout=timeout)
        self.in_flight = 0

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Raises EngineUnavailable where the child is not there, goes away or fails."""
        self.in_flight += 1
        try:
            reply = await self.client.post(path, content=body, headers={"Content-Type": "application/json"})
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the engine went away: {type(error).__name__}") from error
        finally:
            self.in_flight -= 1
        unless_failed(reply.status_code, reply.content)
        return reply.status_code, reply.content

    async def healthy(self) -> bool | None:
        """Whether the child's /health says so. False also where nobody listens; None where nothing was heard in time,
        as of a busy one."""
        try:
            return (await self.client.get("/health", timeout=5)).status_code == 200
        except httpx2.TransportError as error:
            return False if nobody_listens(error) else None

    async def close(self) -> None:
        await self.client.aclose()


def nobody_listens(error: BaseException | None) -> bool:
    """Whether a connection failed because its socket is not there, or closed."""
    while error is not None:
        if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def unless_failed(status: int, content: bytes) -> None:
    """Raises EngineUnavailable where the engine says that it failed; what it says of itself is for the log alone."""
    if status in FAILED:
        log.error("the engine answered %d: %s", status, content[:500].decode(errors="replace"))
        raise EngineUnavailable("the engine failed")


def from_thread(link: Link) -> Post:
    """For work in a thread of anyio's: when its request is cancelled, so is what it waits for here."""

    def post(path: str, body: bytes) -> tuple[int, bytes]:
        return anyio.from_thread.run(link.post, path, body)

    return post
