"""Exact attention over packed prompts on a CPU: PyTorch's fused kernel, called once or a few times a layer.

Every row sees itself and what stands before it in its own segment; a branch's rows, and trunk rows behind cached
tokens, also see a prefix of the trunk. The two parts are computed apart, each with its log-sum-exp, and averaged with
the weights that these give. No mask is made for the own part, and none for the prefix where all rows see all of it.

Without gradients: where they are wanted, prompts.attention's products are as fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

ROWS = 256  # of the prefix part a call, where its rows see different prefixes

_kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(frozen=True)
class PrefixRows:
    """Rows [start, stop) look at the first `keys` keys. bias: (1, 1, rows, keys) 0 or -inf; None where they see all."""

    start: int
    stop: int
    keys: int
    bias: torch.Tensor | None


@dataclass(frozen=True)
class Segments:
    """n segments of about one length, padded to m tokens. rows: (n, m) int64, what is padded repeats the last row.
    real: (t,) int64 places in it, flattened, that are no padding. start: where they stand in a run and none is padded,
    the first row, else None."""

    rows: torch.Tensor
    real: torch.Tensor
    start: int | None


@dataclass(frozen=True)
class Parts:
    """What the rows of one pass look at. past: cached trunk tokens, whose keys come first."""

    past: int
    dtype: torch.dtype
    prefixes: list[PrefixRows]
    segments: list[Segments]


def parts(segment: np.ndarray, fork: np.ndarray, past: int, dtype: torch.dtype) -> Parts:
    """segment, fork: (L,), as prompts.packing.Packed has them."""
    shared = np.where(segment == 0, past, fork)
    return Parts(past, dtype, list(_prefixes(shared, dtype)), list(_segments(segment)))


def _prefixes(shared: np.ndarray, dtype: torch.dtype) -> Iterator[PrefixRows]:
    """Runs of rows that see the same prefix; short runs are gathered, under a mask."""
    start = 0
    while start < len(shared):
        run = _run(shared, start)
        stop = min(run, len(shared)) if run - start >= ROWS else _run(shared > 0, start, start + ROWS)
        part = shared[start:stop]
        if most := int(part.max()):
            alike = bool((part == most).all())
            seen = np.arange(most)[None, :] < part[:, None]
            bias = None if alike else torch.tensor(np.where(seen, 0.0, -np.inf)[None, None], dtype=dtype)
            yield PrefixRows(start, stop, most, bias)
        start = stop


def _run(values: np.ndarray, start: int, stop: int | None = None) -> int:
    """Where the run of equal values that begins at `start` ends, at most at `stop`."""
    differ = np.flatnonzero(values[start:stop] != values[start])
    return start + int(differ[0]) if len(differ) else min(len(values), stop or len(values))


def _segments(segment: np.ndarray) -> Iterator[Segments]:
    """Segments whose lengths have the same power of two above them, together."""
    starts = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
    lengths = np.diff(np.r_[starts, len(segment)])
    sizes = np.ceil(np.log2(lengths)).astype(int)
    for size in np.unique(sizes):
        first, n = starts[sizes == size], lengths[sizes == size]
        offsets = np.arange(n.max())[None, :]
        rows = first[:, None] + np.minimum(offsets, n[:, None] - 1)
        real = np.flatnonzero(offsets < n[:, None])
        together = len(real) == rows.size and rows[-1, -1] - rows[0, 0] == rows.size - 1
        yield Segments(torch.tensor(rows), torch.tensor(real), int(rows[0, 0]) if together else None)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, parts: Parts, scaling: float
) -> torch.Tensor:
    """query (B, H, L, D), key and value (B, KV, past + L, D) -> (B, L, H, D). It has no gradient."""
    out = torch.empty_like(query, memory_format=torch.contiguous_format)
    # The log-sum-exp of each row's scores in its own segment.
    total = torch.empty(query.shape[:3], dtype=torch.float32)
    for s in parts.segments:
        q, k, v = (_cut(x, s) for x in (query, key[:, :, parts.past :], value[:, :, parts.past :]))
        own, lse = _kernel(q, k, v, is_causal=True, scale=scaling)
        _paste(out, own, s)
        _paste(total.unsqueeze(-1), lse.unsqueeze(-1), s)
    for p in parts.prefixes:
        rows, keys = slice(p.start, p.stop), slice(0, p.keys)
        before, lse = _kernel(
            query[:, :, rows], key[:, :, keys], value[:, :, keys], attn_mask=p.bias, scale=scaling
        )
        share = torch.sigmoid(lse - total[:, :, rows]).unsqueeze(-1).to(out.dtype)
        out[:, :, rows].lerp_(before, share)
    return out.transpose(1, 2)


def _cut(x: torch.Tensor, s: Segments) -> torch.Tensor:
    """(B, H, L, D) -> (B * n, H, m, D), the segments as a batch."""
    n, m = s.rows.shape
    cut = x[:, :, s.rows] if s.start is None else x[:, :, s.start : s.start + n * m].unflatten(2, (n, m))
    return cut.transpose(1, 2).flatten(0, 1)


def _paste(whole: torch.Tensor, part: torch.Tensor, s: Segments) -> None:
    """The inverse of _cut: writes what is no padding into (B, H, L, D)."""
    n, m = s.rows.shape
    rows = part.unflatten(0, (-1, n)).transpose(1, 2)  # (B, H, n, m, D)
    if s.start is None:
        whole[:, :, s.rows.flatten()[s.real]] = rows.flatten(2, 3)[:, :, s.real]
    else:
        whole[:, :, s.start : s.start + n * m].unflatten(2, (n, m)).copy_(rows)
