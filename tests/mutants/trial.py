"""One trial: a fault in a copy of the repository, and the tests that should fail there."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mutants.faults import ROOT, Fault

LIMIT_SECONDS = 900.0
PYTEST = (
    "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--hypothesis-seed=0",
    "--hypothesis-profile=first-failure",
)  # fmt: skip


class Outcome(NamedTuple):
    """result: killed | survived | timed out | broken (pytest could not run the tests). by: the first test that failed,
    or the end of what pytest said."""

    result: str
    seconds: float
    by: str = ""


def copied(folder: Path) -> Path:
    """The repository's files, changed and new ones included, in a folder of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def tried(fault: Fault, copy: Path, threads: int, limit: float = LIMIT_SECONDS) -> Outcome:
    """The fault is in the copy while its tests run, and out of it afterwards."""
    path = copy / fault.file
    before = path.read_text()
    try:
        _write(path, fault.applied(before))
        return run_tests(fault.tests, copy, threads, limit)
    finally:
        _write(path, before)


def run_tests(tests: Sequence[str], copy: Path, threads: int, limit: float = LIMIT_SECONDS) -> Outcome:
    """threads: of PyTorch and its like, in each process."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *PYTEST, *tests],
        cwd=copy, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"},
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Outcome("timed out", limit)
    seconds = round(time.monotonic() - start, 1)
    if process.returncode == 0:
        return Outcome("survived", seconds)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    if process.returncode == 1 and failed:
        return Outcome("killed", seconds, failed.group(1))
    return Outcome("broken", seconds, said[-1_000:])


def _write(path: Path, text: str) -> None:
    """Without the compiled file, which Python would take for that of the new text: it compares times in seconds."""
    path.write_text(text)
    if path.suffix == ".py":
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
