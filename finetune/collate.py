"""From a training row to what the model's forward takes, for each kind of attention."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from prompts import attention

ROW = (
    "input_ids",
    "position_ids",
    "segment",
    "fork",
    "read_place",
    "read_task",
    "read_target",
    "read_weight",
    "read_stated",
)


@dataclass(frozen=True)
class Collator:
    """One row a batch: the packing is the batch. Arrays become tensors with a leading dimension of 1."""

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        (row,) = rows
        return {name: torch.as_tensor(np.asarray(row[name]))[None] for name in ROW}


def forward_inputs(batch: dict[str, torch.Tensor], kind: str, dtype: torch.dtype) -> dict[str, Any]:
    """Keyword arguments of the model's forward. kind: its attn_implementation.

    attention.NAME: a Packing. attention.FLEX: a BlockMask (CUDA). Any other: a dense additive 4-D mask.
    """
    segment, fork = batch["segment"][0], batch["fork"][0]
    inputs: dict[str, Any] = {"input_ids": batch["input_ids"], "position_ids": batch["position_ids"]}
    if kind == attention.NAME:
        inputs["packing"] = attention.Packing(
            segment.cpu().numpy(), fork.cpu().numpy(), dtype=dtype, device=segment.device
        )
    elif kind == attention.FLEX:
        inputs["blocks"] = attention.block_mask(segment, fork)
    else:
        seen = attention.visible(segment, fork)
        blocked = torch.zeros(seen.shape, dtype=dtype, device=segment.device)
        inputs["attention_mask"] = blocked.masked_fill(~seen, torch.finfo(dtype).min)[None, None]
    return inputs
