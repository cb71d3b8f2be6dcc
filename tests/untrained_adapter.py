"""An adapter folder that nobody trained: a tiny model and random LoRA weights that change it, with a card."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tiny import save_adapter
from training_fixtures import save_tiny_model

from genrec.dataset import Prepared
from prompts.adapter import AdapterCard, layout_of, prompts_hash
from prompts.base_files import fingerprint
from prompts.language_model import load_tokenizer


def save_untrained_adapter(root: Path, data: Prepared, regime: str = "running", seed: int = 1) -> Path:
    """root/base and root/adapter; the latter's path. Its answers differ by some nats from one question to another."""
    base = str(save_tiny_model(root / "base", head_dim=32, spread=0.2))
    folder = save_adapter(Path(base), root / "adapter", seed)
    prompts = prompts_hash(layout_of(data, load_tokenizer(base)))
    tasks: list[dict[str, Any]] = [json.loads(json.dumps(asdict(task))) for task in data.tasks.values()]
    AdapterCard(
        base={"name": base, "fingerprint": fingerprint(base)}, dtype="float32", pack=data.reading.pack, tasks=tasks,
        history={"tokens": 160, "policy": "all"}, regime=regime,
        data={"name": data.name, "train_end": data.train_end, "prompts": prompts},
        training={"recipe": {"seed": 0}},
    ).save(folder)  # fmt: skip
    return folder
