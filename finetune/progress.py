"""What a training run says while it trains: the step, the loss, the speed and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from genrec.progress import Progress


class StepProgress(TrainerCallback):
    """Tells a Progress of each step and each loss. seconds_left: by the run's own clock, where it has one."""

    def __init__(self, shown: Progress, seconds_left: Callable[[], float] | None = None) -> None:
        self.shown, self.seconds_left = shown, seconds_left
        self._tokens, self._seconds = 0.0, 0.0  # at the last loss

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A run that is resumed begins at the step of its checkpoint."""
        self.shown.restart(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.shown.done = state.global_step
        if self.seconds_left is not None:
            self.shown.seconds_left = self.seconds_left()

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Its `logs` are as SharedContextTrainer.log makes them, with the tokens and seconds of the whole run."""
        logs = more["logs"]
        if "loss" not in logs:
            return
        seconds, tokens = logs["seconds"] - self._seconds, logs["num_tokens"] - self._tokens
        self.shown.note = f"loss {logs['loss']:.3g}"
        if self._seconds and seconds > 0:  # the first one also counts what went before
            self.shown.note += f", {tokens / seconds:,.0f} tokens/s"
        self._tokens, self._seconds = logs["num_tokens"], logs["seconds"]


@contextmanager
def training_shown(
    trainer: Trainer, steps: int | None, seconds_left: Callable[[], float] | None = None
) -> Iterator[None]:
    """Show the training that runs in the block, in place of what transformers prints of it.

    steps: how many the run has, None where its clock decides.
    """
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    with Progress("training", total=steps, unit="step") as shown:
        callback = StepProgress(shown, seconds_left)
        trainer.add_callback(callback)
        try:
            yield
        finally:
            trainer.remove_callback(callback)
