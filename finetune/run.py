"""One training run, read down the page: recipe, data, model, budget, training, the adapter that describes itself."""

import filecmp
import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from peft import LoraConfig
from transformers import BitsAndBytesConfig
from trl.trainer.sft_config import SFTConfig

from finetune import budget, checkpoint
from finetune.budget import Counted, Recorded, Timed
from finetune.collate import Collator
from finetune.compiled import compile_layers
from finetune.export import ADAPTER, export
from finetune.lessons import Lessons
from finetune.mixture import Mixture, MixtureOptions, rows_of
from finetune.progress import training_shown
from finetune.recipe import Recipe
from finetune.trainer import SharedContextTrainer
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import emptied, file_written_whole
from prompts import attention
from prompts.adapter import CARD, LORA, histories_of, layout_of, prompts_hash
from prompts.dtypes import runnable
from prompts.language_model import load_model, load_tokenizer
from prompts.pack import TASKS

RUN, STEPS = "run.json", "steps.json"
ANEW = "start it anew with --restart"
FEW = 10  # steps, below which a run by the clock is said to have learned next to nothing
SAMPLED = 24  # windows whose mean length is taken for that of all


@dataclass(frozen=True)
class Rows:
    train: datasets.Dataset
    valid: datasets.Dataset


def train(
    data: Prepared, recipe: Recipe, out: Path, restart: bool = False, replay: Path | None = None
) -> Path:
    """Fine-tune and write out/adapter; returns that folder. Continues from the newest complete checkpoint in out.

    restart: delete the run in out instead. It is back where anything is refused before the first step.
    replay: the steps.json of an earlier run, whose schedule decides how long this one is; that of out itself too.
    """
    again = budget.read(replay, "name a run's folder, or its steps.json") if replay else None
    check_tasks(recipe, data)
    recipe = as_runnable(recipe)
    _quantized(recipe, torch.cuda.is_available())  # refused before any work
    tokenizer = load_tokenizer(recipe.base)
    layout = layout_of(data, tokenizer)
    mixture = Mixture(
        data,
        layout,
        histories_of(data, layout, recipe.history_tokens, recipe.regime),
        mixture_options(recipe),
    )
    learned_from = {"data": data.fingerprint(recipe.regime), "prompts": prompts_hash(layout)}
    with emptied(out) if restart and _holds_a_run(out) else nullcontext():
        newest = checkpoint.newest(out)
        recorded = _same_run(out, {**asdict(recipe), **learned_from}, again)
        if newest and recorded and _exported(newest, out, recorded.steps):
            print(f"{out} is finished: {newest.name} is its last, and what was exported")
            return out / ADAPTER
        rows = build_rows(mixture, recipe, out)
        trainer = build_trainer(recipe, mixture, rows, tokenizer, out)
        schedule = recorded or _schedule(trainer, rows, recipe, out / STEPS)
        trainer.follow(schedule)
    length = f"{recipe.minutes:g} minutes" if schedule.steps is None else f"{schedule.steps:,} steps"
    print(
        f"{len(rows.train):,} windows, {recipe.rows_per_step} a step, {length}; device {trainer.args.device}"
    )
    clock = (lambda: schedule.seconds_left) if isinstance(schedule, Timed) else None
    with training_shown(trainer, schedule.steps, clock):
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    if not any(
        "eval_loss" in h and h["step"] == trainer.state.global_step for h in trainer.state.log_history
    ):
        trainer.evaluate()  # the Trainer's last step is evaluated by itself, a finished run that is resumed is not
    done = budget.read(out / STEPS, ANEW)
    if isinstance(schedule, Timed):
        _say_steps(done.steps, trainer.spent.seconds)
    facts = {
        **budget.plain(done),
        **trainer.spent._asdict(),
        "resumed_from": newest.name if newest else None,
    }
    return export(trainer, data, recipe, layout, out, facts)


def _exported(newest: Path, out: Path, steps: int | None) -> bool:
    """Whether a run's last checkpoint is what its adapter holds: nothing is left to do, and the adapter's card may have
    been written to since."""
    adapter = out / ADAPTER
    return (
        checkpoint.step_of(newest) == steps
        and (adapter / CARD).exists()
        and (adapter / LORA).exists()
        and filecmp.cmp(newest / LORA, adapter / LORA, shallow=False)
    )


def as_runnable(recipe: Recipe) -> Recipe:
    """The recipe with the number format that this machine can compute in."""
    return recipe if runnable(recipe.dtype) == recipe.dtype else replace(recipe, dtype="float32")


def check_tasks(recipe: Recipe, data: Prepared) -> None:
    """Refuse task names that are a slip: neither this data's nor shipped (one recipe serves data that lacks some)."""
    known = {*data.tasks, *(path.stem for path in TASKS.glob("*.yaml"))}
    for field, named in (("weights", recipe.weights), ("shares", recipe.shares)):
        if odd := sorted(set(named) - known):
            raise UserError(
                f"{data.name} has no task {odd[0]!r}",
                where=f"recipe {recipe.name}, {field}",
                cure=f"its tasks are: {', '.join(data.tasks)}",
            )


def mixture_options(recipe: Recipe) -> MixtureOptions:
    return MixtureOptions(
        users=recipe.users,
        shares=recipe.shares,
        stats_dropout=recipe.stats_dropout,
        paraphrase_share=recipe.paraphrase_share,
        reread=recipe.reread,
        lean=recipe.lean_for > 0 or recipe.lean_to > 0,
        regime=recipe.regime,
        seed=recipe.seed,
    )


def _holds_a_run(out: Path) -> bool:
    """A folder that holds neither is nobody's to delete."""
    return (out / RUN).exists() or bool(checkpoint.steps(out))


def _same_run(
    out: Path, what: dict[str, Any], replay: Counted | Recorded | None
) -> Counted | Recorded | None:
    """A folder holds one run: refuse to continue it with another recipe, other data, other prompts or schedule.

    Returns the schedule that is recorded for it: none for a new one, or one that the clock has not ended.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, now = out / RUN, json.loads(json.dumps(what))
    resuming = path.exists()
    if not resuming and checkpoint.steps(out):
        raise UserError(
            f"This folder holds checkpoints, and no {RUN} says of which run they are",
            where=str(out),
            cure=f"bring {RUN} back, name another folder with --out, or {ANEW}",
        )
    before = read_stored(path, dict, ANEW) if resuming else now
    changed = sorted(k for k in {*now, *before} if now.get(k) != before.get(k))
    if not resuming:
        (out / STEPS).unlink(missing_ok=True)
    recorded = budget.read(out / STEPS, ANEW) if (out / STEPS).exists() else None
    if resuming and replay and recorded != replay:
        changed.append("schedule")
    if changed:
        raise UserError(
            f"This folder holds a run with another {', '.join(changed)}",
            where=str(out),
            cure=f"name another folder with --out, or {ANEW}",
        )
    if not resuming:
        if replay:
            budget.write(out / STEPS, replay)
        _write(path, now)
    return replay or recorded


def _write(path: Path, content: Any) -> None:
    """Replace a JSON file whole."""
    with file_written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1))


def build_rows(mixture: Mixture, recipe: Recipe, out: Path) -> Rows:
    """Arrow data sets of packed rows, kept under out/cache for a resume."""

    data = mixture.data.fingerprint(recipe.regime)

    def build(split: str, chosen: Sequence[int], lessons: float = 0.0) -> datasets.Dataset:
        def generate() -> Any:
            yield from mixture.rows(split, recipe.packed, chosen=frozenset(chosen))
            if lessons:
                for prompts in Lessons(mixture).windows(round(lessons * len(chosen))):
                    yield from rows_of(prompts, recipe.packed)

        if not len(chosen):
            raise UserError(
                f"No {split} examples", where=mixture.data.name, cure="the log may be too short to split"
            )
        how = (
            split,
            tuple(chosen),
            lessons,
            recipe.packed,
            recipe.history_tokens,
            recipe.base,
            mixture.options,
        )
        key = repr((*how, data, prompts_hash(mixture.layout)))
        mark = hashlib.sha256(key.encode()).hexdigest()[:16]
        try:
            return datasets.Dataset.from_generator(generate, cache_dir=str(out / "cache"), fingerprint=mark)
        except datasets.exceptions.DatasetGenerationError as error:
            raise error.__cause__ or error from None

    datasets.disable_progress_bars()
    train, valid = (len(mixture.windows_of(split)) for split in ("train", "valid"))
    some = range(train)
    if recipe.windows is not None and recipe.windows < train:
        some = np.random.default_rng(recipe.seed).choice(train, recipe.windows, replace=False).tolist()
    spread = range(0, valid, max(valid // recipe.valid_windows, 1))
    return Rows(build("train", sorted(some), recipe.lessons), build("valid", spread))


def build_trainer(
    recipe: Recipe, mixture: Mixture, rows: Rows, tokenizer: Any, out: Path
) -> SharedContextTrainer:
    cuda = torch.cuda.is_available()
    torch.manual_seed(recipe.seed)
    model = load_model(recipe.base, recipe.dtype, _attention(recipe, cuda), **_quantized(recipe, cuda))
    model.config.use_cache = False
    config = SFTConfig(
        output_dir=str(out),
        max_steps=recipe.steps or 1,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.rows_per_step,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch",
        bf16=recipe.dtype == "bfloat16",
        use_cpu=not cuda,
        gradient_checkpointing=recipe.gradient_checkpointing,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=recipe.evaluate_every,
        save_strategy="steps",
        save_steps=recipe.save_every,
        report_to=recipe.report_to,
        seed=recipe.seed,
        data_seed=recipe.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        disable_tqdm=True,  # finetune.progress shows it
    )
    weights = [recipe.weights.get(task.name, task.weight) for task in mixture.tasks]
    trainer = SharedContextTrainer(
        model=model,
        args=config,
        train_dataset=rows.train,
        eval_dataset=rows.valid,
        processing_class=tokenizer,
        data_collator=Collator(),
        peft_config=_lora(recipe, model),
        task_names=[task.name for task in mixture.tasks],
        weights=weights,
        answers=[mixture.layout.answers[task.name] for task in mixture.tasks],
        learned=recipe.weighting == "learned",
        lean_for=recipe.lean_for,
        lean_to=recipe.lean_to,
    )
    if recipe.compile and not cuda and not recipe.gradient_checkpointing:
        compile_layers(trainer.model)
    return trainer


def _lora(recipe: Recipe, model: Any) -> LoraConfig:
    lora, depth = recipe.lora, model.config.num_hidden_layers
    if lora.last_layers is not None and lora.last_layers > depth:
        raise UserError(
            f"{recipe.base} has {depth} layers, not {lora.last_layers}",
            where=f"recipe {recipe.name}, lora.last_layers",
            cure=f"give a number from 1 to {depth}",
        )
    last = None if lora.last_layers is None else list(range(depth - lora.last_layers, depth))
    targets: Any = lora.targets
    if targets == "all-linear" and last is not None:  # PEFT takes layers only with names
        linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
        targets = {name.rpartition(".")[2] for name in linear if ".layers." in name}
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else sorted(targets),
        layers_to_transform=last,
        task_type="CAUSAL_LM",
    )


def _attention(recipe: Recipe, cuda: bool) -> str:
    wanted = recipe.attention
    if wanted in ("auto", "flex_attention"):
        return attention.FLEX if cuda else attention.NAME
    return wanted


def _quantized(recipe: Recipe, cuda: bool) -> dict[str, Any]:
    if recipe.quantization == "none":
        return {}
    if not cuda:
        raise UserError(
            "4-bit training needs CUDA", where=f"recipe {recipe.name}", cure="use a bfloat16 recipe here"
        )
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    }  # fmt: skip


def _schedule(trainer: SharedContextTrainer, rows: Rows, recipe: Recipe, record: Path) -> Counted | Timed:
    """How long a new run is: steps, minutes or epochs. A count is recorded at once, the clock's when it has ended."""
    if recipe.steps is None and recipe.minutes is not None:
        if trainer.accelerator.num_processes > 1:
            raise UserError(
                "Minutes are kept by one clock, and several processes train",
                where=f"recipe {recipe.name}",
                cure="give --steps or epochs",
            )
        picked = range(0, len(rows.train), max(len(rows.train) // SAMPLED, 1))
        tokens = np.mean([len(row["input_ids"]) for row in rows.train.select(picked)])
        evaluated = sum(len(row["input_ids"]) for row in rows.valid)
        steps = float(evaluated / (tokens * recipe.rows_per_step))
        return Timed(60 * recipe.minutes, lambda: trainer.spent.seconds, steps, record)
    passes = round(recipe.epochs * len(rows.train) / recipe.rows_per_step)
    schedule = Counted(recipe.steps or max(passes, 1))
    budget.write(record, schedule)
    return schedule


def _say_steps(steps: int, seconds: float) -> None:
    print(f"{steps:,} steps in {seconds / 60:.1f} minutes")
    if steps < FEW:
        print(
            f"only {steps} steps: this machine is slow or busy, and the adapter has hardly learned; give more --minutes"
        )
