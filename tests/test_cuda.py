"""What only a GPU runs: the FlexAttention kernel, the engine beside the CPU's, 4-bit weights that learn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_contract import CONTEXT, QUESTIONS
from test_training import loss_and_gradients, trainer_of, wake
from tiny import save_adapter, save_model
from training_fixtures import SMALL, save_tiny_model

from finetune.mixture import packed_row
from finetune.run import train
from genrec.dataset import Prepared
from prompts.adapter import AdapterCard
from serve.engine import Request
from serve.torch_engine import TorchEngine, load
from serve.transformers_backbone import TransformersBackbone
from serve.weights import adapted

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("attention", ["flex_attention", "shared_context"])
def test_loss_and_gradients_are_those_of_the_dense_mask(
    shop: Prepared, tmp_path: Path, attention: Any
) -> None:
    """Rows of many lengths, so that the kernel's compiled for no one of them."""
    found = []
    base = str(save_tiny_model(tmp_path / "base"))
    for kind in (attention, "sdpa"):
        recipe = replace(SMALL, base=base, attention=kind, paraphrase_share=0.5)
        trainer, mixture, _ = trainer_of(shop, recipe, tmp_path / kind)
        wake(trainer)
        rows = [packed_row(prompts) for prompts in sorted(mixture.windows("train"), key=len)[::8]]
        assert len({len(row["input_ids"]) for row in rows}) > 2
        found.append(loss_and_gradients(trainer, rows))
    (loss, gradients), (dense_loss, dense_gradients) = found
    assert loss == pytest.approx(dense_loss, rel=1e-5)
    assert len(gradients) == len(dense_gradients) > 0
    for ours, dense in zip(gradients, dense_gradients, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-3, atol=1e-5)


def test_the_engine_says_on_a_gpu_what_it_says_on_the_cpu(tmp_path: Path) -> None:
    tiny = save_model(tmp_path / "tiny")
    adapter = save_adapter(tiny, tmp_path / "adapter")
    here = load(str(tiny), "float32", adapter)
    there = TorchEngine(TransformersBackbone(adapted(str(tiny), "float32", adapter)))
    assert (here.name, there.name) == ("torch cuda float32", "torch cpu float32")
    asked = [Request(CONTEXT, QUESTIONS), Request(CONTEXT[:20], QUESTIONS)]
    for ours, theirs in zip(here.score(asked), there.score(asked), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3, rtol=0)


def test_four_bit_weights_learn(shop: Prepared, tmp_path: Path) -> None:
    """QLoRA lowers the validation loss over a base in 4 bits; its adapter opens over the whole one."""
    base = str(save_tiny_model(tmp_path / "base", "qwen3", spread=0.2))
    recipe = replace(
        SMALL, base=base, dtype="bfloat16", quantization="4bit", attention="auto", gradient_checkpointing=True,
        steps=30, evaluate_every=1, learning_rate=5e-3,
    )  # fmt: skip
    trainer, _, _ = trainer_of(shop, recipe, tmp_path / "seen")
    assert "Linear4bit" in {type(module).__name__ for module in trainer.model.modules()}
    folder = train(shop, recipe, tmp_path / "run")
    curve = [p["eval_loss"] for p in AdapterCard.load(folder).training["log"] if "eval_loss" in p]
    assert curve[-1] < curve[0] - 0.05
    asked = [Request(CONTEXT, QUESTIONS)]
    adapted, whole = (load(base, "bfloat16", of).score(asked)[0] for of in (folder, None))
    assert max(np.abs(a - b).max() for a, b in zip(adapted, whole, strict=True)) > 0.01
