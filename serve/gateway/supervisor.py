"""Starts the engine's process, watches it, starts it again when it dies."""

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from serve.child.process import command
from serve.gateway.link import Link
from serve.merged import MARKER

log = logging.getLogger("genrec.supervisor")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart, doubled from one to the next
STARTS_WITHIN = 600.0  # seconds
ENDS_WITHIN = 60.0
HEARTBEAT = 1.0
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

    async def over(self) -> None:
        """Of one that has been ready: waits until the process has ended, no longer listens, or says that its engine has
        ended, which vLLM's server outlives."""
        await first(self.process.wait(), self._says_so())

    async def _says_so(self) -> None:
        while await self.link.healthy() is not False:
            await asyncio.sleep(HEARTBEAT)

    async def end(self) -> None:
        """SIGTERM, and what is left of its process group SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            # Not wait_for: before Python 3.12 it forgets that it was cancelled where the process ends just then.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDS_WITHIN):
                    await self.process.wait()
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
        self._made_of = self._marker()
        self._tried, self._told_to_stop = asyncio.Event(), asyncio.Event()

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
        self._told_to_stop.set()  # and not cancelled: under load a cancellation was seen to get lost
        if self._keeper is not None:
            await self._keeper

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._told_to_stop.is_set():
            if self._marker() != self._made_of:
                log.error("%s was written anew: swap to it, or start the server again", self.folder)
            else:
                try:
                    pause = FIRST_PAUSE if await self._one_child() else pause
                except Exception:
                    log.exception("the engine could not be started or watched")
            self._tried.set()
            if not self._told_to_stop.is_set():
                log.warning("the engine ended; starting it again in %.1f s", pause)
                await first(self._told_to_stop.wait(), asyncio.sleep(pause))
                pause = min(2 * pause, LONGEST_PAUSE)
        self._tried.set()

    async def _one_child(self) -> bool:
        """From its start to its end, or until it is no longer wanted; whether it was ready in between."""
        child = await self._spawn()
        try:
            ready = await first(child.ready(), self._told_to_stop.wait())
            if not ready or self._told_to_stop.is_set():
                return False
            log.info("the engine is ready (process %d)", child.process.pid)
            self._child = child
            self.on_start()
            self._tried.set()
            await first(self._told_to_stop.wait(), child.over())
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
            preexec_fn=in_a_group,
        )
        return Child(process, Link(socket))


async def first(*works: Coroutine[Any, Any, object]) -> object:
    """What the first of them to end gave, in their order; the others are cancelled, and nobody waits for them."""
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:  # what they fail with afterwards is nobody's
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()


def in_a_group() -> None:
    """The child is a process group, to be ended whole. No session: Linux shares out cores by sessions, and of two vLLM
    workers bound to one core, in two sessions, the one that spins was seen to starve the other (kernel 6.18)."""
    os.setpgid(0, 0)
    end_with_parent()


def end_with_parent() -> None:
    """On Linux the child gets SIGTERM when this process is killed, so that none is left behind."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
