"""The weights that are served: an adapter merged into its base, in memory or as a folder that other engines load."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import written_whole
from genrec.progress import Progress
from prompts.adapter import LORA, AdapterCard
from prompts.base_files import fingerprint, locate
from prompts.dtypes import DTYPES, runnable
from serve.decoder import write_merged
from serve.merged import MARKER, made_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COPY = "train it again, or copy it again from where it is whole"


def adapted(base: str, dtype: str, adapter: Path, merge: bool = True) -> "PreTrainedModel":
    """A base model (prompts.base_files names it) with an adapter folder's weights.

    merge: add the adapter into the weights, in float32 and rounded once to dtype ("float32" or "bfloat16"). That is
    another model than base plus adapter (apart by rounding), and the one to serve, evaluate and calibrate.
    Raises UserError for a folder that is no adapter, is damaged, or is another base's.
    """
    from peft import PeftModel

    from prompts.attention import NAME
    from prompts.language_model import load_model

    for name in (LORA, "adapter_config.json"):
        if not (adapter / name).exists():
            what, cure = f"Not an adapter: no {name}", "name the folder that training wrote"
            raise UserError(what, where=str(adapter), cure=cure)
    read_stored(adapter / "adapter_config.json", {"peft_type": ("LORA",)}, COPY)
    model: Any = load_model(base, "float32" if merge else dtype, NAME)
    try:
        model = PeftModel.from_pretrained(model, adapter)
    except (SafetensorError, OSError) as error:
        what = f"{LORA} is damaged: {error}"
        raise UserError(what, where=str(adapter), cure=COPY) from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"The adapter does not fit {base}: {str(error).splitlines()[0]}", where=str(adapter),
            cure="name the base model that it was trained on",
        ) from error  # fmt: skip
    if not merge:
        return model.get_base_model()  # type: ignore[no-any-return]
    merged: PreTrainedModel = model.merge_and_unload()
    # Not `merged.to(dtype)`: that would round the frequencies of the rotary embedding too, which no file holds.
    for weight in merged.parameters():
        weight.data = weight.data.to(DTYPES[dtype])
    return merged


def merged_folder(base: str, dtype: str, adapter: Path, base_mark: str) -> Path:
    """A folder of the merged weights and the tokenizer beside the adapter's own files, written once.

    The same numbers as `adapted`'s. base_mark: the base model's fingerprint; a folder made of others is written anew.
    """
    folder, says = adapter / f"merged-{dtype}", made_of(adapter, base_mark)
    marker = folder / MARKER
    if marker.exists() and json.loads(marker.read_text()) == says:
        return folder
    with written_whole(folder) as part, Progress("merging the adapter into the model"):
        if not write_merged(Path(locate(base)), DTYPES[dtype], adapter, part):
            # Not at the top: most adapters are merged without transformers, which takes seconds to import.
            from prompts.language_model import load_tokenizer

            adapted(base, dtype, adapter).save_pretrained(part, safe_serialization=True)
            load_tokenizer(base).save_pretrained(part)
        (part / MARKER).write_text(json.dumps(says, indent=1))
    return folder


def main() -> None:
    """Prints the folder of an adapter's merged weights, written first where it is not there."""
    parser = argparse.ArgumentParser(prog="python -m serve.weights", description=main.__doc__)
    parser.add_argument("adapter", type=Path)
    folder = parser.parse_args().adapter
    try:
        card = AdapterCard.load(folder)
        base = card.base["name"]
        card.check_base(base, mark := fingerprint(base), folder)
        print(merged_folder(base, runnable(card.dtype), folder, mark))
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
