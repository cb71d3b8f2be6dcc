"""Checkpoints that survive a kill: one counts once a marker with its files' hashes has been written last."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

MARKER = "complete.json"
LOG_VARIANCE = "task_log_variance"
SPENT = "spent.json"
SHARES = "shares.json"
KEPT = 2


class Spent(NamedTuple):
    """What stands behind some weights, over all resumes; what a kill lost is not counted. seconds: validation too."""

    tokens: int = 0
    seconds: float = 0.0


def folder(run: str | Path, step: int) -> Path:
    return Path(run) / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def mark_complete(path: Path) -> None:
    """Flush every file, then write the marker under another name and rename it: it is there whole or not at all."""
    hashes = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name != MARKER):
        with file.open("rb") as stream:
            hashes[str(file.relative_to(path))] = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
    part = path / f".{MARKER}"
    part.write_text(json.dumps(hashes, indent=1))
    part.replace(path / MARKER)


def is_complete(path: Path) -> bool:
    """The marker is there and every file it names has its hash."""
    try:
        hashes = json.loads((path / MARKER).read_text())
        for name, expected in hashes.items():
            with (path / name).open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                    return False
    except (OSError, ValueError):
        return False
    return True


def steps(run: str | Path) -> list[int]:
    """Steps of the run's checkpoints, newest first, complete or not."""
    found = [p.name.removeprefix("checkpoint-") for p in Path(run).glob("checkpoint-*")]
    return sorted((int(step) for step in found if step.isdigit()), reverse=True)


def newest(run: str | Path) -> Path | None:
    """The newest complete checkpoint, by the step in its path."""
    return next((folder(run, step) for step in steps(run) if is_complete(folder(run, step))), None)


def rotate(run: str | Path) -> None:
    """Drop all but the newest KEPT; the one just marked is among them."""
    for step in steps(run)[KEPT:]:
        shutil.rmtree(folder(run, step), ignore_errors=True)


def save_spent(path: Path, spent: Spent) -> None:
    (path / SPENT).write_text(json.dumps(spent._asdict()))


def load_spent(path: str | Path) -> Spent:
    return Spent(**json.loads((Path(path) / SPENT).read_text()))


def save_shares(path: Path, shares: list[float]) -> None:
    """Of a run by the clock: how far it was at each step so far, and at the next one (finetune.budget.Schedule)."""
    (path / SHARES).write_text(json.dumps(shares))


def load_shares(path: str | Path) -> list[float]:
    shares: list[float] = json.loads((Path(path) / SHARES).read_text())
    return shares


def save_log_variance(path: Path, value: torch.Tensor) -> None:
    save_file({LOG_VARIANCE: value.detach().cpu().contiguous()}, path / f"{LOG_VARIANCE}.safetensors")


def load_log_variance(path: str | Path, value: torch.Tensor) -> None:
    with torch.no_grad():
        value.copy_(load_file(Path(path) / f"{LOG_VARIANCE}.safetensors")[LOG_VARIANCE])
