"""A time budget turned into a step count: a probe measures this machine once, the count is recorded and kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

PROBED_TOKENS = {"cpu": 6_000, "cuda": 60_000}
WARM_UP = {"cpu": 1, "cuda": 4}  # rows: a GPU's kernels are loaded, and compiled for the first two lengths
RESERVE = 0.2  # of the budget: optimizer, checkpoints and validation, which the probe does not see


@dataclass(frozen=True)
class Probe:
    """seconds_per_token: forward and backward. steps: what the budget buys."""

    seconds_per_token: float
    tokens_per_step: float
    steps: int


def probe(trainer: Any, rows: Sequence[dict[str, Any]], minutes: float, rows_per_step: int) -> Probe:
    """Time the training step on some rows, without an optimizer step: weights and random state stay as they are."""
    model, device = trainer.model, trainer.args.device.type
    model.train()
    spent, tokens = 0.0, 0
    for number, row in enumerate(rows):
        batch = trainer._prepare_inputs(trainer.data_collator([row]))
        start = time.perf_counter()
        trainer.accelerator.backward(trainer.compute_loss(model, batch))
        if device == "cuda":
            torch.cuda.synchronize()
        if number >= min(WARM_UP[device], len(rows) - 1):
            spent += time.perf_counter() - start
            tokens += batch["input_ids"].numel()
        if tokens >= PROBED_TOKENS[device]:
            break
    model.zero_grad(set_to_none=True)
    lengths = [len(row["input_ids"]) for row in rows]
    per_step = rows_per_step * sum(lengths) / len(lengths)
    seconds = spent / max(tokens, 1)
    return Probe(seconds, per_step, max(int(minutes * 60 * (1 - RESERVE) / (seconds * per_step)), 1))
