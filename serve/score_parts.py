"""The parts of a run of `genrec score`: what has been computed, kept in a folder until the output is whole.

A run goes on from the folder of its own output, or from that of another output beside it that the same run made and
that no process is at work in: so a write that failed costs nothing, whatever the format. A folder belongs to one
process at a time.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from genrec.errors import UserError
from genrec.fields import read_stored
from genrec.files import file_written_whole, only_writer, temporary

RUN_FILE = "run.json"
PARTS = "[0-9]*.parquet"
RUN = {"input": str, "adapter": str, "data": str, "tasks": [str], "part": int}


@contextmanager
def claimed(out: Path, run: Mapping[str, Any], folder: Path | None, restart: bool) -> Iterator[Path]:
    """The folder of parts, this process's own until the block ends.

    run: what the answers depend on, with the fields of RUN. folder: where the parts are, if not beside `out`. restart:
    drop those that are there. Raises UserError where the folder holds another run's or something else, and where
    another process is at work in it.
    """
    parts = folder or _own(out)
    with ExitStack() as locks:
        free = folder is None and not restart and not parts.exists()
        if free and (other := _beside(out, run, locks)):
            parts = other
        else:
            locks.enter_context(only_writer(parts))
        if not _is_ours(parts):
            cure = "name an empty or a new one"
            raise UserError("The folder holds something else than parts", str(parts), cure)
        if restart:
            _emptied(parts)
        _check(parts, run)
        yield parts


def cleared(parts: Path) -> None:
    """Take the parts away, and the folder where it then is empty."""
    _emptied(parts)
    if not any(parts.iterdir()):
        parts.rmdir()


def _emptied(parts: Path) -> None:
    for path in (parts / RUN_FILE, *parts.glob(PARTS)):
        path.unlink(missing_ok=True)
    for cut_off in (*parts.glob(f"{temporary(PARTS)}*"), *parts.glob(f"{temporary(RUN_FILE)}*")):  # by a kill
        shutil.rmtree(cut_off, ignore_errors=True)


def _own(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")


def _beside(out: Path, run: Mapping[str, Any], locks: ExitStack) -> Path | None:
    """A folder of parts that the same run left beside `out`, its lock taken; None where none is free."""
    for other in sorted(path.parent for path in out.parent.glob(f".*.parts/{RUN_FILE}")):
        with ExitStack() as lock:
            if _run_of(other) == run:
                try:
                    lock.enter_context(only_writer(other))
                except UserError:  # another process is at work there
                    continue
                if _run_of(other) == run:  # still: it may have been cleared before the lock was had
                    locks.push(lock.pop_all())
                    return other
    return None


def _is_ours(parts: Path) -> bool:
    """Whether a folder has nothing but what is hidden in it, or what `genrec score` says of its run."""
    if not (parts / RUN_FILE).exists():
        return all(path.name[0] == "." for path in parts.iterdir())
    run = _run_of(parts)
    return isinstance(run, dict) and run.keys() >= RUN.keys()


def _run_of(parts: Path) -> object:
    """What a folder's parts depend on; None where it does not say."""
    try:
        return json.loads((parts / RUN_FILE).read_text())
    except (OSError, ValueError):
        return None


def _check(parts: Path, run: Mapping[str, Any]) -> None:
    """Write down what the parts depend on, or compare it with what is written there."""
    path = parts / RUN_FILE
    if not path.exists():
        with file_written_whole(path) as part:
            part.write_text(json.dumps(run))
        return
    before = read_stored(path, RUN, "start anew with --restart")
    if changed := sorted(name for name in run if before[name] != run[name]):
        raise UserError(
            f"Parts of another run are there: its {', '.join(changed)} differ",
            where=str(parts),
            cure="name another --out, or start anew with --restart",
        )
