"""Threads sleep while they wait: every entry point says so before a library with such threads is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genrec.threads import NUMPY, WAITING, sleep_while_waiting

ROOT = Path(__file__).parents[1]
ROOMS = ("genrec", "prompts", "finetune", "serve", "eval")
ENTRIES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
# Prints how threads are to wait at the moment when PyTorch is looked for, or at the end where it is not.
WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.stdout.flush()
            os._exit(0)
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
importlib.import_module("torch")
"""


def said_by(entry: str, **environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, entry],
        env=plain | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("entry", ["genrec.cli", *ENTRIES])
def test_every_entry_point_says_so_before_torch_is_loaded(entry: str) -> None:
    assert said_by(entry) == "passive"


def test_there_are_entry_points_that_children_run() -> None:
    assert {"serve.child.torch_server", "serve.child.vllm_server", "finetune.bench"} <= set(ENTRIES)


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_has_said_wins_as_a_whole(name: str) -> None:
    environment = {name: "7", "HOME": "/"}
    sleep_while_waiting(environment)
    assert environment == {name: "7", "HOME": "/", NUMPY: "1"}


def test_numpy_has_one_thread_unless_the_user_has_said_how_many() -> None:
    for said, has in (({}, "1"), ({NUMPY: "2"}, "2")):
        environment = {"HOME": "/", **said}
        sleep_while_waiting(environment)
        assert environment == {"HOME": "/", NUMPY: has, **WAITING}


def test_a_child_inherits_it() -> None:
    assert said_by("genrec.cli", OMP_WAIT_POLICY="active") == "active"
    print_it = "import os; print(os.environ['GOMP_SPINCOUNT'])"
    start_a_child = f"import subprocess, sys, genrec; subprocess.run([sys.executable, '-c', {print_it!r}])"
    plain = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", start_a_child], env=plain, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == WAITING["GOMP_SPINCOUNT"]
