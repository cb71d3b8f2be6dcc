"""Many clients of one gateway at once: how much it answers, how long each waits, and that nothing is lost."""

import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import httpx2
import numpy as np

from serve.bench.people import GATEWAY, People
from serve.bench.race import three_digits

CANDIDATES = 20
WARM_USERS = 8
WARM_REQUESTS = 20


class Sent(NamedTuple):
    """status: the reply's, 0 where none came. began, ended: seconds of one clock."""

    status: int
    began: float
    ended: float


def known_users(people: People) -> list[str]:
    """Some users whose contexts the engine has then read."""
    users = people.new_users(WARM_USERS)
    for user in users:
        people.ask(GATEWAY, user, people.items(1))
    return users


def warm(people: People, user: str) -> dict[str, Any]:
    """One client, one known user, CANDIDATES other candidates each time."""
    seconds = [people.ask(GATEWAY, user, people.items(CANDIDATES)).seconds for _ in range(WARM_REQUESTS)]
    return {"requests": WARM_REQUESTS, "candidates": CANDIDATES, **milliseconds(seconds)}


def at_once(people: People, users: list[str], clients: int, requests: int) -> dict[str, Any]:
    """So many requests in all, each sent once, by so many clients who wait for a reply before they send the next."""
    bodies = [
        people.body(users[n % len(users)], people.items(CANDIDATES)) for n in range(requests)
    ]  # taken from the end
    sent = list[Sent]()

    def client() -> None:
        while True:
            try:
                body = bodies.pop()  # one thread at a time, as `append` below
            except IndexError:
                return
            sent.append(_send(people.http, body))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"clients": clients, **counted(sent, requests)}


def _send(http: httpx2.Client, body: dict[str, Any]) -> Sent:
    began = time.perf_counter()
    try:
        status = http.post("/v1/predict", json=body).status_code
    except httpx2.TransportError:
        status = 0
    return Sent(status, began, time.perf_counter())


def counted(sent: list[Sent], requests: int) -> dict[str, Any]:
    """Throughput over the whole time, waiting times of what was answered with 200."""
    answered = [one.ended - one.began for one in sent if one.status == 200]
    whole = max(one.ended for one in sent) - min(one.began for one in sent)
    statuses = Counter(one.status for one in sent)
    return {
        "requests": requests,
        "replies": sum(count for status, count in statuses.items() if status),
        "answered": len(answered),
        "refused_429": statuses[429],
        "other_statuses": {str(s): n for s, n in statuses.items() if s not in (0, 200, 429)},
        "requests_per_second": three_digits(len(answered) / whole),
        "candidates_per_second": three_digits(CANDIDATES * len(answered) / whole),
        **milliseconds(answered),
    }


def milliseconds(seconds: list[float]) -> dict[str, float | None]:
    marks = (50, 95, 99)
    found = np.percentile(seconds, marks) if seconds else [None] * len(marks)
    return {
        f"p{mark}_ms": None if s is None else three_digits(1000 * s)
        for mark, s in zip(marks, found, strict=True)
    }
