"""How a child is started: its command line, by the engine's kind."""

import sys
from pathlib import Path


def command(kind: str, folder: Path, dtype: str, socket: Path, served_name: str = "genrec") -> list[str]:
    """kind: "torch" or "vllm". socket: a path in a directory that only this user can enter."""
    return [
        sys.executable, "-m", f"serve.child.{kind}_server", "--folder", str(folder), "--dtype", dtype,
        "--socket", str(socket), "--served-name", served_name,
    ]  # fmt: skip
