"""Contestants take turns: each round asks all of them the same, so that what else the machine does touches all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit

KINDS = ("cold", "warm")


class Answered(NamedTuple):
    """seconds: of the engine's own call, or of the whole HTTP request. p: (candidates,) of each one's first answer."""

    seconds: float
    p: np.ndarray


class Turn(NamedTuple):
    """One contestant in one round; kind: "cold" where the context is new to it, then "warm"."""

    contestant: str
    kind: str
    answered: Answered


Ask = Callable[[str, int, str], Answered]  # a contestant, in a round, cold or warm


def turns(number: int, contestants: Sequence[str], ask: Ask) -> Iterator[Turn]:
    """A round: all cold, then all warm. Who begins changes from one to the next."""
    start = number % len(contestants)
    for kind in KINDS:
        for name in (*contestants[start:], *contestants[:start]):
            yield Turn(name, kind, ask(name, number, kind))


def summary(raced: Sequence[Turn], candidates: int, baselines: Sequence[str]) -> dict[str, Any]:
    """By kind and contestant: candidates a second, and how many times a baseline's of the same round."""
    rates: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    for turn in raced:
        rates[turn.kind].setdefault(turn.contestant, []).append(candidates / turn.answered.seconds)
    return {
        kind: {
            name: {
                "candidates_per_second": spread(mine),
                "times": {
                    base: spread([a / b for a, b in zip(mine, of_kind[base], strict=True)])
                    for base in baselines
                    if base != name
                },
            }
            for name, mine in of_kind.items()
        }
        for kind, of_kind in rates.items()
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and most, and each round's, to three digits."""
    rounds = [three_digits(value) for value in values]
    found = {"median": float(np.median(values)), "least": min(values), "most": max(values)}
    return {name: three_digits(value) for name, value in found.items()} | {"rounds": rounds}


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """By how much two contestants' log-odds of the same candidates differ at most: they answer the same question."""
    odds = [logit(np.clip(p, 1e-12, 1 - 1e-12)) for p in (one, other)]
    return float(np.max(np.abs(odds[0] - odds[1])))
