"""Merged weights as a folder in their adapter's: what they are made of, and whether they may take others' place.

Knows no model library; serve/weights.py writes the folders.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from genrec.errors import UserError
from genrec.fields import read_stored
from prompts.adapter import CARD, LORA, AdapterCard

MARKER = "merged.json"
REMOVE = "delete this folder: it is written anew"


class Merged(NamedTuple):
    """folder: of the merged weights and the tokenizer. card: what the adapter that they are made of says of itself."""

    folder: Path
    card: AdapterCard


def made_of(adapter: Path, base_mark: str) -> dict[str, str]:
    """What a folder's marker says. base_mark: the base model's fingerprint."""
    with (adapter / LORA).open("rb") as stream:
        return {"adapter": hashlib.file_digest(stream, "sha256").hexdigest(), "base": base_mark}


def ready(adapter: Path, card: AdapterCard) -> Path | None:
    """The folder of an adapter's merged weights that serves here, where it is there and made of this adapter and of the
    base model that the card names. None where it has to be written, or where that takes a model library to decide.

    Weights in float32 serve everywhere: what computes in bfloat16 rounds them, once, as the other folder's were.
    """
    says = made_of(adapter, card.base["fingerprint"])
    for name in (card.dtype, "float32"):
        marker = adapter / f"merged-{name}" / MARKER
        there = marker.is_file() and read_stored(marker, {"adapter": str, "base": str}, REMOVE) == says
        if there and (name == "float32" or _bfloat16_is_certain()):
            return marker.parent
    return None


def _bfloat16_is_certain() -> bool:
    """Whether Linux names an instruction that multiplies bfloat16; prompts.dtypes.runnable knows more processors."""
    try:
        flags = set(
            Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].split("\n")[0].split()
        )
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16"})


def successor(named: str, runs: Path, before: AdapterCard) -> Merged:
    """What is named, where it may take the place of what `before` describes.

    named: an adapter's folder, or that of its merged weights in it. runs: a resolved folder; all of it must lie there,
    wherever links lead. Raises UserError for what lies elsewhere, is not merged or not made of the adapter beside it,
    or was trained on another base model, with other prompts or on another data set.
    """
    try:
        place = Path(named).resolve()
        adapter = place if (place / CARD).is_file() else place.parent
        parts = adapter / CARD, adapter / LORA
        there = all(p.is_file() for p in parts) and all(_under(runs, p) for p in (place, *parts))
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, a loop of links
        there = False
    if not there:
        raise UserError(
            "Neither an adapter nor its merged weights", where=named, cure=f"name a folder under {runs}"
        )
    card = AdapterCard.load(adapter)
    if other := _other(card, before):
        raise UserError(
            f"It was trained {other} than what is served", where=named, cure="start a server on it: --adapter"
        )
    folder = place if place != adapter else _merged_in(adapter, card.dtype)
    cure = f"run `python -m serve.weights {adapter}`"
    if not (folder / MARKER).is_file():
        raise UserError("The adapter's weights have not been merged", where=named, cure=cure)
    if not all(_under(runs, file) for file in folder.iterdir()):
        raise UserError(
            "A link among the merged weights leads elsewhere", where=named, cure=f"keep them under {runs}"
        )
    marker = read_stored(folder / MARKER, {"adapter": str, "base": str}, cure)
    if marker != made_of(adapter, card.base["fingerprint"]):
        raise UserError("The merged weights are not of the adapter beside them", where=named, cure=cure)
    return Merged(folder, card)


def _under(runs: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(runs)


def _merged_in(adapter: Path, dtype: str) -> Path:
    """Where serve.weights has written them: in float32, where this processor has no other."""
    folders = [adapter / f"merged-{name}" for name in (dtype, "float32")]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _other(card: AdapterCard, before: AdapterCard) -> str:
    """On, or with, what else it was trained; "" where nothing differs."""
    now, then = (
        {
            "on another base model": c.base["fingerprint"] or c.base["name"],
            "with other prompts": c.data["prompts"],
            "on another data set": (c.data["name"], c.data.get("train_end")),
        }
        for c in (card, before)
    )
    return next((what for what in now if now[what] != then[what]), "")
