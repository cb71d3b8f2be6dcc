"""A run by the clock: it ends in time, its schedule follows the time, is kept by a resume and can be replayed."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_fixtures import SMALL
from transformers import get_linear_schedule_with_warmup

from finetune import budget, checkpoint
from finetune.budget import FEWEST, Counted, Recorded, Timed, learning_rate_factor
from finetune.checkpoint import Spent
from finetune.run import train as train_run
from finetune.trainer import SharedContextTrainer
from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.adapter import LORA, AdapterCard


@dataclass
class Clock:
    """Stands in for the module `time`, and for the seconds that a run has spent."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    return clock


def run_of(
    seconds: float, lengths: list[float], record: Path, clock: Clock, evaluation: tuple[int, float] = (0, 0.0)
) -> Timed:
    """What a schedule does in a run of steps of these lengths. evaluation: after which step, and how long."""
    timed = Timed(seconds, clock.monotonic, 0.0, record)
    control = SimpleNamespace(should_training_stop=False)
    for step, length in enumerate(lengths):
        timed.on_step_begin(None, None, control)
        clock.now += length
        timed.share(step + 1)  # the learning rate's of the next step
        timed.on_step_end(None, SimpleNamespace(global_step=step + 1), control)
        if control.should_training_stop:
            return timed
        if step + 1 == evaluation[0]:
            clock.now += evaluation[1]
            timed.on_evaluate(None, None, control)
    raise AssertionError("it did not end")


@pytest.mark.parametrize("lengths", [[1.0] * 100, [0.1] * 50 + [5.0] * 100, [9.0, 1.0, 7.0] * 30])
def test_it_ends_in_time_and_its_share_never_falls(
    lengths: list[float], tmp_path: Path, clock: Clock
) -> None:
    timed = run_of(60.0, lengths, tmp_path / "steps.json", clock)
    schedule = budget.read(tmp_path / "steps.json", "")
    assert isinstance(schedule, Recorded)
    assert timed.steps == schedule.steps
    assert sum(lengths[: schedule.steps]) <= 60 - budget.EXPORT
    assert sum(lengths[: schedule.steps]) > 60 - budget.EXPORT - max(lengths)
    assert schedule.shares[0] == 0
    assert list(schedule.shares) == sorted(schedule.shares)
    for step, share in enumerate(schedule.shares):
        assert share == pytest.approx(sum(lengths[:step]) / (60 - budget.EXPORT), abs=1e-6)
    assert schedule.share(schedule.steps) == 1


def test_time_is_kept_for_the_last_evaluation_as_long_as_one_took(tmp_path: Path, clock: Clock) -> None:
    timed = run_of(60.0, [1.0] * 100, tmp_path / "steps.json", clock, evaluation=(10, 12.0))
    assert clock.now == 60 - budget.EXPORT - 12
    assert timed.steps == clock.now - 12
    assert timed.shares == sorted(timed.shares)


def test_it_takes_a_few_steps_however_slow_the_machine_and_the_rate_falls_over_them(
    tmp_path: Path, clock: Clock
) -> None:
    timed = run_of(60.0, [500.0] * 10, tmp_path / "steps.json", clock)
    assert timed.steps == FEWEST
    assert timed.shares[:FEWEST] == pytest.approx([step / FEWEST for step in range(FEWEST)], abs=1e-6)


def test_the_rate_of_counted_steps_is_the_linear_one() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    linear = get_linear_schedule_with_warmup(optimizer, 5, 40)
    for step in range(40):
        assert learning_rate_factor(Counted(40), step, 5) == pytest.approx(linear.get_last_lr()[0])
        optimizer.step()
        linear.step()


def test_warming_up_takes_no_more_than_a_quarter_of_a_short_run() -> None:
    rates = [learning_rate_factor(Counted(8), step, 100) for step in range(9)]
    assert rates == pytest.approx([0, 0.5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])


@pytest.fixture
def a_second_a_step(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """A run's clock counts a second for each step, and no other time goes by: as many steps on any machine."""
    seconds = property(lambda trainer: Spent(trainer._tokens, float(trainer.state.global_step)))
    monkeypatch.setattr(SharedContextTrainer, "spent", seconds)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter" / LORA)


def of_minutes(base: Path, **changes: Any) -> Any:
    return replace(
        SMALL,
        base=str(base),
        steps=None,
        minutes=0.25,
        lean_for=1.0,
        save_every=3,
        evaluate_every=4,
        **changes,
    )


@pytest.mark.usefixtures("a_second_a_step")
def test_a_replay_has_the_same_steps_and_weights_bit_for_bit(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    recipe = of_minutes(base)
    train_run(shop, recipe, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "steps.json").read_text())
    card = AdapterCard.load(tmp_path / "run" / "adapter")
    assert FEWEST <= stored["steps"] == len(stored["shares"]) == card.training["steps"]
    assert card.training["shares"] == stored["shares"]
    assert card.training["log"][-1]["step"] == stored["steps"]
    train_run(shop, recipe, tmp_path / "again", replay=tmp_path / "run" / "steps.json")
    first, second = weights(tmp_path / "run"), weights(tmp_path / "again")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (tmp_path / "again" / "steps.json").read_text() == (tmp_path / "run" / "steps.json").read_text()
    train_run(shop, replace(recipe, minutes=None, steps=stored["steps"]), tmp_path / "counted")
    even = weights(tmp_path / "counted")
    assert not all(torch.equal(first[name], even[name]) for name in first)  # so the shares do decide
    with pytest.raises(UserError, match="another schedule"):
        train_run(shop, recipe, tmp_path / "run", replay=tmp_path / "counted" / "steps.json")


@pytest.mark.usefixtures("a_second_a_step")
def test_a_resume_keeps_the_time_that_was_left_and_the_schedule(
    shop: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, mark_complete = of_minutes(base), checkpoint.mark_complete

    def killed(path: Path) -> None:
        mark_complete(path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "mark_complete", killed)
        with pytest.raises(KeyboardInterrupt):
            train_run(shop, recipe, tmp_path / "run")
    kept = checkpoint.load_shares(checkpoint.folder(tmp_path / "run", 3))
    assert len(kept) == 4
    assert not (tmp_path / "run" / "steps.json").exists()
    train_run(shop, recipe, tmp_path / "run")
    schedule = budget.read(tmp_path / "run" / "steps.json", "")
    assert isinstance(schedule, Recorded)
    assert list(schedule.shares[:4]) == kept
    assert schedule.steps <= 12
    train_run(shop, recipe, tmp_path / "whole", replay=tmp_path / "run" / "steps.json")
    resumed, whole = weights(tmp_path / "run"), weights(tmp_path / "whole")
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("a_second_a_step")
def test_few_steps_are_said_and_a_run_that_the_clock_has_ended_is_finished(
    shop: Prepared, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(of_minutes(base), minutes=0.05, dtype="bfloat16")
    train_run(shop, recipe, tmp_path / "run")
    assert f"only {FEWEST} steps" in capsys.readouterr().out
    train_run(shop, recipe, tmp_path / "run")
    assert "is finished" in capsys.readouterr().out


def test_seconds_are_counted_on_by_a_resume(tmp_path: Path, clock: Clock) -> None:
    """Killed with two thirds of its minute spent, a run ends in the last third."""
    clock.now = 40.0
    timed = Timed(60.0, clock.monotonic, 0.0, tmp_path / "steps.json")
    timed.shares = [0.0, 0.3, 0.7]
    assert timed.share(3) == pytest.approx(40 / 55, abs=1e-6)
    assert timed.seconds_left == 20


@pytest.mark.parametrize("text", ["", "[3]", '{"shares": [0]}', '{"steps": 2, "shares": ["0"]}'])
def test_a_record_that_is_none_is_refused(tmp_path: Path, text: str, shop: Prepared, base: Path) -> None:
    (tmp_path / "steps.json").write_text(text)
    with pytest.raises(UserError, match=r"(?s)steps.json is damaged.*name a run's folder"):
        train_run(shop, of_minutes(base), tmp_path / "run", replay=tmp_path / "steps.json")
    assert not (tmp_path / "run").exists()
