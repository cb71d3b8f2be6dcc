"""The decoder without transformers: the same numbers bit for bit, and which models it leaves to transformers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_contract import CONTEXT, QUESTIONS
from tiny import save_adapter, save_model

from prompts.attention import NAME, Packing
from prompts.dtypes import DTYPES
from prompts.language_model import load_model
from serve.backbone import Backbone, Layers
from serve.decoder import Decoder, read
from serve.engine import Request
from serve.torch_engine import load
from serve.transformers_backbone import TransformersBackbone
from serve.weights import adapted


@torch.inference_mode()
def computed(backbone: Backbone) -> list[torch.Tensor]:
    """Everything that two passes give: a trunk of 40 tokens, then two branches of 5 that fork from it at 30."""

    def in_its_format(layers: Layers) -> Layers:
        """As the engine keeps them."""
        return [(keys.to(backbone.dtype), values.to(backbone.dtype)) for keys, values in layers]

    trunk = torch.arange(40) % 90 + 3
    causal = np.zeros(40, np.int32), np.arange(1, 41, dtype=np.int32)
    hidden, layers = backbone(trunk, torch.arange(40), Packing(*causal, 0, backbone.dtype), [])
    kept = in_its_format(layers)
    branches = np.repeat([1, 2], 5).astype(np.int32), np.full(10, 30, np.int32)
    positions = torch.arange(30, 35).repeat(2)
    after, both = backbone(torch.arange(10) + 7, positions, Packing(*branches, 40, backbone.dtype), kept)
    return [hidden, after, *(x for layer in (*kept, *in_its_format(both)) for x in layer)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("merged", [True, False])
def test_every_number_is_that_of_transformers(dtype: str, tied: bool, merged: bool, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", tie_word_embeddings=tied)
    adapter = save_adapter(base, tmp_path / "adapter") if merged else None
    model: Any = adapted(str(base), dtype, adapter) if adapter else load_model(str(base), dtype, NAME)
    theirs, ours = TransformersBackbone(model), read(base, DTYPES[dtype], "cpu", adapter)
    assert ours is not None
    assert (ours.dtype, ours.limit) == (theirs.dtype, theirs.limit)
    for a, b in zip((ours.head, *computed(ours)), (theirs.head, *computed(theirs)), strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_an_adapter_of_some_layers_changes_these_alone(tmp_path: Path) -> None:
    """Recipes train the upper half; what has no LoRA weights stays the base model's."""
    base = save_model(tmp_path / "base")
    adapter = save_adapter(
        base, tmp_path / "adapter", target_modules=["q_proj", "down_proj"], layers_to_transform=[1]
    )
    ours, theirs = (
        read(base, torch.float32, "cpu", adapter),
        TransformersBackbone(adapted(str(base), "float32", adapter)),
    )
    plain = read(base, torch.float32, "cpu")
    assert ours is not None
    assert plain is not None
    assert all(map(torch.equal, computed(ours), computed(theirs)))
    assert not torch.equal(computed(ours)[0], computed(plain)[0])


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("qwen3", {}),
        ("llama", {"attention_bias": True}),
        ("llama", {"mlp_bias": True}),
        ("llama", {"hidden_act": "gelu"}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}}),
    ],
)
def test_another_kind_of_model_is_left_to_transformers(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    base = save_model(tmp_path, architecture, **changes)
    assert read(base, torch.float32, "cpu") is None
    assert isinstance(load(str(base), "float32").backbone, TransformersBackbone)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True}, {"use_rslora": True}, {"lora_bias": True}, {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}}, {"modules_to_save": ["lm_head"]}, {"init_lora_weights": "pissa"},
    ],
)  # fmt: skip
def test_another_kind_of_adapter_is_left_to_peft(changes: dict[str, Any], tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", tie_word_embeddings=False)
    adapter = save_adapter(base, tmp_path / "adapter")
    assert read(base, torch.float32, "cpu", adapter) is not None
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    assert read(base, torch.float32, "cpu", adapter) is None


def test_weights_that_are_missing_are_left_to_transformers(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    assert read(base, torch.float32, "cpu", tmp_path) is None  # no adapter
    (base / "model.safetensors").rename(base / "other.safetensors")
    assert read(base, torch.float32, "cpu") is None


def test_the_engine_answers_without_transformers(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter")
    code = (
        "import sys; from pathlib import Path; from serve.engine import Request; from serve.torch_engine import load\n"
        "from engine_contract import CONTEXT, QUESTIONS\n"
        f"found = load({str(base)!r}, 'float32', Path({str(adapter)!r})).score([Request(CONTEXT, QUESTIONS)])\n"
        "print([row.tolist() for row in found[0]], {'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    engine = load(str(base), "float32", adapter)
    assert isinstance(engine.backbone, Decoder)
    here = [row.tolist() for row in engine.score([Request(CONTEXT, QUESTIONS)])[0]]
    assert done.stdout == f"{here} set()\n"
