"""What a user relies on when training: packing changes nothing, targets are as stated, GPU recipes take a step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_fixtures import SMALL, save_tiny_model

from finetune import checkpoint
from finetune.losses import task_sums
from finetune.mixture import Mixture, MixtureOptions, packed_row, shares_by_rank
from finetune.recipe import Lora, Recipe, load_recipe
from finetune.run import Rows, build_rows, build_trainer, mixture_options
from finetune.run import train as train_run
from finetune.trainer import SharedContextTrainer
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.statistics.co_occurrence import named
from prompts.adapter import AdapterCard, histories_of, layout_of
from prompts.language_model import load_tokenizer


def trainer_of(shop: Prepared, recipe: Recipe, out: Path) -> tuple[SharedContextTrainer, Mixture, Rows]:
    tokenizer = load_tokenizer(recipe.base)
    layout = layout_of(shop, tokenizer)
    mixture = Mixture(
        shop, layout, histories_of(shop, layout, recipe.history_tokens), mixture_options(recipe)
    )
    rows = build_rows(mixture, recipe, out)
    return build_trainer(recipe, mixture, rows, tokenizer, out), mixture, rows


def loss_and_gradients(
    trainer: SharedContextTrainer, rows: list[dict[str, Any]]
) -> tuple[float, list[torch.Tensor]]:
    """One optimizer step's loss and gradients over rows, each task counted over all of them."""
    trainer.model.zero_grad()
    batches: list[Any] = [trainer._prepare_inputs(trainer.data_collator([row])) for row in rows]
    counts = trainer._get_num_items_in_batch(batches, trainer.args.device)
    total = 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=counts)
        loss.backward()
        total += float(loss.detach())
    return total, [p.grad.clone() for p in trainer.model.parameters() if p.grad is not None]


def wake(trainer: SharedContextTrainer) -> None:
    """LoRA starts as the identity, with no gradient in its first factor: move it off there."""
    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)


@pytest.mark.parametrize("attention", ["shared_context", "sdpa"])
def test_packed_loss_and_gradients_are_those_of_the_unpacked_prompts(
    shop: Prepared, base: Path, tmp_path: Path, attention: Any
) -> None:
    recipe = replace(SMALL, base=str(base), attention=attention, paraphrase_share=0.5)
    trainer, mixture, _ = trainer_of(shop, recipe, tmp_path)
    wake(trainer)
    windows = sorted(mixture.windows("train"), key=len)[-3:]
    packed = [packed_row(prompts) for prompts in windows]
    unpacked = [packed_row([prompt]) for prompts in windows for prompt in prompts]
    assert sum(len(r["input_ids"]) for r in unpacked) > 5 * sum(len(r["input_ids"]) for r in packed)
    loss, gradients = loss_and_gradients(trainer, packed)
    plain_loss, plain_gradients = loss_and_gradients(trainer, unpacked)
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    assert len(gradients) == len(plain_gradients) > 0
    for ours, plain in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-6)


def test_a_run_on_some_windows_has_those_of_the_log_and_its_share_of_lessons(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    def ids(recipe: Recipe) -> tuple[list[tuple[int, ...]], int]:
        rows = trainer_of(shop, recipe, tmp_path)[2]
        return [tuple(row) for row in rows.train["input_ids"]], len(rows.valid)

    recipe = replace(SMALL, base=str(base))
    every, valid = ids(recipe)
    some, same = ids(replace(recipe, windows=10))
    assert len(some) == 10
    assert set(some) < set(every)
    assert len(every) > 50
    assert same == valid >= SMALL.valid_windows
    assert len(ids(replace(recipe, windows=10, lessons=0.5))[0]) == 15
    assert ids(replace(recipe, windows=100_000))[0] == every
    assert ids(replace(recipe, windows=10, seed=1))[0] != some


def test_a_loss_does_not_depend_on_the_size_of_the_weights(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    """A log whose weights are small, or a step with one light example of a task, is no quieter than another."""
    trainer, mixture, _ = trainer_of(shop, replace(SMALL, base=str(base), weighting="learned"), tmp_path)
    rows = [packed_row(prompts) for prompts in list(mixture.windows("train"))[:2]]
    light = [{**row, "read_weight": row["read_weight"] * np.float32(1e-4)} for row in rows]
    loss, _ = loss_and_gradients(trainer, rows)
    assert loss_and_gradients(trainer, light)[0] == pytest.approx(loss, rel=1e-4)


def test_a_target_leans_on_the_stated_share_where_there_is_one() -> None:
    logits = torch.tensor([[0.0, 1.0, 9.0]] * 4)
    yes, no = 0, 1
    task, target = torch.tensor([0, 0, 0, 1]), torch.tensor([yes, no, no, 2])
    stated = torch.tensor([0.9, 0.9, np.nan, np.nan])
    answers = [torch.tensor([yes, no]), torch.tensor([], dtype=torch.long)]
    log_yes, log_no = np.log(1 / (1 + np.e)), np.log(np.e / (1 + np.e))
    sums, counts = task_sums(logits, task, target, torch.ones(4), answers, stated, 0.5)
    leaning = [0.95 * log_yes + 0.05 * log_no, 0.45 * log_yes + 0.55 * log_no, log_no]
    assert float(sums[0]) == pytest.approx(-sum(leaning), rel=1e-5)
    assert counts.tolist() == [3, 1]
    plain, _ = task_sums(logits, task, target, torch.ones(4), answers, stated)
    assert float(plain[0]) == pytest.approx(-(log_yes + 2 * log_no), rel=1e-5)
    assert plain[1] == sums[1]


def test_an_item_leans_on_the_candidates_that_its_question_states() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]] * 4)
    task, target = torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 2, 0])
    weight, stated = torch.tensor([2.0, 0.0, 0.0, 3.0]), torch.tensor([0.0, 1.5, 0.5, np.nan])
    answers = [torch.tensor([], dtype=torch.long)]
    cost = np.log(np.exp([0, 1, 2]).sum()) - np.array([0.0, 1.0, 2.0])
    for lean in (0.0, 0.25, 1.0):
        sums, counts = task_sums(logits, task, target, weight, answers, stated, lean)
        said = lean * (1.5 * cost[1] + 0.5 * cost[2]) + (1 - lean) * 2 * cost[0] + 3 * cost[0]
        assert float(sums[0]) == pytest.approx(said, rel=1e-5)
        assert counts.tolist() == [5]  # of the answers, whatever they lean on


def test_each_candidate_of_a_training_question_is_an_answer_that_weighs_nothing_by_itself(
    shop: Prepared,
) -> None:
    layout = layout_of(shop, load_tokenizer("smollm2-135m"))
    histories = histories_of(shop, layout, 160)
    leaning = Mixture(shop, layout, histories, MixtureOptions(lean=True, stats_dropout=0.0))
    plain = Mixture(shop, layout, histories, MixtureOptions(stats_dropout=0.0))
    shares = shares_by_rank(shop, "next", "running")
    assert shares.sum() == pytest.approx(1)
    rows = shop.rows("next", "train")
    stats = shop.stats["running"].iloc[rows].to_dict("records")
    held = 0
    for example, known in zip(shop.examples.iloc[rows].to_dict("records"), stats, strict=True):
        stated, answer = named(known["candidates"]), example["item_id"]
        prompts = list(leaning.prompts(example, known, True))
        assert len(prompts) == len({*stated, answer})
        (asked,) = plain.prompts(example, known, True)
        assert [p.ids.tolist() for p in prompts if p.reads[0].weight] == [asked.ids.tolist()]
        if stated:
            expected = sum(p.reads[0].stated for p in prompts)
            assert expected == pytest.approx(example["weight"])
        else:
            assert np.isnan(prompts[0].reads[0].stated)
        held += answer in stated
        (late,) = leaning.prompts({**example, "split": "valid"}, known, True)
        assert np.isnan(late.reads[0].stated)
    assert 0 < held < len(rows)


def test_targets_move_from_what_is_stated_to_the_answers(shop: Prepared, base: Path, tmp_path: Path) -> None:
    trainer, mixture, rows = trainer_of(
        shop, replace(SMALL, base=str(base), steps=40, lean_for=0.5), tmp_path
    )
    trainer.args.max_steps = 40
    leans = []
    for step in (0, 5, 10, 20, 39):
        trainer.state.global_step = step
        leans.append(trainer.lean)
    assert leans == [1.0, 0.75, 0.5, 0.0, 0.0]
    trainer.lean_to = 0.5
    trainer.state.global_step = 15
    assert trainer.lean == 0.625
    trainer.state.global_step = 40
    assert trainer.lean == 0.5
    row = rows.train[0]
    of_task = {
        task.name: np.array(row["read_stated"])[np.array(row["read_task"]) == number]
        for number, task in enumerate(mixture.tasks)
    }
    assert all(0 < share < 1 for share in of_task["click"])
    assert (of_task["next"] >= 0).all()
    batch: Any = trainer._prepare_inputs(trainer.data_collator([row]))
    whole, half = (
        trainer.task_sums(trainer.model, batch, 1.0)[0],
        trainer.task_sums(trainer.model, batch, 0.5)[0],
    )
    answered = trainer.task_sums(trainer.model, batch)[0]
    torch.testing.assert_close(half, (whole + answered) / 2)


def test_every_task_is_in_the_mixture_and_weighs_what_its_file_says(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    trainer, mixture, rows = trainer_of(
        shop, replace(SMALL, base=str(base), weights={"click": 0.0}), tmp_path
    )
    assert [t.name for t in mixture.tasks] == ["click", "convert", "return", "next"]
    assert trainer.task_weights.tolist() == pytest.approx([0.0, *(t.weight for t in mixture.tasks[1:])])
    seen = np.unique(np.concatenate([row["read_task"] for row in rows.train]))
    assert seen.tolist() == [0, 1, 2, 3]


def test_a_share_of_a_task_is_asked(shop: Prepared, base: Path, tmp_path: Path) -> None:
    def asked(shares: dict[str, float], out: Path) -> np.ndarray:
        _, _, rows = trainer_of(
            shop, replace(SMALL, base=str(base), shares=shares, paraphrase_share=0.0), out
        )
        return np.bincount(np.concatenate([row["read_task"] for row in rows.train]), minlength=4)

    whole, part = asked({}, tmp_path / "a"), asked({"return": 0.2}, tmp_path / "b")
    assert part[:2].tolist() == whole[:2].tolist()
    assert 0.05 * whole[2] < part[2] < 0.4 * whole[2]


def test_a_run_learns_and_exports_an_adapter_that_describes_itself(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    recipe = replace(SMALL, base=str(base), steps=12, evaluate_every=1, learning_rate=3e-3)
    folder = train_run(shop, recipe, tmp_path / "run")
    log = AdapterCard.load(folder).training["log"]
    losses = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert losses[-1] < losses[0]
    assert [entry["step"] for entry in log if "eval_loss" in entry] == [*range(1, 13)]  # each once
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "genrec.json"]
    card = AdapterCard.load(folder)
    assert card.history == {"tokens": 160, "policy": "all"}
    assert set(card.metrics) >= {"loss", "loss_click", "loss_next"}
    with pytest.raises(UserError, match="was trained on"):
        card.check_base("another", "0" * 64, folder)


def test_the_last_layers_alone_are_trained_and_no_more_than_there_are(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    recipe = replace(SMALL, base=str(base), steps=1, lora=Lora(last_layers=1))
    folder = train_run(shop, recipe, tmp_path / "run")
    names = load_file(folder / "adapter_model.safetensors")
    assert {name.split(".layers.")[1].split(".")[0] for name in names} == {"1"}
    linear = {name.split(".lora_")[0].rpartition(".")[2] for name in names}
    assert linear == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    with pytest.raises(UserError, match="2 layers, not 3"):
        train_run(shop, replace(recipe, lora=Lora(last_layers=3)), tmp_path / "other")


def test_learned_weights_move_and_come_back_with_a_checkpoint(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    recipe = replace(SMALL, base=str(base), weighting="learned", steps=4)
    train_run(shop, recipe, tmp_path / "run")
    kept = checkpoint.newest(tmp_path / "run")
    assert kept is not None
    learned = load_file(kept / f"{checkpoint.LOG_VARIANCE}.safetensors")[checkpoint.LOG_VARIANCE]
    assert learned.abs().max() > 0
    again = torch.nn.Parameter(torch.zeros(4))
    checkpoint.load_log_variance(kept, again)
    assert torch.equal(again, learned)
    assert "task_log_variance" not in "".join(
        load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    )


def test_a_template_that_does_not_render_is_refused_by_task(
    shop: Prepared, base: Path, tmp_path: Path
) -> None:
    broken = replace(shop.tasks["click"], question="{{ stats.no_such_number + 1 }}")
    with pytest.raises(UserError, match="does not render"):
        train_run(
            replace(shop, tasks={**shop.tasks, "click": broken}),
            replace(SMALL, base=str(base)),
            tmp_path / "run",
        )


@pytest.mark.parametrize(("name", "architecture"), [("gpu-24gb", "llama"), ("qlora-8b", "qwen3")])
def test_gpu_recipes_take_a_step_with_a_tiny_model_of_their_architecture(
    shop: Prepared, tmp_path: Path, name: str, architecture: str
) -> None:
    """On a GPU with the FlexAttention kernel and the recipe's own 4-bit weights; elsewhere without them."""
    changes: dict[str, Any] = {"base": str(save_tiny_model(tmp_path / "base", architecture))}
    if not torch.cuda.is_available():
        changes["quantization"] = "none"
    recipe = load_recipe(name, changes)
    small = replace(recipe, history_tokens=160, rows_per_step=2, steps=1, valid_windows=2, warmup_steps=0)
    folder = train_run(shop, small, tmp_path / "run")
    weights = load_file(folder / "adapter_model.safetensors")
    assert any(name.endswith("lora_B.weight") and value.abs().max() > 0 for name, value in weights.items())


def test_four_bit_without_cuda_is_refused_before_any_work(shop: Prepared, base: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("CUDA is there")
    with pytest.raises(UserError, match="CUDA"):
        train_run(shop, replace(SMALL, base=str(base), quantization="4bit"), tmp_path / "run")
