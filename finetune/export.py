"""What a run leaves: the adapter's folder, which describes itself."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
import trl

from finetune.recipe import Recipe
from finetune.trainer import SharedContextTrainer
from genrec.dataset import Prepared
from genrec.files import written_whole
from genrec.provenance import machine
from prompts.adapter import AdapterCard, prompts_hash
from prompts.base_files import fingerprint, revision

ADAPTER = "adapter"


def export(
    trainer: SharedContextTrainer,
    data: Prepared,
    recipe: Recipe,
    layout: Any,
    out: Path,
    facts: dict[str, Any],
) -> Path:
    """The adapter folder, written whole: safetensors weights, PEFT's config, the card, a README."""
    history = trainer.state.log_history
    last = next((h for h in reversed(history) if "eval_loss" in h), {})
    card = AdapterCard(
        base={"name": recipe.base + _commit(trainer), "fingerprint": fingerprint(recipe.base)},
        dtype=recipe.dtype,
        pack=data.reading.pack,
        tasks=[json.loads(json.dumps(asdict(task))) for task in data.tasks.values()],
        history={"tokens": recipe.history_tokens, "policy": "all"},
        regime=recipe.regime,
        data={
            "name": data.name,
            "log": layout.log,
            "train_end": data.train_end,
            "prompts": prompts_hash(layout),
        },
        training={
            **facts,
            "recipe": json.loads(json.dumps(asdict(recipe))),
            "log": [h for h in history if "loss" in h or "eval_loss" in h],
            "versions": {m.__name__: m.__version__ for m in (torch, transformers, trl, peft)},
            "machine": machine(),
        },
        metrics={k.removeprefix("eval_"): v for k, v in last.items() if k.startswith("eval_loss")},
    )
    with written_whole(out / ADAPTER) as part:
        trainer.model.save_pretrained(part, safe_serialization=True)
        card.save(part)
        (part / "README.md").write_text(_model_card(card))
    return out / ADAPTER


def _commit(trainer: SharedContextTrainer) -> str:
    """@commit of a base that a hub gave, if its name does not say it; "" for a folder."""
    found = getattr(trainer.model.config, "_commit_hash", None)
    return f"@{found}" if found and revision(trainer.model.name_or_path)[1] is None else ""


def _model_card(card: AdapterCard) -> str:
    tasks = ", ".join(task["name"] for task in card.tasks)
    losses = "\n".join(f"| {name} | {value:.4f} |" for name, value in card.metrics.items())
    return (
        "# genrec adapter\n\n"
        f"A LoRA adapter for `{card.base['name']}`, trained on `{card.data['name']}` for: {tasks}.\n"
        f"{card.training['steps']:,} steps, seed {card.training['recipe']['seed']}; statistics: {card.regime}; history "
        f"window: {card.history['tokens']} tokens. `genrec.json` holds the rest: prompts, recipe, learning curve, "
        f"calibration.\n\n| validation | value |\n|---|---|\n{losses}\n\n"
        "Probabilities are read from token logits and hold for prompts written by genrec's layout only.\n"
    )
