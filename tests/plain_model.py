"""The reference engines are held to: transformers' own forward pass, one prompt at a time, nothing packed or cached."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_contract import Reference
from transformers import AutoModelForCausalLM


def one_by_one(model: Any) -> Reference:
    """Its logits after a prompt, with the model's own attention and a float32 head."""

    @torch.inference_mode()
    def logits(ids: Sequence[int]) -> np.ndarray:
        hidden = model.base_model(torch.tensor([list(ids)])).last_hidden_state[0, -1].float()
        return np.asarray(model.get_output_embeddings().weight.float().numpy() @ hidden.numpy())

    return logits


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
