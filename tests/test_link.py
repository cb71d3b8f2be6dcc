"""The gateway's end of the engine's socket, against servers that behave as badly as they may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from serve.child.remote import EngineUnavailable
from serve.gateway.admission import Admission
from serve.gateway.link import Link
from serve.gateway.openai_routes import streamed
from serve.gateway.supervisor import Child

REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"  # and the connection may be used again
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(status: int) -> Answering:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d As it is\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret" % status)
        await writer.drain()
        writer.close()

    return answer


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def linked(answer: Answering) -> AsyncIterator[tuple[Link, asyncio.Server]]:
    with TemporaryDirectory(prefix="genrec-") as place:
        async with await asyncio.start_unix_server(answer, socket := Path(place, "engine.sock")) as server:
            link = Link(socket)
            try:
                yield link, server
            finally:
                await link.close()


async def over(answer: Answering, listens: bool = True) -> bool:
    """Whether a child with such a server, whose process lives, is found to be over within a second."""
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        async with linked(answer) as (link, server):
            if not listens:
                server.close()
            try:
                await asyncio.wait_for(Child(process, link).over(), 1)
            except TimeoutError:
                return False
            return True
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("answer", "listens", "is_over"),
    [
        pytest.param(saying(503), True, True, id="says that its engine is dead"),
        pytest.param(saying(200), False, True, id="listens no longer"),
        pytest.param(saying(200), True, False, id="well"),
        pytest.param(says_nothing, True, False, id="busy"),
    ],
)
def test_a_child_whose_process_lives_is_over_where_it_says_so_or_listens_no_longer(
    answer: Answering, listens: bool, is_over: bool
) -> None:
    assert asyncio.run(over(answer, listens)) is is_over


@pytest.mark.parametrize("status", [500, 503])
def test_what_the_engine_says_of_its_failure_is_not_for_clients(status: int) -> None:
    async def ask() -> str:
        async with linked(saying(status)) as (link, _):
            with pytest.raises(EngineUnavailable) as failed:
                await link.post("/", b"{}")
            assert link.in_flight == 0
            return str(failed.value)

    assert "secret" not in asyncio.run(ask())


def test_a_stream_that_fails_before_it_begins_holds_nothing() -> None:
    async def ask() -> None:
        admission = Admission(100)
        async with linked(saying(500)) as (link, _):
            with pytest.raises(EngineUnavailable):
                await streamed(link, "/v1/completions", {}, admission.admitted(60))
            assert link.in_flight == 0
            assert admission.waiting == 0

    asyncio.run(ask())


def test_a_connection_that_the_engine_closes_after_an_answer_costs_no_request() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Closes just as the connection is used again, as a server does whose time for that is over."""
        await reader.readuntil(b"\r\n\r\nquestion")
        writer.write(REPLY)
        await reader.read(1)
        writer.close()

    async def ask() -> list[int]:
        with TemporaryDirectory(prefix="genrec-") as place:
            async with await asyncio.start_unix_server(once, socket := Path(place, "engine.sock")):
                link = Link(socket)
                try:
                    return [(await link.post("/", b"question"))[0] for _ in range(3)]
                finally:
                    await link.close()

    assert asyncio.run(ask()) == [200, 200, 200]
