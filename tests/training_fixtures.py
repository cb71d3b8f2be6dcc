"""Small things to train on: a tiny random language model on disk, and a simulated shop prepared in memory."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from finetune.recipe import Recipe
from genrec.dataset import Prepared, prepare
from genrec.sources.simulator import load
from genrec.tasks import load_tasks
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.pack import TASKS

SMALL = Recipe(
    name="small", dtype="float32", history_tokens=160, rows_per_step=2, steps=6, save_every=2, evaluate_every=6,
    valid_windows=4, warmup_steps=1, learning_rate=1e-2,
)  # fmt: skip
ARCHITECTURES = ("llama", "qwen3")


def tiny_config(
    architecture: str, vocabulary: int, head_dim: int = 16, spread: float = 0.02
) -> PretrainedConfig:
    return AutoConfig.for_model(
        architecture,
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        initializer_range=spread,
    )


def save_tiny_model(
    folder: Path, architecture: str = "llama", head_dim: int = 16, spread: float = 0.02
) -> Path:
    """Random weights with the built-in model's tokenizer; the same on every call. spread: of the weights; 0.02 answers
    all questions nearly alike, 0.2 some nats apart."""
    tokenizer = load_tokenizer(BUILT_IN)
    torch.manual_seed(0)
    config = tiny_config(architecture, len(tokenizer), head_dim, spread)
    config.eos_token_id = tokenizer.eos_token_id
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_shop(users: int = 40, items: int = 30, days: int = 20, train: float = 0.8) -> Prepared:
    loaded = load(users=users, items=items, days=days, seed=0)
    rest = (1 - train) / 2
    loaded = loaded._replace(
        reading=replace(loaded.reading, split={"by": "time", "fractions": [train, rest, rest]})
    )
    tasks = load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels)
    return prepare(loaded, tasks)
