"""Far more at once than a gateway admits: what it admits, and how soon it refuses the rest."""

import asyncio
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from serve.bench.clients import CANDIDATES, milliseconds
from serve.bench.people import People
from serve.bench.processes import GatewayAt
from serve.gateway.admission import QUESTION_TOKENS

WAITING_TOKENS = (
    8_000  # the gateway's cap in this measurement: work that an engine on a CPU ends in some seconds
)
TIMES = 10  # as many requests as the cap admits


class Reply(NamedTuple):
    status: int
    seconds: float


def burst(people: People, at: GatewayAt) -> dict[str, Any]:
    """TIMES the requests that a gateway of WAITING_TOKENS admits, sent at one moment over open connections.

    Milliseconds are from a request's last byte to its reply's first.
    """
    cost = 2 * QUESTION_TOKENS * CANDIDATES  # as /v1/predict is priced where the context has been read
    fits = WAITING_TOKENS // cost
    (user,) = people.new_users(1)
    bodies = [people.body(user, people.items(CANDIDATES)) for _ in range(TIMES * fits)]
    sent = [json.dumps(body).encode() for body in bodies]
    asyncio.run(_sent(at, sent[:1]))  # reads the context
    replies = asyncio.run(_sent(at, sent))
    refused = [reply.seconds for reply in replies if reply.status == 429]
    return {
        "requests": len(bodies),
        "candidates": CANDIDATES,
        "waiting_tokens": WAITING_TOKENS,
        "tokens_a_request": cost,
        "fit_at_once": fits,
        "answered": sum(reply.status == 200 for reply in replies),
        "refused_429": len(refused),
        "refused": milliseconds(refused) | {"most_ms": round(1000 * max(refused), 1) if refused else None},
    }


async def _sent(at: GatewayAt, bodies: list[bytes]) -> list[Reply]:
    url = urlsplit(at.url)
    opened = [await asyncio.open_connection(url.hostname, url.port) for _ in bodies]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> Reply:
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {at.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        began = time.perf_counter()
        first = await reader.readline()
        seconds = time.perf_counter() - began
        writer.close()
        return Reply(int(first.split()[1]), seconds)

    return await asyncio.gather(*(ask(*ends, body) for ends, body in zip(opened, bodies, strict=True)))
