"""What a sub-command is. Any package adds one by naming a Command in the entry-point group `genrec.commands`:

    [project.entry-points."genrec.commands"]
    churn = "my_package.churn:command"

The module that holds a Command is loaded to print `genrec --help`: it imports what is heavy inside `run` only.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from genrec.errors import UserError

GROUP = "genrec.commands"


@dataclass(frozen=True)
class Command:
    """help: one line for the list of commands. run: does the work; returns an exit code, None for 0.

    run raises UserError for what the person at the keyboard can fix. about: what `--help` says in full.
    examples: whole command lines, shown under `--help`.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    about: str = ""
    examples: Sequence[str] = ()


def group(
    help: str, commands: Mapping[str, Command], about: str = "", examples: Sequence[str] = ()
) -> Command:
    """A command made of commands: `genrec data prepare`, `genrec data check`."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
        for name, command in commands.items():
            fill(actions.add_parser(name, help=command.help), command)

    def run(args: argparse.Namespace) -> int | None:
        return commands[args.action].run(args)

    return Command(help, add_arguments, run, about, examples)


class Parser(argparse.ArgumentParser):
    """argparse, with help printed as it was written, no guessing at abbreviations, and errors as UserError."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(
            message, where=self.prog, cure=f"`{self.prog} --help` shows the arguments and examples"
        )


def fill(parser: argparse.ArgumentParser, command: Command) -> argparse.ArgumentParser:
    """Give a parser the command's arguments and its help."""
    parser.description = command.about or command.help
    if command.examples:
        parser.epilog = "\n  ".join(["examples:", *command.examples])
    command.add_arguments(parser)
    return parser
