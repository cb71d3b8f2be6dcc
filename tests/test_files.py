"""Folders and files are there whole or not at all: after an error, a kill at any moment, and on a full disk."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genrec.errors import UserError
from genrec.files import (
    check_writable,
    file_written_whole,
    folders_written_whole,
    only_writer,
    place_named,
    temporary,
    written_whole,
)

# A child that replaces a pair of folders and is killed at its n-th rename (never, where n is 9).
REPLACE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from genrec.files import folders_written_whole

rename, calls = Path.rename, []

def counted(self, target):
    calls.append(target)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.rename = counted
with folders_written_whole(Path(sys.argv[1]), ("tables", "prepared")) as part:
    for name in ("tables", "prepared"):
        (part / name).mkdir()
        (part / name / "version").write_text("new")
"""
# A child that writes a folder and says so, and is then killed.
HOLD = """
import sys, time
from pathlib import Path
from genrec.files import folders_written_whole, written_whole

path = Path(sys.argv[2])
with written_whole(path) if sys.argv[1] == "one" else folders_written_whole(path, ("tables", "prepared")) as part:
    (part / "half").write_text("half")
    print(part.name, flush=True)
    time.sleep(600)
"""


def write_pair(folder: Path, version: str) -> None:
    with folders_written_whole(folder, ("tables", "prepared")) as part:
        for name in ("tables", "prepared"):
            (part / name).mkdir()
            (part / name / "version").write_text(version)


def versions(folder: Path) -> dict[str, str]:
    """What lies in a folder of a pair, hidden leftovers by their name alone."""
    return {
        path.name: "" if path.name.startswith(".") else (path / "version").read_text()
        for path in folder.iterdir()
    }


def holder(kind: str, path: Path) -> tuple["subprocess.Popen[str]", str]:
    """A process that is in the middle of writing, and the name of its temporary folder."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, kind, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def kill(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.communicate()


@pytest.mark.parametrize("moment", range(1, 5))
def test_a_kill_while_a_pair_is_replaced_never_mixes_it_and_loses_nothing(
    tmp_path: Path, moment: int
) -> None:
    write_pair(tmp_path, "old")
    done = subprocess.run([sys.executable, "-c", REPLACE_AND_DIE, str(tmp_path), str(moment)])
    assert done.returncode == -signal.SIGKILL
    there = versions(tmp_path)
    assert ("prepared" in there) == (moment == 1)
    assert not {"tables": "new", "prepared": "old"}.items() <= there.items()
    with (
        pytest.raises(ZeroDivisionError),
        folders_written_whole(tmp_path, ("tables", "prepared")),
    ):
        raise ZeroDivisionError  # the next writer fails too: the old pair is back all the same
    assert versions(tmp_path) == {"tables": "old", "prepared": "old"}
    write_pair(tmp_path, "newest")
    assert versions(tmp_path) == {"tables": "newest", "prepared": "newest"}


def test_an_error_between_the_renames_brings_the_old_pair_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path, "old")
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if target == tmp_path / "prepared" and self.parent.name.startswith(temporary("new")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(UserError, match="The disk is full"):
        write_pair(tmp_path, "new")
    assert versions(tmp_path) == {"tables": "old", "prepared": "old"}


def test_leftovers_of_killed_writers_are_removed_and_those_at_work_are_not(tmp_path: Path) -> None:
    dead, left = holder("one", tmp_path / "adapter")
    kill(dead)
    (tmp_path / f"{temporary('adapter')}abcd_012.old").mkdir()
    (tmp_path / f"{temporary('adapter-b')}abcd_012").mkdir()  # of a folder called adapter-b
    live, held = holder("one", tmp_path / "adapter")
    try:
        assert not (tmp_path / left).exists()
        assert not (tmp_path / f"{temporary('adapter')}abcd_012.old").exists()
        with written_whole(tmp_path / "adapter") as part:
            (part / "weights").write_text("whole")
        assert (tmp_path / held / "half").exists()
    finally:
        kill(live)
    assert {path.name for path in tmp_path.iterdir()} == {
        "adapter",
        held,
        f"{temporary('adapter-b')}abcd_012",
    }


def test_a_users_own_hidden_folders_are_never_taken_for_leftovers(tmp_path: Path) -> None:
    for name in (".adapter-20240501", ".tables-ab12cd34", ".new-20240501", ".adapter-20240501.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("a user's own")
    with written_whole(tmp_path / "adapter") as part:
        (part / "weights").write_text("whole")
    write_pair(tmp_path, "new")
    assert len(list(tmp_path.glob(".*/notes.txt"))) == 4


def test_a_leftover_of_another_user_stays_and_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / f"{temporary('scored.csv')}abcd_012"
    other.mkdir()
    opened = os.open

    def refusing(path: Any, *rest: Any, **more: Any) -> int:
        if path == other:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    with file_written_whole(tmp_path / "scored.csv") as part:
        part.write_text("whole")
    assert (tmp_path / "scored.csv").read_text() == "whole"
    assert other.exists()
    with pytest.raises(UserError, match="This place cannot be written to: Permission denied"):
        only_writer(other).__enter__()


def test_a_place_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for writer in (written_whole(tmp_path / "x"), only_writer(tmp_path / "y")):
        with pytest.raises(UserError, match="cannot be written to: No locks available"):
            writer.__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["y"]


def test_two_processes_do_not_write_one_data_set_at_once(tmp_path: Path) -> None:
    child, _ = holder("pair", tmp_path)
    try:
        with pytest.raises(UserError, match="Another process is writing here") as refused:
            write_pair(tmp_path, "new")
        assert str(tmp_path) in str(refused.value)
    finally:
        kill(child)
    write_pair(tmp_path, "new")
    assert versions(tmp_path) == {"tables": "new", "prepared": "new"}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "scored.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), file_written_whole(path) as part:
        part.write_text(f"half{1 // 0}")
    with pytest.raises(UnicodeEncodeError), file_written_whole(path) as part:
        part.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    with file_written_whole(path) as part:
        assert part.suffix == ".csv"
        part.write_text("new")
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["scored.csv"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk quota is used up"),
        (OSError(errno.EFBIG, "File too large"), "A file is larger than may be written here"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "The disk is full"),
    ],
)
def test_every_writer_names_the_place_of_a_full_disk(tmp_path: Path, error: Exception, says: str) -> None:
    place = tmp_path / "out"
    for writer in (
        written_whole(place),
        file_written_whole(place),
        folders_written_whole(place, ("a",)),
        place_named(place),
    ):
        with pytest.raises(UserError, match=says) as refused, writer:
            raise error
        assert refused.value.where == str(place)


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for writer in (written_whole, file_written_whole):
        with (
            pytest.raises(UserError, match="This place cannot be written to"),
            writer(tmp_path / "file" / "x"),
        ):
            pytest.fail("the work began")
    with pytest.raises(UserError, match="This place cannot be written to") as refused:
        check_writable(tmp_path / "file" / "x")
    assert str(tmp_path / "file" / "x") in str(refused.value)


def test_checking_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    check_writable(tmp_path / "data" / "shop")
    assert list(tmp_path.iterdir()) == []
