"""The gateway's end of the engine's socket, against servers that behave as badly as they may."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from serve.gateway.link import Link

REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"  # and the connection may be used again


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
