"""How long a run is and how far it is: a number of steps, the schedule of an earlier run, or minutes by the clock."""

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from genrec.fields import read_stored
from genrec.files import file_written_whole

FEWEST = 3  # steps of a run by the clock, however slow the machine
UNLIMITED = 1_000_000  # steps: what the Trainer is told of a run that the clock ends
WARM_UP = 0.25  # of a run, at most
EXPORT = 5.0  # seconds: the last checkpoint and the adapter, before a checkpoint has been timed
FORWARD = 0.75  # of a training token's time, before an evaluation has been timed; .73 in one run on two cores
RECENT = 5  # steps whose mean time is expected of the next one
DIGITS = 6  # of a recorded share; the run itself uses the rounded number, so that a replay has the same


class Schedule(Protocol):
    """What the learning rate and the targets' lean follow."""

    @property
    def steps(self) -> int | None:
        """How many there are; None while the clock has not decided it."""
        ...

    def share(self, step: int) -> float:
        """The share of the run that was over when step number `step` began, from 0 to 1. Steps count from 0."""
        ...


@dataclass(frozen=True)
class Counted:
    """So many steps, each as long as any other."""

    steps: int

    def share(self, step: int) -> float:
        return step / self.steps


@dataclass(frozen=True)
class Recorded:
    """The schedule of a run that the clock has ended. shares: of each step."""

    shares: tuple[float, ...]

    @property
    def steps(self) -> int:
        return len(self.shares)

    def share(self, step: int) -> float:
        return self.shares[step] if step < self.steps else 1.0


class Timed(TrainerCallback):
    """A run that ends when its seconds are over, its last evaluation and its export included.

    spent: the seconds so far, over all resumes. evaluation_steps: how many training steps have as many tokens as an
    evaluation. record: is written once the run's last step is done (see `write`), before its last checkpoint.
    The Trainer must have no end of its own (`UNLIMITED`).
    """

    steps: int | None = None

    def __init__(
        self, seconds: float, spent: Callable[[], float], evaluation_steps: float, record: Path
    ) -> None:
        self.seconds, self.spent, self.record = seconds, spent, record
        self.shares = [0.0]
        self._evaluation_steps = evaluation_steps
        self._recent = deque[float](maxlen=RECENT)
        self._begin = self._mark = time.monotonic()
        self._evaluation: float | None = None
        self._saving = 0.0

    def share(self, step: int) -> float:
        """Asked of the next step when one has ended. It never falls, and a run that is too slow has FEWEST steps."""
        if step == len(self.shares):
            share = self.spent() / max(self.seconds - self._reserve(), self.seconds / 2)
            share = min(share, 1.0 if step >= FEWEST else step / FEWEST)
            self.shares.append(max(self.shares[-1], round(share, DIGITS)))
        return self.shares[step]

    @property
    def seconds_left(self) -> float:
        return max(self.seconds - self.spent(), 0.0)

    def _step(self) -> float:
        """Seconds that the next step is expected to take."""
        return sum(self._recent) / max(len(self._recent), 1)

    def _reserve(self) -> float:
        """Seconds that what comes after the last step is expected to take, by what it took before."""
        guess = FORWARD * self._evaluation_steps * self._step()
        evaluation = guess if self._evaluation is None else self._evaluation
        return evaluation + max(EXPORT, 2 * self._saving)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begin = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._mark = time.monotonic()
        self._recent.append(self._mark - self._begin)
        end = self.spent() + self._step() + min(self._reserve(), self.seconds / 2)
        if state.global_step >= FEWEST and end > self.seconds:
            self.steps = state.global_step
            write(self.record, Recorded(tuple(self.shares[: self.steps])))
            control.should_evaluate = control.should_save = control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The first of what the Trainer does between steps."""
        now = time.monotonic()
        self._evaluation, self._mark = now - self._mark, now

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.monotonic()
        self._saving, self._mark = now - self._mark, now


def learning_rate_factor(schedule: Schedule, step: int, warmup_steps: int) -> float:
    """Rises linearly over warmup_steps, or over WARM_UP of the run if that is shorter, then falls linearly to 0."""
    share = schedule.share(step)
    for warm in range(step + 1):
        if warm >= warmup_steps or schedule.share(warm) >= WARM_UP:
            left = 1 - schedule.share(warm)
            return (1 - share) / left if left else 0.0
    return max(step / warmup_steps, share / WARM_UP)


def plain(schedule: Counted | Recorded) -> dict[str, Any]:
    """The number of steps and, where the clock has ended the run, the share at each."""
    shares = {"shares": list(schedule.shares)} if isinstance(schedule, Recorded) else {}
    return {"steps": schedule.steps, **shares}


def write(path: Path, schedule: Counted | Recorded) -> None:
    """Replace a run's steps.json whole."""
    with file_written_whole(path) as part:
        part.write_text(json.dumps(plain(schedule)))


def read(path: Path, cure: str) -> Counted | Recorded:
    """What `write` wrote. Raises UserError, with this cure, for anything else."""
    stored = read_stored(path, {"steps": int}, cure)
    if "shares" not in stored:
        return Counted(stored["steps"])
    shares: Sequence[float] = read_stored(path, {"shares": [float]}, cure)["shares"]
    return Recorded(tuple(shares))
