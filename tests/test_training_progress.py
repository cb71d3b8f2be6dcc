"""What a training run prints: its step, loss and speed in words, never a dictionary."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from training_fixtures import SMALL

from finetune import progress
from finetune.progress import StepProgress
from finetune.run import train as train_run
from genrec.dataset import Prepared
from genrec.progress import Progress


def at(step: int) -> Any:
    return SimpleNamespace(global_step=step)


def test_a_line_says_the_step_the_loss_the_speed_and_the_time_left() -> None:
    shown = Progress("training", total=300, unit="step")
    callback = StepProgress(shown)
    callback.on_train_begin(None, at(200), None)
    callback.on_step_end(None, at(225), None)
    callback.on_log(None, None, None, logs={"loss": 0.6123, "num_tokens": 8_000, "seconds": 10.0})
    assert shown.line(elapsed=20) == "training: step 225 of 300, loss 0.612, 60 s left"
    callback.on_log(None, None, None, logs={"eval_loss": 0.7, "num_tokens": 8_000, "seconds": 12.0})
    callback.on_log(None, None, None, logs={"loss": 0.5, "num_tokens": 16_200, "seconds": 30.0})
    assert shown.line(elapsed=20) == "training: step 225 of 300, loss 0.5, 410 tokens/s, 60 s left"


def test_a_run_by_the_clock_says_the_clocks_time_left() -> None:
    shown = Progress("training", unit="step")
    callback = StepProgress(shown, seconds_left=lambda: 240.0)
    callback.on_step_end(None, at(31), None)
    assert shown.line(elapsed=20) == "training: step 31, 4 min left"


def test_a_run_prints_no_dictionary(
    shop: Prepared,
    base: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = []

    class Kept(Progress):
        def advance(self, n: int = 1) -> None:
            pytest.fail("the callback sets the step itself")

        def __exit__(self, *error: Any) -> None:
            lines.append(self.line(elapsed=10))

    monkeypatch.setattr(progress, "Progress", Kept)
    train_run(shop, replace(SMALL, base=str(base), steps=5), tmp_path / "run")
    out, err = capfd.readouterr()
    assert "{" not in out + err
    (line,) = lines
    assert line.startswith("training: step 5 of 5, loss ")
