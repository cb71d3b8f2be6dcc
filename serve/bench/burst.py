"""Far more at once than a gateway admits: what it admits, and how soon it refuses the rest."""

import asyncio
import gc
import json
import time
from typing import Any
from urllib.parse import urlsplit

from serve.bench.clients import CANDIDATES, Sent, counted, milliseconds
from serve.bench.people import People
from serve.bench.processes import GatewayAt
from serve.gateway.prices import question_tokens

WAITING_TOKENS = 4_000  # the cap of the gateway that is asked: some seconds of an engine's work on a CPU
COST = question_tokens(CANDIDATES)  # of a request whose context has been read
FIT = WAITING_TOKENS // COST
TIMES = 10  # as many requests as fit


def requests(people: People) -> list[bytes]:
    """TIMES the bodies that fit, about one user."""
    (user,) = people.new_users(1)
    return [json.dumps(people.body(user, people.items(CANDIDATES))).encode() for _ in range(TIMES * FIT)]


def burst(bodies: list[bytes], at: GatewayAt) -> dict[str, Any]:
    """All of them sent at one moment, over open connections, to a gateway whose cap is WAITING_TOKENS.

    Milliseconds are from a request's last byte to its reply's first.
    """
    asyncio.run(_sent(bodies[:1], at))  # reads the context
    gc.collect()  # none in this process while it takes the times
    sent = asyncio.run(_sent(bodies, at))
    refused = [one.ended - one.began for one in sent if one.status == 429]
    return {
        "candidates": CANDIDATES,
        "waiting_tokens": WAITING_TOKENS,
        "tokens_a_request": COST,
        "fit_at_once": FIT,
        **counted(sent, len(bodies)),
        "refused": milliseconds(refused) | {"most_ms": round(1000 * max(refused), 1) if refused else None},
    }


async def _sent(bodies: list[bytes], at: GatewayAt) -> list[Sent]:
    url = urlsplit(at.url)
    opened = [await asyncio.open_connection(url.hostname, url.port) for _ in bodies]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> Sent:
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {at.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        began = time.perf_counter()
        status = int((await reader.readline()).split()[1])
        ended = time.perf_counter()
        writer.close()
        return Sent(status, began, ended)

    return await asyncio.gather(*(ask(*ends, body) for ends, body in zip(opened, bodies, strict=True)))
