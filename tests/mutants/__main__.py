"""Try every fault of the list on copies of the repository, and keep what came of it: `make mutants`.

    cd tests && python -m mutants --jobs 2                    all that has no result of these files yet
    cd tests && python -m mutants --only NAME [NAME ...]      these, again

Results are written after each fault, so that a run that was stopped goes on where it stood; a result counts as long as
the fault, its file and its tests are the same. Before any fault the tests run without one: where they fail, nothing
could be said of a fault. Exits with 1 where a fault survived that the list does not argue for.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genrec.errors import UserError
from genrec.files import file_written_whole
from genrec.provenance import machine
from mutants.faults import ROOT, Fault, faults
from mutants.trial import Outcome, copied, run_tests, tried

RESULTS = ROOT / "docs" / "measured" / "mutants.json"


class Kept:
    """The results file: which tests passed at this commit without a fault, and each fault's latest result."""

    def __init__(self, path: Path, commit: str, jobs: int) -> None:
        self.path, self.commit = path, commit
        self._lock = threading.Lock()
        before = json.loads(path.read_text()) if path.exists() else {}
        self.faults: dict[str, dict[str, Any]] = {row["name"]: row for row in before.get("faults", [])}
        self.clean: dict[str, float] = before.get("clean", {}) if before.get("commit") == commit else {}
        self.red: dict[str, str] = {}
        self.about = {
            "command": "make mutants", "commit": commit, "date": str(datetime.now(UTC).date()),
            "machine": machine(), "jobs": jobs,
        }  # fmt: skip

    def has(self, fault: Fault) -> bool:
        """Whether there is a result of this fault, in this file, under these tests."""
        return self.faults.get(fault.name, {}).get("of") == fault.fingerprint()

    def without_a_fault(self, file: str, outcome: Outcome) -> None:
        """What came of a file's tests where no fault is in the code."""
        with self._lock:
            if outcome.result == "survived":
                self.clean[file] = outcome.seconds
            else:
                self.red[file] = outcome.by or outcome.result
            self._write()

    def put(self, fault: Fault, outcome: Outcome) -> None:
        row = {
            "name": fault.name, "what": fault.what, "file": fault.file, **outcome._asdict(), "commit": self.commit,
            "of": fault.fingerprint(),
        }  # fmt: skip
        if fault.argued:
            row["argued"] = fault.argued
        with self._lock:
            self.faults[fault.name] = row
            self._write()

    def _write(self) -> None:
        listed = [self.faults[fault.name] for fault in faults() if fault.name in self.faults]
        counted = Counter(row["result"] for row in listed)
        content = {**self.about, "results": dict(counted), "clean": self.clean, "faults": listed}
        with file_written_whole(self.path) as part:
            part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="mutants", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--jobs", type=int, default=2, help="faults tried at a time, at most one a core")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these faults, again")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="the tests are known to pass: do not run them without a fault first",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of results")
    args = parser.parse_args()
    try:
        return _run(args.jobs, args.only, args.out, args.trust)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _run(jobs: int, only: Sequence[str], out: Path, trust: bool) -> int:
    kept = Kept(out.absolute(), _commit(), jobs)
    chosen = [fault for fault in faults(only) if only or not kept.has(fault)]
    for fault in chosen:  # a list that has rotted is refused before any work
        fault.applied((ROOT / fault.file).read_text())
    threads = max((os.cpu_count() or 1) // jobs, 1)
    with tempfile.TemporaryDirectory(prefix="mutants-") as place, ThreadPoolExecutor(jobs) as pool:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(jobs):
            copies.put(copied(Path(place, str(number))))

        def tried_together(group: list[Fault]) -> None:
            """Faults whose tests stand in the same files; these pass before the first of them is tried."""
            copy = copies.get()
            try:
                for file in _by_file(group) if not trust else ():
                    if file not in kept.clean and file not in kept.red:
                        kept.without_a_fault(file, run_tests(named[file], copy, threads))
                for fault in group:
                    red = [file for file in _by_file([fault]) if file in kept.red]
                    if red:
                        outcome = Outcome(
                            "broken", 0.0, f"{red[0]} fails without a fault: {kept.red[red[0]]}"
                        )
                    else:
                        outcome = tried(fault, copy, threads)
                    kept.put(fault, outcome)
                    print(
                        f"{outcome.result:10} {outcome.seconds:6.1f} s  {fault.name}: {fault.what}",
                        flush=True,
                    )
            finally:
                copies.put(copy)

        named, groups = _by_file(chosen), dict[tuple[str, ...], list[Fault]]()
        for fault in chosen:
            groups.setdefault(tuple(_by_file([fault])), []).append(fault)
        print(f"{len(chosen)} faults, {len(faults(only)) - len(chosen)} have a result", flush=True)
        list(pool.map(tried_together, groups.values()))
    left = [kept.faults[fault.name] for fault in faults(only) if fault.name in kept.faults]
    bad = [row for row in left if row["result"] != "killed" and not row.get("argued")]
    print(
        f"{len(left)} faults, {len(bad)} that no test catches", *(f"  {row['name']}" for row in bad), sep="\n"
    )
    return 1 if bad else 0


def _by_file(chosen: Sequence[Fault]) -> dict[str, list[str]]:
    """The tests that these faults name, by their file: the file alone where one names the whole of it."""
    named: dict[str, list[str]] = {}
    for test in dict.fromkeys(test for fault in chosen for test in fault.tests):
        named.setdefault(test.partition("::")[0], []).append(test)
    return {file: [file] if file in tests else tests for file, tests in named.items()}


def _commit() -> str:
    """The commit that is checked out; "+" where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    changed = [line for line in git("status", "--porcelain").splitlines() if RESULTS.name not in line]
    return git("rev-parse", "--short=10", "HEAD").strip() + "+" * bool(changed)


if __name__ == "__main__":
    sys.exit(main())
