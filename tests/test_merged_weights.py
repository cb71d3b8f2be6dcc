"""The folder of merged weights: what transformers would save, and found again without a look at any model's weights."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import save_adapter, save_model, save_tokenizer
from transformers import AutoModelForCausalLM
from untrained_adapter import save_untrained_adapter

from genrec.dataset import Prepared
from prompts.adapter import AdapterCard
from prompts.base_files import fingerprint
from prompts.dtypes import DTYPES
from prompts.language_model import load_tokenizer
from serve import merged
from serve.gateway import run
from serve.merged import ready
from serve.weights import adapted, merged_folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_written_is_what_transformers_would_save(dtype: str, tied: bool, tmp_path: Path) -> None:
    base = save_tokenizer(save_model(tmp_path / "base", tie_word_embeddings=tied))
    adapter = save_adapter(base, tmp_path / "adapter")
    folder = merged_folder(str(base), dtype, adapter, "mark")
    adapted(str(base), dtype, adapter).save_pretrained(tmp_path / "theirs")
    ours, theirs = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "theirs"))
    assert set(ours) == set(theirs)
    for name, weight in theirs.items():
        assert ours[name].dtype == weight.dtype
        assert torch.equal(ours[name], weight)
    opened: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert opened.dtype == DTYPES[dtype]
    configs = [json.loads((place / "config.json").read_text()) for place in (folder, tmp_path / "theirs")]
    assert configs[0]["dtype"] == configs[1]["dtype"] == dtype
    before, after = load_tokenizer(str(base)), load_tokenizer(str(folder))
    assert before.backend_tokenizer.to_str() == after.backend_tokenizer.to_str()
    assert before.chat_template == after.chat_template


def test_another_kind_of_model_is_merged_as_before(tmp_path: Path) -> None:
    base = save_tokenizer(save_model(tmp_path / "base", "qwen3"))
    folder = merged_folder(str(base), "float32", save_adapter(base, tmp_path / "adapter"), "mark")
    assert torch.equal(
        load_file(folder / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"],
        adapted(str(base), "float32", tmp_path / "adapter").model.layers[0].self_attn.q_proj.weight,
    )


@pytest.fixture
def adapter(shop: Prepared, tmp_path: Path) -> Path:
    return save_untrained_adapter(tmp_path, shop)


def written(adapter: Path, dtype: str = "float32") -> Path:
    base = AdapterCard.load(adapter).base["name"]
    return merged_folder(base, dtype, adapter, fingerprint(base))


def test_a_second_start_starts_no_process_and_reads_no_model(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's process is then the only one that looks at the weights."""
    assert ready(adapter, AdapterCard.load(adapter)) is None
    folder = run.weights(adapter)
    assert folder == written(adapter)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process is started"))
    for file in (
        *folder.glob("*.safetensors"),
        Path(AdapterCard.load(adapter).base["name"], "model.safetensors"),
    ):
        file.unlink()
    assert run.weights(adapter) == folder


def test_merged_weights_of_another_adapter_or_base_are_not_taken(adapter: Path) -> None:
    folder, card = written(adapter), AdapterCard.load(adapter)
    assert ready(adapter, card) == folder
    says = json.loads((folder / "merged.json").read_text())
    for change in ({"adapter": "0" * 64}, {"base": "0" * 64}):
        (folder / "merged.json").write_text(json.dumps(says | change))
        assert ready(adapter, card) is None


@pytest.mark.parametrize("certain", [True, False])
def test_merged_weights_in_bfloat16_are_taken_where_they_surely_serve(
    certain: bool, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied to a processor that computes in float32 they are not the weights to serve there."""
    card = AdapterCard.load(adapter)
    card = AdapterCard(**{**vars(card), "dtype": "bfloat16"})
    card.save(adapter)
    folder = written(adapter, "bfloat16")
    monkeypatch.setattr(merged, "_bfloat16_is_certain", lambda: certain)
    assert ready(adapter, card) == (folder if certain else None)
    if not certain:
        assert written(adapter) == ready(adapter, card)
