"""A base model and its tokenizer, loaded by name (prompts.base_files)."""

from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from genrec.errors import UserError
from genrec.progress import Progress
from prompts import transformers_attention  # noqa: F401 - load_model's `attention` is found by its name
from prompts.base_files import cure, locate, revision
from prompts.dtypes import DTYPES

disable_progress_bar()  # of a load that takes a second


def load_tokenizer(name: str) -> Any:
    """The tokenizer, with `backend_tokenizer`; slow tokenizers have none and are refused."""
    tokenizer = _loaded(AutoTokenizer, name)
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError(f"{name} has no fast tokenizer", cure="choose a model with a tokenizer.json")
    return tokenizer


def load_model(name: str, dtype: str, attention: str, **options: Any) -> PreTrainedModel:
    """The causal language model on its device. attention: an attn_implementation; options go to from_pretrained."""
    with Progress("loading the model"):
        model: PreTrainedModel = _loaded(
            AutoModelForCausalLM, name, dtype=DTYPES[dtype], attn_implementation=attention, **options
        )
    return model


def _loaded(kind: Any, name: str, **options: Any) -> Any:
    path = locate(name)
    try:
        # Never code from a model's folder, never pickled weights.
        safe = {"use_safetensors": True} if kind is AutoModelForCausalLM else {}
        folder, commit = revision(path)
        held = {} if commit is None else {"revision": commit}
        return kind.from_pretrained(folder, trust_remote_code=False, **held, **safe, **options)
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as error:
        what = f"Cannot load the model: {' '.join(str(error).split())[:300]}"
        raise UserError(what, where=path, cure=cure(name)) from error
