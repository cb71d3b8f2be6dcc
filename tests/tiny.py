"""Tiny random language models for tests: two layers, width 64, a vocabulary of 128, and LoRA adapters for them."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 128


def save_model(folder: Path, architecture: str = "llama", **changes: Any) -> Path:
    """Random weights, large enough that answers differ by some nats; the same on every call."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
        "initializer_range": 0.2, "tie_word_embeddings": True, "eos_token_id": 0, "bos_token_id": 0,
    }  # fmt: skip
    config = AutoConfig.for_model(architecture, **(sizes | changes))
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path) -> Path:
    """A word a token: "w0" to "w127", and a chat template."""
    backend = Tokenizer(WordLevel({f"w{n}": n for n in range(VOCABULARY)}, unk_token="w1"))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="w0", unk_token="w1")
    tokenizer.chat_template = "{% for m in messages %}w2 {{ m.content }} w3 {% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, seed: int = 1, **options: Any) -> Path:
    """A LoRA adapter on every linear layer whose B is not zero, so that it changes the model. options: LoraConfig's."""
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    chosen: dict[str, Any] = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | options
    tuned = get_peft_model(model, LoraConfig(**chosen))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    tuned.save_pretrained(str(folder))
    return folder
