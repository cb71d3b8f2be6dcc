"""Starts the engine's process, watches it, starts it again when it dies, replaces it when the weights change."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from serve.child.process import command
from serve.gateway.link import Link

log = logging.getLogger("genrec.supervisor")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart, doubled from one to the next
STARTS_WITHIN = 600.0  # seconds
ENDS_WITHIN = 60.0


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
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), ENDS_WITHIN)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await self.link.close()


class Supervisor:
    """kind: "torch" or "vllm". directory: a private one, for the sockets. name: what clients call the model.
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
        self._number = 0
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._swapping = asyncio.Lock()

    @property
    def link(self) -> Link | None:
        """None while no child is ready."""
        return self._child.link if self._child is not None else None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends the child; what it was still answering is lost, so drain first."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def swap(self, folder: Path) -> bool:
        """Serve other weights: a second child takes over when it is ready, the first ends when nothing is in flight.

        False, and nothing changed, where the second does not become ready.
        """
        async with self._swapping:
            new = await self._spawn(folder)
            if not await new.ready():
                await new.end()
                return False
            old, self._child, self.folder = self._child, new, folder
            self.on_start()
            if old is not None:
                while old.link.in_flight and old.process.returncode is None:
                    await asyncio.sleep(0.05)
                await old.end()
            return True

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        child: Child | None = None
        try:
            while True:
                child = await self._spawn(self.folder)
                if await child.ready():
                    log.info("the engine is ready (process %d)", child.process.pid)
                    self._child, pause = child, FIRST_PAUSE
                    self.on_start()
                    await self._until_gone()
                    child = None
                else:
                    await child.end()
                log.warning("the engine ended; starting it again in %.1f s", pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            for one in {child, self._child} - {None}:
                assert one is not None
                await one.end()
            self._child = None

    async def _until_gone(self) -> None:
        """Returns when the child that serves has ended; one that was swapped out is not that child any more."""
        while (child := self._child) is not None:
            await child.process.wait()
            if self._child is child:
                self._child = None
                await child.end()

    async def _spawn(self, folder: Path) -> Child:
        self._number += 1
        socket = self.directory / f"{self._number}.sock"
        process = await asyncio.create_subprocess_exec(
            *command(self.kind, folder, self.dtype, socket, self.name),
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
