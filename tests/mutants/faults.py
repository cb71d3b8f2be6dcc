"""The list of faults: YAML files beside this one, one a room, each fault an exact text and what takes its place."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from genrec.errors import UserError
from genrec.fields import refuse_unknown

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """One fault. tests: what pytest is given, from the repository's root; at least one of these tests must fail."""

    name: str
    what: str  # what goes wrong, for someone who reads the table of results
    file: str
    find: str  # stands in the file exactly once
    put: str  # takes its place
    tests: tuple[str, ...]
    argued: str = ""  # why no test needs to fail, where none does

    def applied(self, text: str) -> str:
        """The file's text with the fault in it. Raises UserError where `find` does not stand in it exactly once."""
        if (times := text.count(self.find)) != 1:
            raise UserError(
                f"The text of fault {self.name!r} stands {times} times in {self.file}",
                where=f"{self.file}: {self.find!r}",
                cure="correct the list in tests/mutants, so that the text stands there exactly once",
            )
        return text.replace(self.find, self.put)

    def fingerprint(self) -> str:
        """Changes with the fault, its file and the files of its tests."""
        found = hashlib.sha256(repr((self.find, self.put, self.tests)).encode())
        for name in (self.file, *dict.fromkeys(test.partition("::")[0] for test in self.tests)):
            found.update((ROOT / name).read_bytes())
        return found.hexdigest()[:16]


def faults(names: Sequence[str] = ()) -> list[Fault]:
    """All faults of the list, or those named. Raises UserError for a field or a name that is not there."""
    known = [
        _read(raw, path) for path in sorted(FOLDER.glob("*.yaml")) for raw in yaml.safe_load(path.read_text())
    ]
    counted = Counter(fault.name for fault in known)
    if twice := [name for name, times in counted.items() if times > 1]:
        raise UserError(f"Two faults are called {twice[0]!r}", where=str(FOLDER), cure="rename one")
    if unknown := [name for name in names if name not in counted]:
        raise UserError(f"There is no fault {unknown[0]!r}", where=str(FOLDER), cure="name one of the list")
    return [fault for fault in known if not names or fault.name in names]


def _read(raw: dict[str, Any], path: Path) -> Fault:
    refuse_unknown(raw, [field.name for field in fields(Fault)], str(path))
    return Fault(**{**raw, "tests": tuple(raw["tests"])})
