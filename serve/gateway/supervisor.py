"""Starts the engine's process, watches it, starts it again when it dies."""

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from serve.child.process import command
from serve.gateway.link import Link
from serve.merged import MARKER

log = logging.getLogger("genrec.supervisor")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart, doubled from one to the next
STARTS_WITHIN = 600.0  # seconds
ENDS_WITHIN = 60.0
NUMBERS = itertools.count(1)  # of sockets: several supervisors share a directory


class Child:
    """One process and the link to it."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self.process, self.link = process, link

    async def ready(self) -> bool:
        """Waits until it answers; False where it ended before that, or took too long."""
        for _ in range(int(STARTS_WITHIN / 0.1)):
            if self.process.returncode is not None:
                return False
            if await self.link.healthy():
                return True
            await asyncio.sleep(0.1)
        return False

    async def end(self) -> None:
        """SIGTERM, and what is left of its process group SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), ENDS_WITHIN)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
            await self.link.close()


class Supervisor:
    """Of one folder's weights, as they were when this was made: what is written there later is another model's.

    kind: "torch" or "vllm". directory: a private one, for the sockets. name: what clients call the model.
    on_start is called whenever a child has become ready."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        dtype: str,
        directory: Path,
        name: str = "genrec",
    ) -> None:
        self.kind, self.folder, self.dtype, self.directory, self.name = kind, folder, dtype, directory, name
        self.on_start: Callable[[], None] = lambda: None
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._made_of, self._tried = self._marker(), asyncio.Event()

    @property
    def link(self) -> Link | None:
        """None while no child is ready."""
        return self._child.link if self._child is not None else None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def came_up(self) -> bool:
        """Whether the first child is ready, once that is known."""
        await self._tried.wait()
        return self._child is not None

    async def stop(self) -> None:
        """Ends the child; what it was still answering is lost, so drain first."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            if self._marker() != self._made_of:
                log.error("%s was written anew: swap to it, or start the server again", self.folder)
            elif await self._one_child():
                pause = FIRST_PAUSE
            self._tried.set()
            log.warning("the engine ended; starting it again in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _one_child(self) -> bool:
        """From its start to its end; whether it was ready in between."""
        try:
            child = await self._spawn()
        except OSError as error:
            log.error("no process for the engine: %s", error)
            return False
        try:
            if not await child.ready():
                return False
            log.info("the engine is ready (process %d)", child.process.pid)
            self._child = child
            self.on_start()
            self._tried.set()
            await child.process.wait()
            return True
        finally:
            self._child = None
            await child.end()

    def _marker(self) -> bytes:
        """What the folder says that it is made of."""
        try:
            return (self.folder / MARKER).read_bytes()
        except OSError:
            return b""

    async def _spawn(self) -> Child:
        socket = self.directory / f"{next(NUMBERS)}.sock"
        process = await asyncio.create_subprocess_exec(
            *command(self.kind, self.folder, self.dtype, socket, self.name),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        return Child(process, Link(socket))


def end_with_parent() -> None:
    """On Linux the child gets SIGTERM when this process is killed, so that none is left behind."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
