"""What a run that is killed, resumed, finished or changed keeps: its step count, its recipe, its loss, its adapter."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_fixtures import SMALL

from finetune import checkpoint
from finetune.recipe import Lora
from finetune.run import train as train_run
from finetune.trainer import SharedContextTrainer
from genrec.cli import main
from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.adapter import AdapterCard


def test_a_run_killed_before_its_first_checkpoint_keeps_its_step_count_and_its_recipe(
    shop: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, base=str(base), steps=None, epochs=0.1)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SharedContextTrainer, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train_run(shop, recipe, tmp_path / "run")
    monkeypatch.undo()
    steps = json.loads((tmp_path / "run" / "steps.json").read_text())["steps"]
    with pytest.raises(UserError, match="epochs"):
        train_run(shop, replace(recipe, epochs=0.2), tmp_path / "run")
    assert AdapterCard.load(train_run(shop, recipe, tmp_path / "run")).training["steps"] == steps


def test_a_finished_run_is_left_as_it_is(
    shop: Prepared, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(SMALL, base=str(base), steps=2)
    adapter = train_run(shop, recipe, tmp_path / "run")
    replace(AdapterCard.load(adapter), metrics={"ask": {"click": {}}}).save(adapter)
    (adapter / "merged-float32").mkdir()
    assert train_run(shop, recipe, tmp_path / "run") == adapter
    assert "is finished" in capsys.readouterr().out
    assert AdapterCard.load(adapter).metrics == {"ask": {"click": {}}}
    assert (adapter / "merged-float32").exists()


def test_a_folder_refuses_to_continue_with_another_recipe_or_other_data(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    recipe = replace(SMALL, base=str(base), steps=2)
    train_run(shop, recipe, tmp_path / "run")
    with pytest.raises(UserError, match="learning_rate"):
        train_run(shop, replace(recipe, learning_rate=1e-3), tmp_path / "run")
    turned = replace(shop, examples=shop.examples.assign(weight=2.0))
    with pytest.raises(UserError, match="another data"):
        train_run(turned, recipe, tmp_path / "run")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_restart_that_is_refused_leaves_the_old_run_as_it_was(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    """By the schedule, by the names of tasks, by the tokenizer, and by the model once the rows are made."""
    run, recipe = tmp_path / "run", replace(SMALL, base=str(base), steps=2)
    train_run(shop, recipe, run)
    before = files(run)
    with pytest.raises(UserError, match="damaged"):
        train_run(shop, recipe, run, restart=True, replay=tmp_path / "nowhere" / "steps.json")
    assert files(run) == before
    for changes in ({"weights": {"nxt": 1.0}}, {"base": "./nowhere"}, {"lora": Lora(last_layers=99)}):
        with pytest.raises(UserError):
            train_run(shop, replace(recipe, **changes), run, restart=True)
        assert files(run) == before


def test_a_restart_may_replay_the_run_that_it_deletes(
    shop: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = tmp_path / "run", tmp_path / "shop"
    shop.save(data)
    train_run(shop, replace(SMALL, base=str(base), steps=3), run)
    (run / "eval").mkdir()
    (run / "eval" / "report.json").write_text("of the old run")
    (tmp_path / "mine.yaml").write_text(f"{{base: {base}, dtype: float32, steps: 9, valid_windows: 4}}")
    monkeypatch.chdir(tmp_path)
    given = ["train", "shop", "--recipe", "mine.yaml", "--out", "run", "--replay", "run", "--restart"]
    assert main(given) == 0
    assert AdapterCard.load(run / "adapter").training["steps"] == 3
    assert not (run / "eval").exists()
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_checkpoints_of_a_run_that_nothing_names_are_not_continued(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    run, recipe = tmp_path / "run", replace(SMALL, base=str(base), steps=2)
    train_run(shop, recipe, run)
    (run / "run.json").unlink()
    before = files(run)
    with pytest.raises(UserError, match=r"no run\.json says of which run") as caught:
        train_run(shop, replace(recipe, steps=4), run)
    assert "--restart" in caught.value.cure
    assert files(run) == before
    resumed = AdapterCard.load(train_run(shop, replace(recipe, steps=4), run, restart=True)).training
    assert resumed["resumed_from"] is None
    assert resumed["steps"] == 4


RUN = """
import sys, pickle
from finetune.run import train
shop, recipe = pickle.load(open(sys.argv[1], "rb"))
train(shop, recipe, __import__("pathlib").Path(sys.argv[2]))
"""


def same_weights(one: Path, other: Path) -> None:
    """Of two adapter folders."""
    first, second = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5)


def test_killed_after_a_checkpoint_it_resumes_to_the_same_weights(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    import pickle

    recipe = replace(SMALL, base=str(base), steps=8, save_every=2, evaluate_every=8)
    job = tmp_path / "job.pkl"
    job.write_bytes(pickle.dumps((shop, recipe)))
    whole = train_run(shop, recipe, tmp_path / "whole")

    def start(out: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, str(job), str(tmp_path / out)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip

    process = start("killed")
    while process.poll() is None and checkpoint.newest(tmp_path / "killed") is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # as soon as a checkpoint is whole
    process.wait()
    assert not (tmp_path / "killed" / "adapter").exists()
    assert start("killed").wait() == 0
    one, two = (AdapterCard.load(f) for f in (whole, tmp_path / "killed" / "adapter"))
    assert two.training["resumed_from"].startswith("checkpoint-")
    assert one.metrics["loss"] == pytest.approx(two.metrics["loss"], rel=1e-5)
    same_weights(whole, tmp_path / "killed" / "adapter")


def test_a_resumed_run_goes_on_as_if_it_had_never_been_stopped(
    shop: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, base=str(base), steps=6, save_every=4, evaluate_every=1)
    whole_run = train_run(shop, recipe, tmp_path / "whole")
    whole = AdapterCard.load(whole_run).training

    def killed(path: Path) -> None:
        mark_complete(path)
        raise KeyboardInterrupt

    mark_complete = checkpoint.mark_complete
    monkeypatch.setattr(checkpoint, "mark_complete", killed)
    with pytest.raises(KeyboardInterrupt):
        train_run(shop, recipe, tmp_path / "killed")
    monkeypatch.undo()
    kept = checkpoint.folder(tmp_path / "killed", 4)
    before, written = checkpoint.load_spent(kept), (kept / checkpoint.MARKER).stat().st_mtime_ns
    resumed_run = train_run(shop, recipe, tmp_path / "killed")
    resumed = AdapterCard.load(resumed_run).training
    assert resumed["resumed_from"] == "checkpoint-4"
    assert (kept / checkpoint.MARKER).stat().st_mtime_ns == written  # no step before it was taken again
    same_weights(whole_run, resumed_run)  # with the optimizer's moments and the schedule of the whole run
    assert resumed["tokens"] == whole["tokens"] > before.tokens
    assert resumed["seconds"] > before.seconds > 0
    assert [e["num_tokens"] for e in resumed["log"]] == [e["num_tokens"] for e in whole["log"]]
    seconds = [entry["seconds"] for entry in resumed["log"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= resumed["seconds"] + 0.1


def test_a_checkpoint_counts_only_when_whole(tmp_path: Path) -> None:
    for step in (2, 10):
        folder = checkpoint.folder(tmp_path, step)
        folder.mkdir()
        (folder / "weights").write_text("w" * step)
        checkpoint.mark_complete(folder)
    assert checkpoint.newest(tmp_path) == checkpoint.folder(tmp_path, 10)
    (checkpoint.folder(tmp_path, 10) / "weights").write_text("cut")
    assert checkpoint.newest(tmp_path) == checkpoint.folder(tmp_path, 2)
    (checkpoint.folder(tmp_path, 2) / checkpoint.MARKER).unlink()
    assert checkpoint.newest(tmp_path) is None
