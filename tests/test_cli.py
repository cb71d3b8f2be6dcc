"""The shell of the command line: what a person sees when something is wrong, and what a script can rely on."""

import errno
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from genrec.cli import main
from genrec.command import GROUP, Command, group
from genrec.errors import UserError

DIST = """Metadata-Version: 2.1
Name: {name}
Version: 1
"""

Run = Callable[[Namespace], int | None]
Plug = Callable[[Run], None]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=1, help="how often")


def install(folder: Path, name: str, value: str, package: str = "plugin") -> None:
    """What an installed package leaves behind: its metadata, with one command registered."""
    info = folder / f"{package}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DIST.format(name=package))
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Register a package's command `probe` whose run is the given function."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def register(run: Run) -> None:
        install(tmp_path, "probe", f"{__name__}:PROBE")
        examples = ["genrec probe --times 3"]
        monkeypatch.setitem(
            globals(), "PROBE", Command("Probe the shell", add_arguments, run, examples=examples)
        )

    return register


def raises(error: BaseException) -> Run:
    def run(args: Namespace) -> int | None:
        raise error

    return run


def test_a_package_of_the_users_own_adds_a_command(plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(lambda args: print("probed", args.times))
    assert main(["probe", "--times", "3"]) == 0
    assert capsys.readouterr().out == "probed 3\n"


def test_help_lists_every_command_and_one_commands_help_shows_examples(
    plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(lambda args: 0)
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "Probe the shell" in text
    assert all(f"\n  {name} " in text for name in entry_points(group=GROUP).names)
    with pytest.raises(SystemExit, match="0"):
        main(["probe", "--help"])
    assert "examples:\n  genrec probe --times 3" in capsys.readouterr().out


def test_the_exit_code_is_the_commands(plug: Plug) -> None:
    plug(lambda args: 7)
    assert main(["probe"]) == 7


def test_a_user_error_is_three_lines_and_no_traceback(plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(raises(UserError("No column user_id", "events.csv, row 1", "map it with --map user_id=visitor")))
    assert main(["probe"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: No column user_id",
        "  where: events.csv, row 1",
        "  cure:  map it with --map user_id=visitor",
    ]


def test_ctrl_c_is_one_line(plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(raises(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/runs/adapter.safetensors"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["the system's", "a library's"],
)
def test_a_full_disk_says_so(plug: Plug, capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    plug(raises(error))
    assert main(["probe"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: The disk is full\n  where: ")
    if isinstance(error, OSError):
        assert "/runs/adapter.safetensors" in err


def test_a_missing_package_names_the_extra_that_brings_it(
    plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(raises(ModuleNotFoundError("No module named 'trl'", name="trl")))
    assert main(["probe"]) == 2
    assert "pip install '.[train]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ModuleNotFoundError("no", name="genrec.nothing"), PermissionError("no")]
)
def test_a_bug_keeps_its_traceback(plug: Plug, error: Exception) -> None:
    plug(raises(error))
    with pytest.raises(type(error)):
        main(["probe"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["porbe"], "did you mean `genrec probe`?"),
        (["zzz"], "one of: "),
        (["probe", "--times", "x"], "argument --times: invalid int value: 'x'"),
        (["probe", "--time", "3"], "unrecognized arguments"),  # no guessing at abbreviations
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_a_wrong_command_line_exits_2_with_a_cure(
    plug: Plug, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    plug(lambda args: 0)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert "cure:" in err


def test_no_command_at_all_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "first steps" in err


def test_a_broken_package_hides_no_other_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "broken", "no_such_module_here:command")
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "broken" in text
    assert "No module named 'no_such_module_here'" in text
    assert "\n  train " in text


def test_what_is_not_a_command_and_two_of_a_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "odd", "math:pi", package="odd")
    assert main(["odd"]) == 2
    assert "is not a genrec.command.Command but float" in capsys.readouterr().err
    install(tmp_path, "odd", "math:tau", package="odder")
    assert main(["odd"]) == 2
    assert "math:pi of odd; math:tau of odder" in capsys.readouterr().err


def test_a_group_runs_the_action_that_is_named(plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    action = Command("Do it", add_arguments, lambda args: args.times)
    both = group("Two actions", {"one": action, "two": Command("Other", add_arguments, lambda args: 99)})
    plug(lambda args: 0)
    globals()["PROBE"] = both
    assert main(["probe", "one", "--times", "5"]) == 5
    assert main(["probe", "two"]) == 99
    assert main(["probe"]) == 2
    assert "required: ACTION" in capsys.readouterr().err
    assert main(["probe", "one", "--wrong"]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("genrec 0.")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = "import sys; from genrec.cli import main; sys.exit(main(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_help_imports_nothing_heavy() -> None:
    """It is there in a fraction of a second: no array, data frame or model library."""
    code = (
        "import sys; from genrec.cli import main; main(['--help'])\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'torch', 'transformers', 'jinja2', 'yaml', 'pydantic'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
    assert "cannot be loaded" not in done.stdout
