"""The adapter directory describes itself: what it was trained from, on and with, so that serving can hold to it.

adapter_model.safetensors and adapter_config.json are PEFT's; genrec.json is the card below. No pickled file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.tasks import Task, task_from
from prompts.history import Histories, columns_by_id
from prompts.layout import Layout
from prompts.pack import load_pack
from prompts.tokens import Tokens

CARD = "genrec.json"
FORMAT = 1


@dataclass(frozen=True)
class AdapterCard:
    """base: name and fingerprint of the language model. history: the window's budget in tokens and the lines' policy.
    tasks: the task files as trained. calibration: per task, as genrec.calibration writes it. training: recipe, steps,
    tokens, seconds, learning curve. metrics: on the validation split."""

    base: Mapping[str, str]
    dtype: str
    pack: str
    tasks: list[dict[str, Any]]
    history: Mapping[str, Any]
    regime: str
    data: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Replace the card whole."""
        part = folder / f".{CARD}"
        part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))
        part.replace(folder / CARD)

    @classmethod
    def load(cls, folder: Path) -> "AdapterCard":
        if not (folder / CARD).exists():
            raise UserError(
                f"Not an adapter: no {CARD}", where=str(folder), cure="run `genrec train`, or name its folder"
            )
        raw = json.loads((folder / CARD).read_text())
        if raw.get("format") != FORMAT:
            raise UserError("An adapter of another version", where=str(folder / CARD), cure="train it again")
        return cls(**raw)

    def check_base(self, name: str, fingerprint: str, where: Path) -> None:
        """Refuse to put this adapter on another base model."""
        if self.base["fingerprint"] and fingerprint and self.base["fingerprint"] != fingerprint:
            raise UserError(
                f"The adapter was trained on {self.base['name']}, not on {name}",
                where=str(where),
                cure="name the base model it was trained on, or train it again",
            )

    def task_objects(self) -> dict[str, Task]:
        return {raw["name"]: task_from(raw, CARD) for raw in self.tasks}


def layout_of(
    data: Prepared, tokenizer: Any, pack: str = "", tasks: Mapping[str, Task] | None = None
) -> Layout:
    """The layout that writes a prepared data set's prompts."""
    return Layout(
        Tokens(tokenizer),
        load_pack(pack or data.reading.pack),
        tasks or data.tasks,
        columns_by_id(data.tables.items, "item_id"),
        columns_by_id(data.tables.users, "user_id"),
    )


def histories_of(data: Prepared, layout: Layout, history_tokens: int, regime: str = "running") -> Histories:
    """The contexts of a prepared data set, its lines with the statistics of that regime."""
    return Histories(layout, data.lines_in(regime), history_tokens)


def prompts_hash(layout: Layout) -> str:
    """Changes with any word of the pack or a task."""
    words = repr((layout.pack, sorted(layout.tasks.items())))
    return hashlib.sha256(words.encode()).hexdigest()[:16]
