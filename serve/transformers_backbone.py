"""Any decoder that transformers loads, as a serve.backbone.Backbone."""

from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from genrec.errors import UserError
from prompts.attention import Packing
from serve.backbone import Layers, autocast


class TransformersBackbone:
    """model: loaded with prompts.attention.NAME.

    Raises UserError for an architecture whose attention or head is not what the engine computes.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.eval().requires_grad_(False)
        self.dtype = model.dtype
        steady(self.model)
        self.head: torch.Tensor = model.get_output_embeddings().weight
        self.limit = int(model.config.max_position_embeddings)
        self._layers = model.base_model
        self._check_head()

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, packing: Packing, past: Layers
    ) -> tuple[torch.Tensor, Layers]:
        cache: Any = DynamicCache(past)
        with autocast(self.head.device, self.dtype):
            hidden = self._layers(
                input_ids=ids[None],
                position_ids=positions[None],
                past_key_values=cache,
                use_cache=True,
                packing=packing,
            ).last_hidden_state[0]
        return hidden, [(layer.keys, layer.values) for layer in cache.layers]

    @torch.inference_mode()
    def _check_head(self) -> None:
        """Capped or scaled logits would be computed wrongly, so a model that has them is refused."""
        device = self.head.device
        ids = torch.arange(1, 9, device=device) % self.head.shape[0]
        causal = np.zeros(8, np.int32), np.arange(1, 9, dtype=np.int32)
        packing = Packing(*causal, 0, self.dtype, device)
        own = self(ids, torch.arange(8, device=device), packing, [])[0] @ self.head.T
        with autocast(device, self.dtype):
            logits = self.model(ids[None], packing=packing, use_cache=False).logits[0]
        if (own - logits).abs().max() > 0.01 * own.abs().max():
            raise UserError(
                f"The torch engine cannot serve a {self.model.config.model_type} model: "
                "its logits are not the head times the last hidden state",
                cure="choose a model with a plain head, like Llama, Qwen3 or SmolLM2",
            )


def steady(model: PreTrainedModel) -> None:
    """Hold embeddings, norms and head in float32: what flows from layer to layer then is, and rounding errors, which
    depend on what else is in a pass, stay small. The linear layers, where the time goes, keep their format."""
    head = model.get_output_embeddings()
    for module in model.modules():
        if module is head or not isinstance(module, torch.nn.Linear):
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.float()
