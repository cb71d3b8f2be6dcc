"""One training run, read down the page: recipe, data, model, budget, training, the adapter that describes itself."""

import filecmp
import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from peft import LoraConfig
from transformers import BitsAndBytesConfig
from trl.trainer.sft_config import SFTConfig

from finetune import checkpoint
from finetune.budget import probe
from finetune.collate import Collator
from finetune.export import ADAPTER, export
from finetune.lessons import Lessons
from finetune.mixture import Mixture, MixtureOptions, rows_of
from finetune.recipe import Recipe
from finetune.trainer import SharedContextTrainer
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import file_written_whole
from prompts import attention
from prompts.adapter import CARD, LORA, histories_of, layout_of, prompts_hash
from prompts.dtypes import runnable
from prompts.language_model import load_model, load_tokenizer
from prompts.pack import TASKS

STEPS = "steps.json"
ANEW = "start it anew with --restart"


@dataclass(frozen=True)
class Rows:
    train: datasets.Dataset
    valid: datasets.Dataset


def train(data: Prepared, recipe: Recipe, out: Path, resume: bool = True) -> Path:
    """Fine-tune and write out/adapter; returns that folder. Continues from the newest complete checkpoint in out."""
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
    newest = checkpoint.newest(out) if resume else None
    learned_from = {"data": data.fingerprint(recipe.regime), "prompts": prompts_hash(layout)}
    kept = _same_run(out, {**asdict(recipe), **learned_from}, resume)
    if newest and _exported(newest, out, recipe.steps or kept.get("steps")):
        print(f"{out} is finished: {newest.name} is its last, and what was exported")
        return out / ADAPTER
    rows = build_rows(mixture, recipe, out)
    trainer = build_trainer(recipe, mixture, rows, tokenizer, out)
    steps, probed = _steps(trainer, rows, recipe, out / STEPS, kept)
    trainer.args.max_steps = steps
    print(
        f"{len(rows.train):,} windows, {steps:,} steps of {recipe.rows_per_step}; device {trainer.args.device}"
    )
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    if not any(
        "eval_loss" in h and h["step"] == trainer.state.global_step for h in trainer.state.log_history
    ):
        trainer.evaluate()  # the Trainer's last step is evaluated by itself, a finished run that is resumed is not
    facts = {
        **probed,
        "steps": steps,
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


def _same_run(out: Path, what: dict[str, Any], resuming: bool) -> dict[str, Any]:
    """A folder holds one run: refuse to continue it with another recipe, other data or other prompts.

    Returns what it recorded of its step count, nothing for a new one; a run that was killed before its first checkpoint
    begins again with the same count.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, now = out / "run.json", json.loads(json.dumps(what))
    resuming = resuming and path.exists()
    before = read_stored(path, dict, ANEW) if resuming else now
    if changed := sorted(k for k in {*now, *before} if now.get(k) != before.get(k)):
        raise UserError(
            f"This folder holds a run with another {', '.join(changed)}",
            where=str(out),
            cure=f"name another folder with --out, or {ANEW}",
        )
    if not resuming:
        (out / STEPS).unlink(missing_ok=True)
        _write(path, now)
    kept: dict[str, Any] = {}
    if (out / STEPS).exists():
        kept = read_stored(out / STEPS, {"steps": int}, ANEW)
    return kept


def _write(path: Path, content: Any) -> None:
    """Replace a JSON file whole."""
    with file_written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1))


def build_rows(mixture: Mixture, recipe: Recipe, out: Path) -> Rows:
    """Arrow data sets of packed rows, kept under out/cache for a resume."""

    data = mixture.data.fingerprint(recipe.regime)

    def build(split: str, keep: int | None, lessons: float = 0.0) -> datasets.Dataset:
        def generate() -> Any:
            every = max(len(starts) // keep, 1) if keep else 1
            for number, row in enumerate(mixture.rows(split, recipe.packed)):
                if number % every == 0:
                    yield row
            if lessons:
                for prompts in Lessons(mixture).windows(round(lessons * len(starts))):
                    yield from rows_of(prompts, recipe.packed)

        starts = mixture.windows_of(split)
        if not len(starts):
            raise UserError(
                f"No {split} examples", where=mixture.data.name, cure="the log may be too short to split"
            )
        how = (split, keep, lessons, recipe.packed, recipe.history_tokens, recipe.base, mixture.options)
        key = repr((*how, data, prompts_hash(mixture.layout)))
        mark = hashlib.sha256(key.encode()).hexdigest()[:16]
        try:
            return datasets.Dataset.from_generator(generate, cache_dir=str(out / "cache"), fingerprint=mark)
        except datasets.exceptions.DatasetGenerationError as error:
            raise error.__cause__ or error from None

    datasets.disable_progress_bars()
    return Rows(build("train", None, recipe.lessons), build("valid", recipe.valid_windows))


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
        lr_scheduler_type="linear",
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
        disable_tqdm=not sys.stderr.isatty(),
    )
    weights = [recipe.weights.get(task.name, task.weight) for task in mixture.tasks]
    return SharedContextTrainer(
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


def _steps(
    trainer: SharedContextTrainer, rows: Rows, recipe: Recipe, record: Path, kept: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """The run's step count: as given, bought by the minutes, or by the epochs. Recorded, so that a resume keeps it."""
    if recipe.steps is not None:
        return recipe.steps, {}
    if kept:
        return kept["steps"], kept
    if recipe.minutes is None:
        facts: dict[str, Any] = {
            "steps": max(round(recipe.epochs * len(rows.train) / recipe.rows_per_step), 1)
        }
    else:
        picked = np.random.default_rng(0).choice(len(rows.train), min(24, len(rows.train)), replace=False)
        found = probe(trainer, [rows.train[int(i)] for i in picked], recipe.minutes, recipe.rows_per_step)
        print(
            f"probe: {1 / found.seconds_per_token:,.0f} tokens/s, {recipe.minutes:g} minutes buy {found.steps} steps"
        )
        facts = asdict(found)
    _write(record, facts)
    return facts["steps"], facts
