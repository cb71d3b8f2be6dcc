"""The loss of each task, from logits at the read places. One rule for packed and unpacked rows alike."""

from collections.abc import Sequence

import torch
from torch.nn import functional


def task_sums(
    logits: torch.Tensor,
    task: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    answers: Sequence[torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of negative log-likelihoods and of weights, per task: two (T,) float32 tensors.

    logits: (R, V) at the reads. task, target (token ids), weight: (R,). answers[t]: (A,) token ids among which task t
    chooses; empty where it chooses among the whole vocabulary.
    """
    sums, counts = [], []
    for number, among in enumerate(answers):
        mine = task == number
        rows, goal = logits[mine], target[mine]
        if len(among):
            rows = rows[:, among]
            goal = (goal[:, None] == among[None, :]).int().argmax(1)
        losses = functional.cross_entropy(rows.float(), goal, reduction="none")
        sums.append((losses * weight[mine]).sum())
        counts.append(weight[mine].sum())
    return torch.stack(sums), torch.stack(counts).float()


def means(sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(T,) sums / weights, whatever these add up to; 0 for a task that has none."""
    return sums / torch.where(weights > 0, weights, 1.0)
