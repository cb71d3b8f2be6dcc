"""`genrec score`."""

import argparse
from typing import TYPE_CHECKING

from genrec.command import Command
from genrec.errors import UserError
from serve.commands import adapter_arguments, open_served

if TYPE_CHECKING:
    from genrec.sources.files.sheet import Sheet
    from serve.served import Served


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", help="CSV, JSONL or Parquet with the columns user_id and item_id, and any others"
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="what to write: .csv, .jsonl or .parquet"
    )
    parser.add_argument("--tasks", help="some tasks only, separated by commas (all that the columns allow)")
    parser.add_argument("--restart", action="store_true", help="drop what another run has done")
    adapter_arguments(parser)


def _score(args: argparse.Namespace) -> int:
    from pathlib import Path

    from genrec.sources.files.sheet import read_sheet
    from serve.batch import score_file

    sheet = read_sheet(Path(args.file))  # refused before the model is loaded
    folder, served = open_served(args)
    about_users = [task.name for task in served.tasks_about(item=False)]
    every = (
        [task.name for task in served.tasks_about(item=True)] if "item_id" in sheet.table.column_names else []
    )
    tasks = _chosen(args.tasks, [*every, *about_users])
    rows = score_file(served, served.card.fingerprint(folder), tasks, sheet, Path(args.out), args.restart)
    print(f"{args.out}: {rows:,} rows{_unknown(served, sheet)}")
    return 0


def _unknown(served: "Served", sheet: "Sheet") -> str:
    """How many of a file's ids the log does not know: they were scored as new."""
    from serve.batch import ids

    known = {"user_id": served.knows, "item_id": served.layout.items.__contains__}
    counts = {
        name.removesuffix("_id"): sum(not knows(text) for text in set(ids(sheet, name)))
        for name, knows in known.items()
        if name in sheet.table.column_names
    }
    told = [f"{count:,} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    return f"; scored as new, for the log does not know them: {' and '.join(told)}" if told else ""


def _chosen(named: str | None, possible: list[str]) -> list[str]:
    """The tasks to ask. Raises UserError for one that this adapter or this file does not have."""
    chosen = possible if named is None else [name.strip() for name in named.split(",") if name.strip()]
    if odd := [name for name in chosen if name not in possible]:
        raise UserError(
            f"No task {odd[0]!r} can be asked of these rows",
            where="--tasks",
            cure=f"choose from {', '.join(possible)}" if possible else "give the file a column item_id",
        )
    if not chosen:
        raise UserError("There is nothing to ask", where="--tasks", cure=f"choose from {', '.join(possible)}")
    return list(dict.fromkeys(chosen))


score = Command(
    "probabilities for a whole file of users and items",
    _arguments,
    _score,
    about="Score a file: its rows and columns come back in their order, with a probability a task. Users and items\n"
    "that the log does not know are scored as new.\n"
    "A run that was killed continues with the same command. Rows of one user are scored together, on one context.",
    examples=[
        "genrec score pairs.csv --out scored.csv",
        "genrec score users.parquet --out returns.parquet --tasks return --engine vllm",
    ],
)
