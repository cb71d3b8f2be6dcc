"""How far two sets of answers to the same prompts lie apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.parity.drawn import DrawnPrompt

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}  # of log-odds; also what counts as a tie


def gap(prompts: Sequence[DrawnPrompt], a: np.ndarray, b: np.ndarray, tie: float) -> dict[str, Any]:
    """a, b (n,): log-odds. `flips`: pairs of one user and task that the two order differently; `flips_beyond_ties`:
    those that lie more than `tie` apart in both."""
    apart = np.abs(a - b)
    tasks = np.array([prompt.task for prompt in prompts])
    pairs, flips, beyond = _order(prompts, a, b, tie)
    return {
        "n": len(prompts),
        "largest": float(apart.max()),
        "mean": float(apart.mean()),
        "largest_by_task": {
            task: float(apart[tasks == task].max()) for task in dict.fromkeys(tasks.tolist())
        },
        "pairs": pairs,
        "flips": flips,
        "flips_beyond_ties": beyond,
    }


def _order(prompts: Sequence[DrawnPrompt], a: np.ndarray, b: np.ndarray, tie: float) -> tuple[int, int, int]:
    groups: dict[tuple[str, str], list[int]] = {}
    for n, prompt in enumerate(prompts):
        groups.setdefault((prompt.task, prompt.user_id), []).append(n)
    pairs = flips = beyond = 0
    for members in groups.values():
        first, second = np.triu_indices(len(members), 1)
        at = np.asarray(members)
        left, right = (x[at[first]] - x[at[second]] for x in (a, b))
        turned = left * right < 0
        pairs, flips = pairs + len(first), flips + int(turned.sum())
        beyond += int((turned & (np.minimum(np.abs(left), np.abs(right)) > tie)).sum())
    return pairs, flips, beyond


def kept(against_reference: Sequence[dict[str, Any]], tolerance: float) -> bool:
    """The contract: every way within the tolerance of the reference, and no order turned beyond a tie."""
    return all(g["largest"] <= tolerance and g["flips_beyond_ties"] == 0 for g in against_reference)
