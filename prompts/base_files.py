"""Where a base model's files lie, by its name: the small one that travels in a Python wheel, a folder, or a hub's id.

Neither torch nor transformers is imported until a model has to be unpacked: whoever asks for files alone does not wait.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from genrec.errors import UserError
from genrec.files import file_written_whole, place_named
from genrec.progress import Progress
from genrec.sources.model import smollm2_gguf
from genrec.sources.wheels import cache_folder

COPY = "its files are damaged or not all there: copy them again from where they are whole"
SETTLED = (
    2 * 10**9
)  # nanoseconds: a file that changed later than that may change again within one tick of its clock
BUILT_IN = "smollm2-135m"  # SmolLM2-135M-Instruct, Apache-2.0, from a wheel: no account, no hub


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
                with safe_open(file, "np"):  # its header, and whether the file is as long as that says
                    pass
            except (OSError, SafetensorError) as error:
                what = f"Cannot load the model, {file.name} is damaged: {error}"
                raise UserError(what, where=str(folder), cure=cure(name)) from error
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"No model {name!r}", cure=f"use {BUILT_IN}, a folder, or a hub's id like org/model")
    return name


def revision(name: str) -> tuple[str, str | None]:
    """What `locate` found, and the commit that a hub's id is held to: org/model@commit."""
    at = name.rfind("@")
    return (name[:at], name[at + 1 :]) if at >= 0 and not Path(name).is_dir() else (name, None)


def cure(name: str) -> str:
    """What to do about a model that cannot be loaded."""
    if name == BUILT_IN:
        return "delete this folder: the model is unpacked again"
    if Path(name).is_dir():
        return COPY
    return "check the name and the network"


def fingerprint(name: str) -> str:
    """SHA-256 over a local model's weights, configuration and tokenizer: tells one base from another. "" for a hub id,
    which an adapter names with its commit.

    It is remembered in the cache folder for as long as no file's size or times change: half a gigabyte takes half a
    second to read.
    """
    path = Path(locate(name))
    if not path.is_dir():
        return ""
    files = sorted([*path.glob("*.safetensors"), path / "config.json", *path.glob("tokenizer.json")])
    state = [
        [str(file.resolve()), (s := file.stat()).st_size, s.st_mtime_ns, s.st_ctime_ns] for file in files
    ]
    memory = (
        cache_folder()
        / "fingerprints"
        / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]}.json"
    )
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
        if remembered["state"] == state:
            return str(remembered["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError):
        pass  # nothing is remembered, or nothing that can be read
    settled = time.time_ns() - SETTLED > max(file.stat().st_ctime_ns for file in files)
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    if settled:
        _remember(memory, {"state": state, "fingerprint": digest.hexdigest()})
    return digest.hexdigest()


def _remember(memory: Path, facts: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, UserError):  # then it is computed again the next time
        memory.parent.mkdir(parents=True, exist_ok=True)
        with file_written_whole(memory) as part:
            part.write_text(json.dumps(facts), encoding="utf-8")


def _unpacked() -> Path:
    """The built-in model as a safetensors folder in the cache; dequantized from GGUF the first time (some 15 s)."""
    folder = cache_folder() / "SmolLM2-135M-Instruct"
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = smollm2_gguf()
    print("unpacking the language model (once)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".model-", dir=folder.parent))
    try:
        with place_named(folder), Progress("unpacking the language model"):
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
