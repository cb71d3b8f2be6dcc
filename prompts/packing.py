"""Shared-prefix packing: prompts that begin alike are stored once, as a trunk and branches off it.

The longest prompt is the trunk. Every other one is read off the trunk where it is a prefix of it, off another branch
where it is a prefix of that, and else becomes a branch that forks from the trunk where the two part. A branch sees the
trunk up to its fork, and itself; its positions continue from there. So each prompt's activations, losses and gradients
are those it would have on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Packed:
    """L packed tokens. place[i][j]: where token j of prompt i stands among them."""

    input_ids: np.ndarray  # (L,) int64
    position_ids: np.ndarray  # (L,) int64
    segment: np.ndarray  # (L,) int32: 0 the trunk, 1.. the branches, in order
    fork: np.ndarray  # (L,) int32: trunk tokens that a branch token sees; its own index + 1 for the trunk's
    prompts: list["Placed"]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class Placed:
    """One prompt: `shared` tokens of the trunk, then the rest from `start` on."""

    shared: int
    start: int

    def place(self, position: int) -> int:
        """Packed index of the prompt's token at `position`."""
        return position if position < self.shared else self.start + position - self.shared


def pack(prompts: Sequence[Sequence[int] | np.ndarray]) -> Packed:
    """Pack at least one prompt; order does not matter to the result's tokens but for ties in length."""
    arrays = [np.asarray(p, dtype=np.int64) for p in prompts]
    order = sorted(range(len(arrays)), key=lambda i: -len(arrays[i]))
    trunk = arrays[order[0]]
    ids, positions = [trunk], [np.arange(len(trunk))]
    segments, forks = [np.zeros(len(trunk), np.int32)], [np.arange(1, len(trunk) + 1, dtype=np.int32)]
    branches: dict[int, dict[int, _Step]] = {}  # by fork
    placed: list[Placed] = [Placed(0, 0)] * len(arrays)
    length, number = len(trunk), 0
    for i in order:
        shared = common_prefix(trunk, arrays[i])
        rest = arrays[i][shared:]
        steps = branches.setdefault(shared, {})
        start = _inside(rest.tolist(), steps)
        if start is None:
            number, start = number + 1, length
            _add(rest.tolist(), start, steps)
            ids.append(rest)
            positions.append(np.arange(shared, shared + len(rest)))
            segments.append(np.full(len(rest), number, np.int32))
            forks.append(np.full(len(rest), shared, np.int32))
            length += len(rest)
        placed[i] = Placed(shared, start)
    return Packed(
        np.concatenate(ids),
        np.concatenate(positions),
        np.concatenate(segments),
        np.concatenate(forks),
        placed,
    )


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """How many leading elements are equal."""
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


class _Step(NamedTuple):
    """A token of the branches at one fork. start: of the first branch that goes through it. next: by the next token."""

    start: int
    next: dict[int, "_Step"]


def _inside(rest: Sequence[int], steps: dict[int, _Step]) -> int | None:
    """Where the first branch starts that begins with rest, None where none does; 0 where nothing is left."""
    start = 0
    for token in rest:
        if token not in steps:
            return None
        start, steps = steps[token]
    return start


def _add(rest: Sequence[int], start: int, steps: dict[int, _Step]) -> None:
    for token in rest:
        steps = steps.setdefault(token, _Step(start, {})).next
