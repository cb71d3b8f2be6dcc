"""The shell of the `genrec` command: finds the sub-commands, runs one, and says in one line what went wrong.

It knows no command by name. Each room, or a package of the user's, registers its own (genrec/command.py).
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

from genrec.command import GROUP, Command, Parser, fill
from genrec.errors import UserError
from genrec.files import ELSEWHERE, disk_full

USER_ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two: 128 + the signal, as a shell counts

ABOUT = "One language model for every recommendation task: will she click, will she buy, will she be back, what next?"

FIRST_STEPS = """\
first steps, on real data that needs no account:
  genrec data prepare movielens-100k     three tables, labels, split, and what was repaired or dropped
  genrec train                           a LoRA adapter, fine-tuned on four tasks at once
  genrec eval                            beside the untrained model and the baselines, with intervals
  genrec predict --user 42 --items 50,181,286
  genrec recommend --user 42             a top ten
  genrec ask --user 42 --item Fargo "Is this one for a quiet evening?"

`genrec COMMAND --help` explains one command. `genrec data check PATH` judges files of your own."""

# What brings a package that cannot be found.
EXTRAS = {
    "train": {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "gguf", "bitsandbytes"},
    "serve": {"fastapi", "uvicorn", "httpx2", "pydantic", "tokenizers"},
    "baselines": {"lightgbm", "sklearn", "lenskit", "matplotlib"},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (sys.argv by default) and return the exit code; a bug keeps its traceback."""
    try:
        code = dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()  # a reader that left is noticed here, not at exit
        return code
    except UserError as error:
        return complain(error)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more at exit: let it go where nobody listens.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ModuleNotFoundError as error:
        if missing := missing_extra(error):
            return complain(missing)
        raise
    except Exception as error:
        if what := disk_full(error):  # where no writer named its place
            return complain(UserError(what, getattr(error, "filename", None) or str(Path.cwd()), ELSEWHERE))
        raise


def dispatch(arguments: list[str]) -> int:
    """Load the one command that is named, and nothing of the others."""
    if arguments and not arguments[0].startswith("-"):
        name, rest = arguments[0], arguments[1:]
        command = load(find(name))
        parser = fill(Parser(prog=f"genrec {name}"), command)
        return command.run(parser.parse_args(rest)) or 0
    parser = Parser(prog="genrec", usage="genrec COMMAND [ARGUMENTS]", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"genrec {version('genrec')}")
    if arguments in ([], ["-h"], ["--help"]):
        parser.epilog = f"{commands_listed()}\n\n{FIRST_STEPS}"
        print(parser.format_help(), end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else USER_ERROR
    parser.parse_args(arguments)
    return 0


def find(name: str) -> EntryPoint:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = sorted(entry_points(group=GROUP).names)
        close = get_close_matches(name, known, n=1)
        cure = f"did you mean `genrec {close[0]}`?" if close else f"one of: {', '.join(known)}"
        raise UserError(f"There is no command {name!r}", cure=cure)
    owners = sorted(f"{point.value} of {point.dist.name if point.dist else '?'}" for point in found)
    if len(set(owners)) > 1:
        raise UserError(f"Two packages name a command {name!r}", "; ".join(owners), "uninstall one of them")
    return next(iter(found))


def load(point: EntryPoint) -> Command:
    command = point.load()
    if not isinstance(command, Command):
        raise UserError(
            f"The command {point.name!r} is not a genrec.command.Command but {type(command).__name__}",
            where=f"{point.value}, in the entry-point group {GROUP}",
            cure="name an object of that class in the package's pyproject.toml",
        )
    return command


def commands_listed() -> str:
    """One line a command; one that cannot be loaded says so and does not hide the rest."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    width = max((len(point.name) for point in points), default=0)
    return "\n".join(["commands:", *(f"  {point.name:{width}}   {one_line(point)}" for point in points)])


def one_line(point: EntryPoint) -> str:
    try:
        return load(point).help
    except Exception as error:
        return f"(cannot be loaded: {type(error).__name__}: {str(error).partition(chr(10))[0]})"


def complain(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return USER_ERROR


def missing_extra(error: ModuleNotFoundError) -> UserError | None:
    """Where a package is missing that one of our extras would bring: which one to install."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return UserError(
                f"This needs the package {package}, which is not installed",
                cure=f"`make setup`, or in genrec's own folder: pip install '.[{extra}]'",
            )
    return None
