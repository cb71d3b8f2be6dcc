"""Attention over packed prompts: the branch mask, exact chunked attention, the same rule for FlexAttention.

prompts.language_model gives it to transformers' models. Nothing here imports transformers, which takes seconds.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from prompts import branch_attention
from prompts.branch_attention import Parts, parts

NAME = "shared_context"  # the attn_implementation under which transformers models find it
FLEX = "shared_context_flex"  # the same by FlexAttention's kernel (CUDA)
CHUNK, CHUNK_ON_CUDA = 256, 1_024  # query rows at a time


def visible(segment: torch.Tensor, fork: torch.Tensor) -> torch.Tensor:
    """(L, L) bool: query row sees key column. The trunk sees itself causally; a branch the trunk up to its fork, and
    itself causally. segment, fork: (L,), as prompts.packing.Packed has them."""
    index = torch.arange(len(segment), device=segment.device)
    own = (segment[:, None] == segment[None, :]) & (index[None, :] <= index[:, None])
    trunk = (segment[None, :] == 0) & (index[None, :] < fork[:, None])
    return own | trunk


def mask_mod(segment: torch.Tensor, fork: torch.Tensor) -> Any:
    """The same rule for torch.nn.attention.flex_attention.create_block_mask (CUDA)."""

    def rule(batch: Any, head: Any, query: Any, key: Any) -> Any:
        own = (segment[query] == segment[key]) & (key <= query)
        return own | ((segment[key] == 0) & (key < fork[query]))

    return rule


def block_mask(segment: torch.Tensor, fork: torch.Tensor) -> Any:
    """The BlockMask of a packed row, which the caller passes as `blocks=` to the forward of a FLEX model."""
    from torch.nn.attention.flex_attention import create_block_mask  # brings torch's compiler along

    length = len(segment)
    return create_block_mask(mask_mod(segment, fork), None, None, length, length, device=segment.device)


class Packing:
    """What the rows of one pass see, for each way of computing it.

    segment, fork: (L,), as prompts.packing.Packed has them. past: trunk tokens whose keys and values are cached; rows
    of the trunk continue it, forks count from its start. dtype, device: of what is computed.
    """

    def __init__(
        self,
        segment: np.ndarray,
        fork: np.ndarray,
        past: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self._rows = segment, fork, past, dtype
        self.dtype, self._device = dtype, device

    @cached_property
    def chunks(self) -> list["Chunk"]:
        return plan(*self._rows, self._device)

    @cached_property
    def parts(self) -> Parts:
        """For a CPU alone."""
        return parts(*self._rows)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """query (B, H, L, D), key and value (B, KV, past + L, D), of any number format -> (B, L, H, D) of `dtype`."""
        # Under autocast the rotary embedding makes float32 of queries and keys.
        query, key, value = (x.to(self.dtype) for x in (query, key, value))
        wants_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
        if query.is_cpu and not wants_gradient:
            return branch_attention.attend(query, key, value, self.parts, scaling)
        return attend(query, key, value, self.chunks, scaling)


@dataclass(frozen=True)
class Chunk:
    """Query rows [start, stop) look at keys [0, shared) and [own, stop); bias (rows, keys) is 0 or -inf.
    Key indices count `past` cached tokens first."""

    start: int
    stop: int
    shared: int
    own: int
    bias: torch.Tensor


def plan(
    segment: np.ndarray,
    fork: np.ndarray,
    past: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> list[Chunk]:
    """Cut L packed rows into chunks of about CHUNK rows, each with only the keys that some row of it sees.

    past: trunk tokens whose keys and values are cached; rows of the trunk continue it, forks count from its start.
    """
    chunks, start = [], 0
    at_most = CHUNK_ON_CUDA if device is not None and device.type == "cuda" else CHUNK
    while start < len(segment):
        stop = _chunk_end(segment, start, at_most)
        in_trunk = segment[start] == 0
        shared = past + start if in_trunk else int(fork[start:stop].max())
        rows = np.arange(start, stop)
        sees_shared = np.arange(shared)[None, :] < fork[rows, None]
        sees_own = (segment[rows][:, None] == segment[rows][None, :]) & (rows[None, :] <= rows[:, None])
        bias = np.where(np.concatenate([sees_shared, sees_own], axis=1), 0.0, -np.inf)
        chunks.append(
            Chunk(start, stop, shared, past + start, torch.tensor(bias, dtype=dtype, device=device))
        )
        start = stop
    return chunks


def _chunk_end(segment: np.ndarray, start: int, rows: int) -> int:
    """`rows` on, moved so that neither trunk and branches mix nor a branch is cut in two."""
    stop = min(start + rows, len(segment))
    if segment[start] == 0:
        return min(stop, int(np.searchsorted(segment, 1)))
    if stop < len(segment) and segment[stop] == segment[stop - 1]:
        first = int(np.searchsorted(segment, segment[stop]))
        stop = first if first > start else int(np.searchsorted(segment, segment[stop], side="right"))
    return stop


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, chunks: list[Chunk], scaling: float
) -> torch.Tensor:
    """query (B, H, L, D), key and value (B, KV, past + L, D) -> (B, L, H, D); exact softmax attention per chunk."""
    groups = query.shape[1] // key.shape[1]
    query = (query * scaling).unflatten(1, (key.shape[1], groups))  # (B, KV, G, L, D)
    out = []
    for chunk in chunks:
        rows = query[:, :, :, chunk.start : chunk.stop].flatten(2, 3)  # (B, KV, G * rows, D)
        own = slice(chunk.own, chunk.own + chunk.stop - chunk.start)
        keys, values = (torch.cat([x[:, :, : chunk.shared], x[:, :, own]], dim=2) for x in (key, value))
        scores = (rows @ keys.transpose(2, 3)).unflatten(2, (groups, -1)) + chunk.bias
        weights = scores.softmax(-1).flatten(2, 3)
        out.append((weights @ values).unflatten(2, (groups, -1)))  # (B, KV, G, rows, D)
    return torch.cat(out, dim=3).flatten(1, 2).transpose(1, 2)
