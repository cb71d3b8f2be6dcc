"""A decoder of Llama's kind in plain PyTorch: the numbers of transformers' model, bit for bit, without transformers.

To import transformers and PEFT takes some ten seconds of a processor's time; to answer a question takes two. So models
of the most common kind are read and computed here, the adapter merged on the way. `read` returns None for all others.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional

from prompts.adapter import LORA
from prompts.attention import Packing
from prompts.tokens import tokenizer_as_it_is
from serve.backbone import Layers, autocast

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# What config.json must say, and what it must give.
KIND = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
    "mlp_bias": False,
}  # fmt: skip
SIZES = {
    "width": "hidden_size", "inner": "intermediate_size", "vocabulary": "vocab_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "key_heads": "num_key_value_heads", "head_width": "head_dim",
    "limit": "max_position_embeddings",
}  # fmt: skip
# Fields of adapter_config.json that name other methods than plain LoRA, or other weights than those of linear layers.
OTHER_ADAPTERS = (
    "alpha_pattern", "rank_pattern", "modules_to_save", "lora_bias", "use_dora", "use_rslora", "fan_in_fan_out",
    "target_parameters", "trainable_token_indices", "layer_replication", "use_qalora", "use_bdlora", "velora_config",
    "alora_invocation_tokens", "arrow_config", "monteclora_config", "kasa_config",
)  # fmt: skip
PREFIX = "base_model.model."  # of PEFT's names of weights


class Shape(NamedTuple):
    """Of a model: what its config.json says, and the base of its rotary frequencies."""

    width: int
    inner: int
    vocabulary: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    limit: int
    tied: bool
    eps: float
    theta: float

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Every weight's name and shape."""
        queries, keys = self.heads * self.head_width, self.key_heads * self.head_width
        block = {
            "input_layernorm": (self.width,),
            "self_attn.q_proj": (queries, self.width),
            "self_attn.k_proj": (keys, self.width),
            "self_attn.v_proj": (keys, self.width),
            "self_attn.o_proj": (self.width, queries),
            "post_attention_layernorm": (self.width,),
            "mlp.gate_proj": (self.inner, self.width),
            "mlp.up_proj": (self.inner, self.width),
            "mlp.down_proj": (self.width, self.inner),
        }
        embeddings = (self.vocabulary, self.width)
        blocks = {
            f"model.layers.{n}.{name}.weight": shape
            for n in range(self.layers)
            for name, shape in block.items()
        }
        ends = {"model.embed_tokens.weight": embeddings, "model.norm.weight": (self.width,)}
        return blocks | ends | ({} if self.tied else {"lm_head.weight": embeddings})


@dataclass(frozen=True)
class Block:
    """One layer's weights, in the order in which they are used; matrices are (out, in)."""

    input_norm: torch.Tensor
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    output: torch.Tensor
    inner_norm: torch.Tensor
    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


class Decoder:
    """A serve.backbone.Backbone. weights: by the names of Shape.weights; matrices in one number format, all else in
    float32."""

    def __init__(self, shape: Shape, weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
        self.dtype, self.limit, self._shape = dtype, shape.limit, shape
        self._embeddings, self._norm = weights["model.embed_tokens.weight"], weights["model.norm.weight"]
        self.head = self._embeddings if shape.tied else weights["lm_head.weight"]
        names = [name for name in shape.weights() if name.startswith("model.layers.")]
        each = len(names) // shape.layers
        self._blocks = [
            Block(*(weights[name] for name in names[n : n + each])) for n in range(0, len(names), each)
        ]
        powers = torch.arange(0, shape.head_width, 2, dtype=torch.float) / shape.head_width
        self._frequencies = (1.0 / shape.theta**powers).to(self.head.device)

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, packing: Packing, past: Layers
    ) -> tuple[torch.Tensor, Layers]:
        layers: Layers = []
        with autocast(self.head.device, self.dtype):
            hidden = functional.embedding(ids[None], self._embeddings)  # (1, L, width)
            turn = self._turn(positions[None])
            for n, block in enumerate(self._blocks):
                seen, kept = self._attention(hidden, block, turn, packing, past[n] if past else None)
                layers.append(kept)
                hidden = hidden + seen
                inner = self._normed(hidden, block.inner_norm)
                gate = functional.silu(functional.linear(inner, block.gate))
                hidden = hidden + functional.linear(gate * functional.linear(inner, block.up), block.down)
            return self._normed(hidden, self._norm)[0], layers

    def _attention(
        self,
        hidden: torch.Tensor,
        block: Block,
        turn: tuple[torch.Tensor, torch.Tensor],
        packing: Packing,
        past: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """(1, L, width) what a layer's attention adds, and its keys and values, those of the past first."""
        inner = self._normed(hidden, block.input_norm)
        query, key, value = (
            functional.linear(inner, w).view(*inner.shape[:2], -1, self._shape.head_width).transpose(1, 2)
            for w in (block.query, block.key, block.value)
        )  # (1, heads, L, head width)
        query, key = _turned(query, *turn), _turned(key, *turn)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        else:
            key, value = key.contiguous(), value.contiguous()
        seen = packing.attend(query, key, value, self._shape.head_width**-0.5)
        return functional.linear(seen.reshape(*inner.shape[:2], -1).contiguous(), block.output), (key, value)

    def _normed(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Root mean square norm over the width."""
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return weight * (hidden * torch.rsqrt(variance + self._shape.eps))

    def _turn(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine (1, 1, L, head width) by which queries and keys of these positions (1, L) are rotated."""
        angles = positions[..., None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return (x * cosine) + (torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sine)


# ---- from files ---------------------------------------------------------------------------------------------


def read(folder: Path, dtype: torch.dtype, device: str, adapter: Path | None = None) -> Decoder | None:
    """The model of a folder, with an adapter folder's weights merged in if one is given: in float32, and rounded once.

    None for anything but a plain Llama with plain LoRA, whole in every part: transformers and PEFT load it, or say what
    is wrong.
    """
    merged = _merged(folder, adapter)
    if merged is None:
        return None
    shape, weights = merged
    for name, weight in weights.items():
        rounded = weight.to(dtype)
        # Embeddings, norms and head in float32: what flows from layer to layer then is, and rounding errors, which
        # depend on what else is in a pass, stay small. The matrices, where the time goes, keep their format.
        weights[name] = (rounded if "_proj." in name else rounded.float()).to(device)
    return Decoder(shape, weights, dtype)


def write_merged(folder: Path, dtype: torch.dtype, adapter: Path, into: Path) -> bool:
    """Write the model of a folder, an adapter folder's weights merged in, as transformers would save it, tokenizer
    included. into: a folder that is there. False, and nothing is written, where `read` gives None."""
    merged = _merged(folder, adapter)
    if merged is None or not tokenizer_as_it_is(folder):
        return False
    weights = {name: weight.to(dtype).contiguous() for name, weight in merged[1].items()}
    save_file(weights, into / WEIGHTS, metadata={"format": "pt"})
    for file in (*folder.glob("*.json"), *folder.glob("*.jinja")):
        shutil.copyfile(file, into / file.name)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["dtype"] = str(dtype).removeprefix("torch.")
    (into / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return True


def _merged(folder: Path, adapter: Path | None) -> tuple[Shape, dict[str, torch.Tensor]] | None:
    """A model's shape and its weights, those that the adapter changes in float32, the others as they lie in the file.
    None where `read` gives None."""
    try:
        shape = _shape(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        weights = _tensors(folder / WEIGHTS)
        if shape is None or {name: tuple(w.shape) for name, w in weights.items()} != shape.weights():
            return None
        if adapter is not None:
            changes = _changes(adapter)
            if changes is None or not _fit(changes, shape.weights()):
                return None
            for name, (a, b, scaling) in changes.items():
                weights[name] = weights[name].float() + (b @ a) * scaling
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    return shape, weights


def _shape(config: Mapping[str, Any]) -> Shape | None:
    """Of a config.json; None where it describes another kind of model."""
    rotary = config.get("rope_parameters")
    if any(config.get(name) != value for name, value in KIND.items()) or "quantization_config" in config:
        return None
    if not isinstance(rotary, dict) or set(rotary) != {"rope_theta", "rope_type"}:
        return None
    if rotary["rope_type"] != "default" or not all(
        isinstance(config.get(name), int) for name in SIZES.values()
    ):
        return None
    sizes = {field: config[name] for field, name in SIZES.items()}
    tied, eps = bool(config["tie_word_embeddings"]), float(config["rms_norm_eps"])
    return Shape(**sizes, tied=tied, eps=eps, theta=float(rotary["rope_theta"]))


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """A file's weights by name. They lie in the mapped file: a page is read when it is first used."""
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping


def _changes(adapter: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]] | None:
    """By the name of a weight: A, B and the scaling of what LoRA adds to it. None for another kind of adapter."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if config["peft_type"] != "LORA" or config["bias"] != "none" or any(map(config.get, OTHER_ADAPTERS)):
        return None
    if not isinstance(config["init_lora_weights"], bool):  # some ways to begin change the base model too
        return None
    tensors = _tensors(adapter / LORA)
    names = {name.rpartition(".lora_")[0] for name in tensors}
    if set(tensors) != {f"{name}.lora_{part}.weight" for name in names for part in "AB"}:
        return None
    if any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        return None
    scaling = config["lora_alpha"] / config["r"]
    return {
        f"{name.removeprefix(PREFIX)}.weight": (
            tensors[f"{name}.lora_A.weight"],
            tensors[f"{name}.lora_B.weight"],
            scaling,
        )
        for name in names
    }


def _fit(
    changes: Mapping[str, tuple[torch.Tensor, torch.Tensor, float]], shapes: Mapping[str, tuple[int, ...]]
) -> bool:
    """Whether each change is one of a matrix of these shapes."""
    return all(
        "_proj." in name and a.shape[0] == b.shape[1] and (b.shape[0], a.shape[1]) == shapes.get(name)
        for name, (a, b, _) in changes.items()
    )
