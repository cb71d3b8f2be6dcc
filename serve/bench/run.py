"""The whole measurement: one race after another, then the clients; the report that is written."""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genrec.progress import Progress
from serve.bench import burst, clients, contestants, limit, people, processes
from serve.bench.race import KINDS, Answered, Ask, Turn, apart, spread, summary, three_digits, turns
from serve.bench.workload import CANDIDATE_TOKENS, Cell, Workload

ROUTES = (contestants.DEFAULTS, contestants.BEST)


@dataclass(frozen=True)
class Plan:
    """What to measure. folder: of the model; adapter, data: None without a gateway. minutes: of a race, after which
    no round but a first begins. eager: vLLM at its defaults does not compile. requests: of each number of clients."""

    folder: Path
    vocabulary: int
    dtype: str
    candidates: list[int]
    contexts: list[int]
    contestants: list[str]
    rounds: int
    minutes: float
    eager: bool
    seed: int
    adapter: Path | None
    data: Path | None
    engine: str
    clients: list[int]
    requests: int


def measured(plan: Plan) -> dict[str, Any]:
    """Takes minutes, and shows how far it is."""
    load = [os.getloadavg()[0]]
    every, body = limit.parameters(plan.folder)
    steps = len(plan.candidates) * len(plan.contexts) * len(plan.contestants)
    if plan.adapter is not None:
        steps += len(plan.candidates) * len(people.ABOUT)
    with (
        tempfile.TemporaryDirectory(prefix="genrec-bench-") as place,
        Progress("bench", total=steps * plan.rounds * len(KINDS), unit="turn") as shown,
    ):
        products = [limit.flops_a_second(plan.dtype)]
        grid, agreed = _grid(plan, Path(place), shown)
        products.append(limit.flops_a_second(plan.dtype))
        behind = _gateway(plan, Path(place), shown) if plan.adapter is not None else {}
        products.append(limit.flops_a_second(plan.dtype))
    load.append(os.getloadavg()[0])
    flops = max(products)
    for cell in (*grid, *behind.get("cells", [])):
        _distance(cell, flops, body)
    return {
        "seed": plan.seed,
        "dtype": plan.dtype,
        "load_average": {"before": round(load[0], 1), "after": round(load[1], 1)},
        "note": "ratios are of contestants asked side by side in each round; rates are what this machine had to spare",
        "rounds_at_most": plan.rounds,
        "limit": {
            "flops_per_second": spread(products),
            "flops_per_token": 2 * body,
            "parameters": every,
            "tokens_per_second": three_digits(flops / (2 * body)),
            "what": "the best of the products of two square matrices in the model's format (2,048 wide on a CPU, 8,192 "
            "on a GPU); two operations a token for each parameter outside of the embedding; attention is not counted",
        },
        "contestants": contestants.about(plan.contestants, plan.eager),
        "log_odds_apart_at_most": agreed,
        "cells": grid,
        **({"gateway": behind} if behind else {}),
    }


# ---- races --------------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """A cell to be raced over. tokens: of a context and of a candidate, by the names that the report has for them."""

    candidates: int
    tokens: dict[str, float]
    ask: Ask


def _raced(
    courses: list[Course], names: list[str], plan: Plan, shown: Progress
) -> tuple[list[list[Turn]], list[dict[str, Any]]]:
    """Each course's turns and figures. Short of time, each has a round."""
    found: list[list[Turn]] = [[] for _ in courses]
    ends = time.monotonic() + 60 * plan.minutes
    try:
        for course, mine in zip(courses, found, strict=True):
            for number in range(plan.rounds):
                if number and time.monotonic() > ends:
                    break
                shown.describe(f"round {number + 1}, {course.candidates} candidates")
                for turn in turns(number, names, course.ask):
                    mine.append(turn)
                    shown.advance()
    except KeyboardInterrupt:
        drop_the_broken_round(found, len(KINDS) * len(names))
    baselines = [name for name in (*ROUTES, people.DIRECT) if name in names] or names[:1]
    cells = [
        {"candidates": course.candidates, **course.tokens} | summary(mine, course.candidates, baselines)
        for course, mine in zip(courses, found, strict=True)
        if mine
    ]
    return found, cells


def drop_the_broken_round(found: list[list[Turn]], turns_a_round: int) -> None:
    """Raises KeyboardInterrupt again where no round is whole."""
    for mine in found:
        del mine[len(mine) // turns_a_round * turns_a_round :]
    if not any(found):
        raise KeyboardInterrupt
    print("interrupted: the rounds that were whole are reported", file=sys.stderr, flush=True)


def _grid(plan: Plan, place: Path, shown: Progress) -> tuple[list[dict[str, Any]], float]:
    """The cells, and by how much any two answers differed."""
    work = Workload(plan.vocabulary, plan.seed)
    with contestants.opened(
        plan.contestants, plan.folder, plan.dtype, place, plan.eager, shown.describe
    ) as racing:
        for scorer in racing.values():  # the first call of a process is slower
            scorer.score(work.pair(Cell(min(plan.candidates), min(plan.contexts)), plan.rounds)[0])

        def course(cell: Cell) -> Course:
            def ask(name: str, number: int, kind: str) -> Answered:
                return racing[name].score(work.pair(cell, number)[KINDS.index(kind)])

            tokens: dict[str, float] = {"context_tokens": cell.context, "candidate_tokens": CANDIDATE_TOKENS}
            return Course(cell.candidates, tokens, ask)

        cells = [Cell(candidates, context) for context in plan.contexts for candidates in plan.candidates]
        raced, found = _raced([course(cell) for cell in cells], plan.contestants, plan, shown)
    return found, three_digits(max(_apart(mine, len(plan.contestants)) for mine in raced if mine))


def _apart(raced: list[Turn], contestants: int) -> float:
    """Turns of one round and kind stand together: all of them scored the same."""
    alike = (raced[n : n + contestants] for n in range(0, len(raced), contestants))
    return max(apart(some[0].answered.p, other.answered.p) for some in alike for other in some)


def _distance(cell: dict[str, Any], flops: float, body: int) -> None:
    """Adds what the matrix products would allow, and which share of it each contestant reaches."""
    for kind in KINDS:
        tokens = cell["candidate_tokens"]
        if kind == "cold":  # each candidate's share of the context
            tokens += cell["context_tokens"] / cell["candidates"]
        most = limit.candidates_a_second(flops, body, tokens)
        cell[kind] = {"limit_candidates_per_second": three_digits(most), "contestants": cell[kind]}
        for one in cell[kind]["contestants"].values():
            one["share_of_limit"] = three_digits(one["candidates_per_second"]["median"] / most)


# ---- the gateway --------------------------------------------------------------------------------------------


def _gateway(plan: Plan, place: Path, shown: Progress) -> dict[str, Any]:
    assert plan.adapter is not None
    assert plan.data is not None
    shown.describe("starting the gateway")
    with ExitStack() as stack:
        at = stack.enter_context(processes.gateway(plan.adapter, plan.data, plan.engine, place))
        asked = stack.enter_context(people.opened(plan.adapter, plan.data, plan.folder, at, plan.seed))
        (first,), items = asked.new_users(1), asked.items(min(plan.candidates))
        answers = [asked.ask(name, first, items).p for name in people.ABOUT]
        some = {n: people.PeopleCell(asked, n, plan.rounds) for n in plan.candidates}
        courses = [Course(n, cell.tokens(), cell.ask) for n, cell in some.items()]
        _, cells = _raced(courses, list(people.ABOUT), plan, shown)
        shown.describe("many clients")
        users = clients.known_users(asked)
        bodies = burst.requests(asked)
        found = {
            "engine": asked.http.get("/ready").json()["engine"],
            "contestants": people.ABOUT,
            "task": asked.task,
            "log_odds_apart_at_most": three_digits(apart(*answers)),
            "cells": cells,
            "warm_predict": clients.warm(asked, users[0]),
            "clients": [clients.at_once(asked, users, n, plan.requests) for n in plan.clients],
        }
    shown.describe("a burst")  # at a gateway of its own: an idle one beside it would take of its time
    (private := place / "burst").mkdir(mode=0o700)
    options = ("--waiting-tokens", str(burst.WAITING_TOKENS))
    with processes.gateway(plan.adapter, plan.data, plan.engine, private, *options) as at:
        return {**found, "burst": burst.burst(bodies, at)}
