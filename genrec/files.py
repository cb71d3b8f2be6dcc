"""Folders and files that are there whole or not at all, and errors of the disk that name the place.

What is written lies in a temporary folder beside its place, locked by the process that writes it, until it is whole.
The lock goes with the process, so that whoever writes to the same place next knows what a killed run left behind, and
removes it.
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genrec.errors import UserError

FULL = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EFBIG: "A file is larger than may be written here",
}
ELSEWHERE = "free some space, or name a folder on another disk"
NEW = "new"  # what folders are called that are written together, until they are whole
REPLACED = "old"  # in the temporary folder: what stood in the place before


def temporary(name: str) -> str:
    """What the names of temporary folders for `name` begin with: nobody else names a folder so."""
    return f".{name}.genrec-"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, which then replaces `folder`; an error leaves what was there before.

    Raises UserError that names the place where the disk is full or cannot be written to.
    """
    with _part(folder.parent, temporary(folder.name)) as part, place_named(folder):
        yield part
        _flush(part)
        part.chmod(0o755)
        before = part.with_name(f"{part.name}.{REPLACED}")
        if folder.exists():
            folder.rename(before)
        try:
            part.rename(folder)
        except BaseException:
            if before.exists():
                before.rename(folder)
            raise
        shutil.rmtree(before, ignore_errors=True)


@contextmanager
def folders_written_whole(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder to make the folders `names` in, which then replace those in `folder` together.

    The last of them is taken away first and put into its place last: a reader who begins with it never meets a mixed
    set, also where the process was killed in between. Then the next one to write here brings the old ones back first.
    Raises UserError as written_whole, and where another process is writing to the same folder.
    """
    with (
        place_named(folder),
        only_writer(folder),
        _part(folder, temporary(NEW), undo=names) as part,
    ):
        yield part
        _flush(part)
        (part / REPLACED).mkdir()
        try:
            for name in reversed(names):
                if (folder / name).exists():
                    (folder / name).rename(part / REPLACED / name)
            for name in names:
                (part / name).rename(folder / name)
        except BaseException:
            _bring_back(part, folder, names)
            raise


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """The folder is empty within the block. What it held is deleted after it, or back where the block raises."""
    with _part(folder, temporary("restart")) as part:
        names = [path.name for path in folder.iterdir() if path.name != part.name]
        (part / REPLACED).mkdir()
        try:
            for name in names:
                (folder / name).rename(part / REPLACED / name)
            yield
        except BaseException:
            for path in folder.iterdir():
                if path.name not in (part.name, *names):
                    path.rename(part / path.name)
            _bring_back(part, folder, names)
            raise


@contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is then there whole, in place of the one before, or not at all.

    Raises UserError that names the file where the disk is full or cannot be written to.
    """
    with _part(path.parent, temporary(path.name)) as folder, place_named(path):
        part = folder / path.name
        yield part
        _flush(part)
        part.replace(path)


@contextmanager
def file_tried(path: Path) -> Iterator[Path]:
    """Where to write a file as file_written_whole has it, to see that it can be; it is removed and path left as it is.

    Raises UserError as file_written_whole.
    """
    with _part(path.parent, temporary(path.name)) as folder, place_named(path):
        yield folder / path.name
        _flush(folder / path.name)


@contextmanager
def place_named(path: Path) -> Iterator[None]:
    """Turn the error of a full disk, also one that a library wrapped in its own, into a UserError that names path."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if what := disk_full(error):
            raise UserError(what, str(path), ELSEWHERE) from error
        raise


def disk_full(error: BaseException) -> str:
    """What an error says of the disk's space, "" where it is about something else."""
    cause: BaseException | None = error
    while cause is not None:
        for number, what in FULL.items():
            if getattr(cause, "errno", None) == number or os.strerror(number) in str(cause):
                return what
        cause = cause.__cause__ or cause.__context__
    return ""


def check_writable(folder: Path) -> None:
    """Raises UserError where `folder` cannot be made or written to; leaves nothing there."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    with _permitted(folder), tempfile.TemporaryFile(dir=place) as file:
        file.write(b"x")
        file.flush()


@contextmanager
def _permitted(path: Path) -> Iterator[None]:
    """Turn an error of making or opening what is needed to write to `path` into a UserError."""
    try:
        yield
    except OSError as error:
        what = disk_full(error) or f"This place cannot be written to: {error.strerror or error}"
        cure = ELSEWHERE if disk_full(error) else "name another, or see to its permissions"
        raise UserError(what, str(path), cure) from error


@contextmanager
def _part(parent: Path, prefix: str, undo: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary folder in parent, locked while it is filled and gone at the end; leftovers are removed first.

    undo: folders of parent that such a run may have moved into its own and not replaced.
    """
    with _permitted(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(parent, prefix, undo)
        part, lock = _locked_folder(parent, prefix)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and its lock; made again where another process took it for a leftover before it was locked."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = _lock(part)
        except OSError:
            part.rmdir()
            raise
        if lock is not None and part.exists():
            return part, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """An open descriptor that holds the folder's lock; None where another process holds it or the folder is gone.

    Raises OSError where the folder may not be opened, and where its file system has no locks.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder itself, made if need be.

    Raises UserError where another process holds it, and where the folder cannot be made or locked.
    """
    with _permitted(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    if lock is None:
        raise UserError("Another process is writing here", str(folder), "wait for it, or name another folder")
    try:
        yield
    finally:
        os.close(lock)


def _remove_leftovers(parent: Path, prefix: str, undo: Sequence[str]) -> None:
    """Remove the temporary folders of processes that are gone, once what they had moved away is back."""
    pattern = re.compile(rf"{re.escape(prefix)}[a-z0-9_]{{8}}(\.{REPLACED})?")
    for path in sorted(parent.iterdir()):
        if pattern.fullmatch(path.name) and (lock := _lock_of_leftover(path)) is not None:
            if any(not (parent / name).exists() for name in undo):
                _bring_back(path, parent, undo)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock_of_leftover(folder: Path) -> int | None:
    """As _lock; None also where the folder is another user's, who alone may open and remove it."""
    try:
        return _lock(folder)
    except PermissionError:
        return None


def _bring_back(part: Path, folder: Path, names: Sequence[str]) -> None:
    """Undo a replacement that did not come to its end; the last of the names is the last to be back."""
    for name in names:
        if (part / REPLACED / name).exists():
            if (folder / name).exists():
                (folder / name).rename(part / name)
            (part / REPLACED / name).rename(folder / name)


def _flush(path: Path) -> None:
    """Have what was written reach the disk, where a full one shows at the latest."""
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
