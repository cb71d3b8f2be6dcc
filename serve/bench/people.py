"""A request's whole way, on an adapter's own users: through the gateway, and directly from the engine behind it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from genrec.errors import UserError
from serve.bench.processes import GatewayAt, asking
from serve.bench.race import KINDS, Answered
from serve.served import Served

DIRECT, GATEWAY = "direct", "gateway"
ABOUT = {
    DIRECT: "prompts written in this process and sent to the engine that serves the gateway",
    GATEWAY: "POST /v1/predict: the same over HTTP, with a key, limits and admission",
}


class People:
    """served: the adapter, asking the gateway's engine directly; http: a client of the gateway."""

    def __init__(self, served: Served, http: httpx2.Client, seed: int) -> None:
        self.served, self.http = served, http
        self.task = next(task.name for task in served.tasks_about(item=True) if task.given is None)
        self._dice = np.random.default_rng(seed)
        # Those with the longest histories, whose contexts are of the window's full length or nearly.
        self._users = sorted(served.layout.users, key=served.point, reverse=True)
        self._items = sorted(served.layout.items)
        self._next = 0

    def ask(self, name: str, user: str, items: list[str]) -> Answered:
        return (self._directly if name == DIRECT else self._through)(user, items)

    def new_users(self, count: int) -> list[str]:
        """Users that were not asked about before. Raises UserError where there are none left."""
        users = self._users[self._next : self._next + count]
        if len(users) < count:
            raise UserError(
                f"The log has {len(self._users)} users; each cold turn takes one",
                where="--rounds, --candidates",
                cure="give less of them",
            )
        self._next += count
        return users

    def items(self, count: int) -> list[str]:
        """Drawn at random; an item may come twice."""
        return [self._items[n] for n in self._dice.integers(0, len(self._items), count)]

    def body(self, user: str, items: list[str]) -> dict[str, Any]:
        return {"user": user, "items": items, "tasks": [self.task]}

    def context(self, user: str) -> int:
        """Tokens."""
        return len(self.served.histories.context(user, self.served.point(user)))

    def question(self, user: str, item: str) -> int:
        """Tokens."""
        return len(self.served.layout.question(self.task, item, self.served.row(user, item).known).ids)

    def _directly(self, user: str, items: list[str]) -> Answered:
        started = time.perf_counter()
        rows = [self.served.row(user, item) for item in items]
        p = self.served.predictor.predict(rows, [self.task])[self.task]
        return Answered(time.perf_counter() - started, p)

    def _through(self, user: str, items: list[str]) -> Answered:
        started = time.perf_counter()
        reply = self.http.post("/v1/predict", json=self.body(user, items))
        seconds = time.perf_counter() - started
        reply.raise_for_status()
        return Answered(
            seconds, np.array([item["probabilities"][self.task] for item in reply.json()["items"]])
        )


class PeopleCell:
    """Some candidates of users that are new, then known; both ways ask about users of their own, so that one does not
    bring the other's context into the cache."""

    def __init__(self, people: People, candidates: int, rounds: int) -> None:
        self._people, self._candidates = people, candidates
        self._users = {name: people.new_users(rounds) for name in ABOUT}
        self._asked = {(number, kind): people.items(candidates) for number in range(rounds) for kind in KINDS}

    def tokens(self) -> dict[str, float]:
        """Of a context, the median; of a candidate, the mean."""
        users = [user for some in self._users.values() for user in some]
        items = next(iter(self._asked.values()))
        questions = [self._people.question(users[0], item) for item in items]
        return {
            "context_tokens": float(np.median([self._people.context(user) for user in users])),
            "candidate_tokens": round(float(np.mean(questions)), 1),
        }

    def ask(self, name: str, number: int, kind: str) -> Answered:
        return self._people.ask(name, self._users[name][number], self._asked[number, kind])


@contextmanager
def opened(adapter: Path, data: Path, folder: Path, at: GatewayAt, seed: int) -> Iterator[People]:
    """folder: the adapter's merged weights."""
    from genrec.dataset import Prepared
    from prompts.adapter import AdapterCard
    from prompts.tokens import TokenizerFile
    from serve.child.remote import RemoteEngine, over_socket
    from serve.served import served

    headers = {"Authorization": f"Bearer {at.key}"}
    with (
        asking(at.engine_socket) as engine,
        httpx2.Client(base_url=at.url, headers=headers, timeout=engine.timeout) as http,
    ):
        remote = RemoteEngine(over_socket(engine), DIRECT)
        found = served(adapter, AdapterCard.load(adapter), Prepared.load(data), TokenizerFile(folder), remote)
        found.data.statistics_now()  # read once, as the gateway does before it is ready
        yield People(found, http, seed)
