"""prompts.attention as transformers' models call it; importing this registers it under its two names."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward

from genrec.errors import UserError
from prompts.attention import FLEX, NAME, Packing


def shared_context_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer; the caller passes `packing=` to the model's forward."""
    if packing is None:
        raise ValueError("the shared_context attention needs packing=prompts.attention.Packing(...)")
    _check(options, key.shape[2])
    return packing.attend(query, key, value, scaling), None


def flex_shared_context_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float,
    blocks: Any = None,
    **options: Any,
) -> tuple[torch.Tensor, Any]:
    """transformers' compiled FlexAttention over `blocks`, in the number format of the values: under autocast the rotary
    embedding makes float32 of queries and keys, and the kernel takes one format."""
    if blocks is None:
        raise ValueError("the shared_context_flex attention needs blocks=prompts.attention.block_mask(...)")
    _check(options, key.shape[2])
    dtype = value.dtype
    return flex_attention_forward(module, query.to(dtype), key.to(dtype), value, blocks, scaling)


def _check(options: Mapping[str, Any], length: int) -> None:
    """Refuse what a model asks of its attention and this one does not do."""
    window = options.get("sliding_window")
    for what, wanted in (
        (
            f"a sliding window of {window} tokens, shorter than {length}",
            window is not None and length > window,
        ),
        ("capped attention scores", options.get("softcap") is not None),
        ("attention sinks", options.get("s_aux") is not None),
    ):
        if wanted:
            cure = "choose a model with full attention, like Llama, Qwen3 or SmolLM2, or a shorter history"
            raise UserError(f"Prompts cannot be packed for this model: it has {what}", cure=cure)


AttentionInterface.register(NAME, shared_context_attention)
AttentionInterface.register(FLEX, flex_shared_context_attention)
