"""The adapter directory describes itself: what it was trained from, on and with, so that serving can hold to it.

adapter_model.safetensors and adapter_config.json are PEFT's; genrec.json is the card below. No pickled file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genrec.calibration import Calibration
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import file_written_whole
from genrec.tasks import Task, task_from
from prompts.history import Histories, columns_by_id
from prompts.layout import Layout
from prompts.pack import load_pack
from prompts.tokens import Tokens

CARD = "genrec.json"
LORA = "adapter_model.safetensors"
FORMAT = 1
# What must stand in it; whatever else does is left alone.
FIELDS = {
    "base": {"name": str, "fingerprint": str}, "dtype": ("float32", "bfloat16"), "pack": str, "tasks": [{"name": str}],
    "history": {"tokens": int}, "regime": ("running", "frozen"), "data": {"name": str, "prompts": str},
    "training": {"recipe": {"seed": int}}, "metrics": dict, "calibration": {str: dict}, "format": int,
}  # fmt: skip


@dataclass(frozen=True)
class AdapterCard:
    """base: name and fingerprint of the language model. history: the window's budget in tokens and the lines' policy.
    tasks: the task files as trained. data: its name, its kind of log (genrec.lines.LOG_KINDS; cards of earlier versions
    lack it), the end of training and a hash of the prompts. calibration: per task, as genrec.calibration writes it.
    training: recipe, steps, tokens, seconds, learning curve. metrics: on the validation split."""

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
        with file_written_whole(folder / CARD) as part:
            part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))

    def fingerprint(self, folder: Path) -> str:
        """Of the folder's weights and of the prompts and window they were trained with; not of its calibration."""
        return f"{weights_hash(folder)} {self.base} {self.data['prompts']} {self.history} {self.dtype}"

    @classmethod
    def load(cls, folder: Path) -> "AdapterCard":
        if not (folder / CARD).exists():
            cure = "run `genrec train`, or name its folder"
            if (folder / "adapter" / CARD).exists():
                cure = f"name {folder / 'adapter'}"
            elif (folder / "run.json").exists() or (folder.parent / "run.json").exists():
                cure = "its training is not finished: give the same `genrec train` command again"
            raise UserError(f"Not an adapter: no {CARD}", where=str(folder), cure=cure)
        raw = read_stored(
            folder / CARD, FIELDS, "train it again, or copy it again from where it is whole", FORMAT
        )
        return cls(**{name: raw[name] for name in FIELDS})

    def check_base(self, name: str, fingerprint: str, where: Path) -> None:
        """Refuse to put this adapter on another base model."""
        if self.base["fingerprint"] and fingerprint and self.base["fingerprint"] != fingerprint:
            was = self.base["name"]
            raise UserError(
                f"The adapter was trained on {was}, not on {'what that is now' if was == name else name}",
                where=str(where),
                cure="bring back the base model it was trained on, if its files are damaged, or train it again",
            )

    def task_objects(self) -> dict[str, Task]:
        return {raw["name"]: task_from(raw, CARD) for raw in self.tasks}

    def calibrations(self) -> dict[str, Calibration]:
        """By task. Raises UserError for one that genrec.calibration did not write."""
        try:
            return {task: Calibration.from_json(line) for task, line in self.calibration.items()}
        except (TypeError, ValueError) as error:
            raise UserError(
                f"A calibration is damaged: {error}",
                where=f"{CARD}, calibration",
                cure="run `genrec eval` again",
            ) from error


def weights_hash(folder: Path) -> str:
    """The sha256 of an adapter's weights."""
    return hashlib.sha256((folder / LORA).read_bytes()).hexdigest()


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
        data.log_kind(tasks or data.tasks),
    )


def histories_of(data: Prepared, layout: Layout, history_tokens: int, regime: str = "running") -> Histories:
    """The contexts of a prepared data set, its lines with the statistics of that regime."""
    return Histories(layout, data.lines_in(regime), history_tokens)


def prompts_hash(layout: Layout) -> str:
    """Changes with any word of the pack or a task, and with the kind of log, which chooses among the words."""
    words = repr((layout.pack, sorted(layout.tasks.items()), layout.log))
    return hashlib.sha256(words.encode()).hexdigest()[:16]
