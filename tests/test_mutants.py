"""The list of faults that `make mutants` tries has not rotted: each still applies, and names tests that are there."""

import ast
from pathlib import Path

import pytest
from mutants.faults import ROOT, Fault, faults

from genrec.errors import UserError

FAULTS = faults()


def named_in(path: Path) -> set[str]:
    """Its test functions and classes."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_still_applies_and_its_tests_are_there(fault: Fault) -> None:
    before = (ROOT / fault.file).read_text()
    after = fault.applied(before)
    assert after != before
    if fault.file.endswith(".py"):
        compile(after, fault.file, "exec")
    assert fault.tests
    for test in fault.tests:
        name, *inside = test.partition("[")[0].split("::")
        assert (ROOT / name).is_file()
        if inside:
            assert inside[0] in named_in(ROOT / name)


def test_the_list_is_long_and_covers_every_room() -> None:
    assert len(FAULTS) >= 60
    assert {fault.file.partition("/")[0] for fault in FAULTS} == {
        "genrec",
        "prompts",
        "finetune",
        "serve",
        "eval",
    }


def test_a_text_that_is_gone_or_stands_twice_is_refused() -> None:
    fault = Fault("name", "what", "file.py", "a = 1", "a = 2", ("tests/test_mutants.py",))
    assert fault.applied("a = 1\nb = 1\n") == "a = 2\nb = 1\n"
    for text in ("b = 1\n", "a = 1\na = 1\n"):
        with pytest.raises(UserError, match=r"stands [02] times"):
            fault.applied(text)
    with pytest.raises(UserError, match="no fault 'nothing'"):
        faults(["nothing"])
