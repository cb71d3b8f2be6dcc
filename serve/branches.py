"""Questions behind a cached trunk: each prompt becomes a branch, and branches are gathered into passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from prompts.packing import common_prefix


@dataclass
class Branch:
    """Tokens that follow the trunk's first `fork` ones. reads: (which prompt, at which token of the branch)."""

    fork: int
    ids: np.ndarray  # (n,) int64, n >= 1
    reads: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Pass:
    """L tokens computed at once, as prompts.attention.Packing takes them, and where prompts are read among them."""

    input_ids: np.ndarray  # (L,) int64
    position_ids: np.ndarray  # (L,) int64
    segment: np.ndarray  # (L,) int32, from 1
    fork: np.ndarray  # (L,) int32
    prompts: np.ndarray  # (r,) int64: which prompts are read
    places: np.ndarray  # (r,) int64: the token each is read at


def branches(trunk: np.ndarray, prompts: Sequence[tuple[int, ...]]) -> list[Branch]:
    """One branch for all prompts that are prefixes of one another, ordered by fork.

    Only keys and values of the trunk are at hand, so a prompt that lies within the trunk is a branch of one token:
    its last, computed again.
    """
    cut = []
    for number, prompt in enumerate(prompts):
        ids = np.asarray(prompt, dtype=np.int64)
        fork = min(common_prefix(trunk, ids), len(ids) - 1)
        cut.append((fork, prompt[fork:], number))
    found: list[Branch] = []
    # Backwards in order, a prefix comes right after what it is a prefix of.
    for fork, rest, number in sorted(cut, reverse=True):
        last = found[-1] if found else None
        ids = np.asarray(rest, dtype=np.int64)
        if last is None or last.fork != fork or not np.array_equal(last.ids[: len(ids)], ids):
            last = Branch(fork, ids)
            found.append(last)
        last.reads.append((number, len(rest) - 1))
    return found[::-1]


def passes(found: Sequence[Branch], tokens: int) -> Iterator[Pass]:
    """Branches in their order, about `tokens` a pass; none is cut."""
    gathered: list[Branch] = []
    for branch in found:
        if gathered and sum(len(b.ids) for b in gathered) + len(branch.ids) > tokens:
            yield _pass(gathered)
            gathered = []
        gathered.append(branch)
    if gathered:
        yield _pass(gathered)


def _pass(found: Sequence[Branch]) -> Pass:
    lengths = np.array([len(b.ids) for b in found])
    starts = np.cumsum(lengths) - lengths
    forks = np.array([b.fork for b in found], dtype=np.int32)
    offsets = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    reads = [(n, start + at) for b, start in zip(found, starts, strict=True) for n, at in b.reads]
    return Pass(
        input_ids=np.concatenate([b.ids for b in found]),
        position_ids=np.repeat(forks, lengths) + offsets,
        segment=np.repeat(np.arange(1, len(found) + 1, dtype=np.int32), lengths),
        fork=np.repeat(forks, lengths),
        prompts=np.array([n for n, _ in reads], dtype=np.int64),
        places=np.array([place for _, place in reads], dtype=np.int64),
    )


def trunks(contexts: Sequence[tuple[int, ...]]) -> list[tuple[tuple[int, ...], list[int]]]:
    """The contexts that no other continues, each with the numbers of itself and of its prefixes."""
    # In sorted order a prefix comes right before what continues it.
    order = sorted(range(len(contexts)), key=lambda n: contexts[n])
    found: list[tuple[tuple[int, ...], list[int]]] = []
    for n in order:
        if found and contexts[n][: len(found[-1][0])] == found[-1][0]:
            found[-1] = (contexts[n], [*found[-1][1], n])
        else:
            found.append((contexts[n], [n]))
    return found
