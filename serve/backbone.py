"""What the torch engine asks of a model: hidden states and a head, whichever code computes them."""

from typing import Protocol

import torch

from prompts.attention import Packing

Layers = list[tuple[torch.Tensor, torch.Tensor]]  # per layer: keys, values, each (1, KV heads, n, head width)


class Backbone(Protocol):
    """A decoder without its head, on one device.

    dtype: of the matrices of its layers, and of the keys and values that a context keeps. head: (vocabulary, width)
    float32, which a last hidden state is multiplied with. limit: tokens that a prompt may have.
    """

    dtype: torch.dtype
    head: torch.Tensor
    limit: int

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, packing: Packing, past: Layers
    ) -> tuple[torch.Tensor, Layers]:
        """(L, width) float32 last hidden states of L tokens behind those that `past` holds, and the keys and values of
        both.

        ids, positions: (L,) int64. packing: which tokens each of them sees. past: the
        keys and values of the tokens before, [] where there are none.
        """


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Matrix products in the model's own format."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
