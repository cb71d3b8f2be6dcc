"""Files of named fields: whichever it is, a person is told what is wrong in it, where, and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune.recipe import load_recipe
from genrec.errors import UserError
from genrec.fields import find, misfit, read_stored
from genrec.tasks import load_task
from prompts.pack import load_pack

READERS = {
    "task file": lambda path: load_task(path),
    "pack": lambda path: load_pack(str(path)),
    "recipe": lambda path: load_recipe(str(path)),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "A {kind} is a YAML mapping"),
        (b"a: [", "Cannot read the {kind}: "),
        ("name: café".encode("latin-1"), "Cannot read the {kind}: "),
        (b"colour: red", "Unknown field 'colour'"),
        (b"1: red", "Unknown field '1'"),
        (None, "Cannot read the {kind}: "),  # a folder of that name
    ],
)
def test_every_file_that_a_person_writes_is_refused_alike(
    tmp_path: Path, kind: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    read: Callable[[Path], Any] = READERS[kind]
    with pytest.raises(UserError) as caught:
        read(path)
    assert message.format(kind=kind) in caught.value.what
    assert str(path) in caught.value.where
    assert caught.value.cure


def test_a_file_is_found_by_name_in_the_first_folder_or_by_its_path(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, names in ((one, "a"), (two, "ab")):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.yaml").touch()
    assert find("pack", "a", one, two) == one / "a.yaml"
    assert find("pack", "b", one, two) == two / "b.yaml"
    assert find("pack", str(two / "a.yaml"), one) == two / "a.yaml"
    with pytest.raises(UserError, match="No pack 'c'") as caught:
        find("pack", "c", one, two)
    assert caught.value.cure == "use one of a, b, or a path to a YAML file"


# ---- files that genrec wrote ---------------------------------------------------------------------------------

FIELDS = {
    "base": {"name": str},
    "dtype": ("float32", "bfloat16"),
    "tasks": [{"name": str}],
    "lines": {str: float},
}
GOOD = {
    "base": {"name": "x"},
    "dtype": "float32",
    "tasks": [{"name": "y"}],
    "lines": {"click": 1},
    "more": None,
}


def test_what_fits_is_read(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps(GOOD))
    assert read_stored(tmp_path / "card.json", FIELDS, "") == GOOD


def test_a_file_of_another_version_says_so_whatever_else_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match="of another version of genrec: 1, not 2"):
        read_stored(tmp_path / "card.json", FIELDS, "train it again", version=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": {}}, "base.name is missing"),
        ({"base": "x"}, "base is 'x', not an object"),
        ({"dtype": "int8"}, "dtype is 'int8', not one of float32, bfloat16"),
        ({"tasks": [{"name": "y"}, 3]}, "tasks[1] is 3, not an object"),
        ({"tasks": [{"name": None}]}, "tasks[0].name is None, not text"),
        ({"lines": {"click": True}}, "lines.click is True, not a number"),
    ],
)
def test_what_does_not_fit_is_said_by_field(change: dict[str, Any], message: str) -> None:
    assert misfit({**GOOD, **change}, FIELDS) == message


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00", '{"base": {"name": "x"}}'])
def test_a_damaged_file_is_refused_with_its_path_and_the_cure(tmp_path: Path, content: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"card\.json is damaged") as caught:
        read_stored(path, FIELDS, "train it again")
    assert (caught.value.where, caught.value.cure) == (str(path), "train it again")
