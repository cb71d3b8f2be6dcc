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
    stated: torch.Tensor | None = None,
    lean: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of negative log-likelihoods and of weights, per task: two (T,) float32 tensors.

    logits: (R, V) at the reads. task, target (token ids), weight: (R,). answers[t]: (A,) token ids among which task t
    chooses; empty where it chooses among the whole vocabulary. stated: (R,) a share of the first of two answers, or
    what stands for the weight of a token of the vocabulary, NaN where there is none; lean: how much of the target it
    is, the rest is the answer itself. The weights that are summed are the answers'.
    """
    sums, counts = [], []
    for number, among in enumerate(answers):
        mine = task == number
        rows, goal = logits[mine], target[mine]
        if len(among):
            rows = rows[:, among]
            goal = (goal[:, None] == among[None, :]).int().argmax(1)
        aim, heavy = goal, weight[mine]
        if stated is not None and lean and len(among) == 2:
            aim = _leaning(goal, stated[mine], lean)
        elif stated is not None and lean and not len(among):
            heavy = torch.where(stated[mine].isnan(), heavy, (1 - lean) * heavy + lean * stated[mine])
        losses = functional.cross_entropy(rows.float(), aim, reduction="none")
        sums.append((losses * heavy).sum())
        counts.append(weight[mine].sum())
    return torch.stack(sums), torch.stack(counts).float()


def _leaning(goal: torch.Tensor, stated: torch.Tensor, lean: float) -> torch.Tensor:
    """(r, 2) probabilities of the two answers: goal's, moved towards what is stated."""
    first = (goal == 0).float()
    first = torch.where(stated.isnan(), first, (1 - lean) * first + lean * stated.float())
    return torch.stack([first, 1 - first], dim=1)


def means(sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(T,) sums / weights, whatever these add up to; 0 for a task that has none."""
    return sums / torch.where(weights > 0, weights, 1.0)
