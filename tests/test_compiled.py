"""Compiled layers train the same adapter, resume to the same bytes, and are done without where nothing compiles."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_fixtures import SMALL

from finetune import compiled
from finetune.recipe import Lora, Recipe
from finetune.run import train
from genrec.dataset import Prepared
from prompts.adapter import LORA


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / LORA)


@pytest.mark.slow
def test_compiled_layers_train_the_same_adapter_and_resume_to_the_same_bytes(
    shop: Prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe: Recipe = replace(SMALL, base=str(base), lora=Lora(rank=4, last_layers=1), steps=4, save_every=2)
    plain = weights(train(shop, recipe, tmp_path / "plain"))
    counted = list[int]()
    compile_layers = compiled.compile_layers
    monkeypatch.setattr("finetune.run.compile_layers", lambda model: counted.append(compile_layers(model)))
    run = tmp_path / "compiled"
    whole = weights(train(shop, replace(recipe, compile=True), run))
    if counted == [0]:
        pytest.skip("nothing compiles here")
    assert counted == [2]
    for name, weight in plain.items():
        torch.testing.assert_close(whole[name], weight, atol=1e-4, rtol=1e-3)
    for step in (run / "checkpoint-4").iterdir():
        step.unlink()
    (run / "checkpoint-4").rmdir()
    resumed = weights(train(shop, replace(recipe, compile=True), run))
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())


def test_without_a_compiler_one_line_says_so_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> torch.Tensor:
        raise RuntimeError("No working C++ compiler found\nand much more")

    monkeypatch.setattr(torch, "compile", lambda function: fails)
    assert compiled.compile_layers(torch.nn.Linear(2, 2)) == 0
    said = capsys.readouterr().err
    assert said == "training goes on without compiled layers: No working C++ compiler found\n"
