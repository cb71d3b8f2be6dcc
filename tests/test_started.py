"""An engine's process without a gateway: it ends with its block, and one that cannot start is said to be so."""

import subprocess
from pathlib import Path

import pytest
from tiny import save_model, save_tokenizer

from serve.child.remote import EngineUnavailable, RemoteEngine, over_socket
from serve.child.started import started


def children(folder: Path) -> list[str]:
    found = subprocess.run(["pgrep", "-f", "--", f"--folder {folder} "], capture_output=True, text=True)
    return found.stdout.split()


def test_the_process_ends_with_the_block_whatever_happens_in_it(tmp_path: Path) -> None:
    folder = save_tokenizer(save_model(tmp_path / "tiny"))

    def fails() -> None:
        with started("torch", folder, "float32") as client:
            assert len(RemoteEngine(over_socket(client), "remote").generate([5, 6], 2, ())) == 2
            assert children(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not children(folder)


def test_a_process_that_cannot_start_is_not_waited_for(tmp_path: Path) -> None:
    with (
        pytest.raises(EngineUnavailable, match="ended before it was ready"),
        started("torch", tmp_path, "float32"),
    ):
        pass
