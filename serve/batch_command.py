"""`genrec score`."""

import argparse
from typing import TYPE_CHECKING

from genrec.command import Command
from genrec.errors import UserError
from serve.commands import adapter_arguments, open_served

if TYPE_CHECKING:
    from collections.abc import Collection

    from genrec.item_names import ItemName
    from serve.served import Served

SHOWN = 3  # names in a line of the summary


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        help="CSV, JSONL or Parquet with the columns user_id and item_id (ids or titles), and any others",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="what to write: .csv, .jsonl or .parquet"
    )
    parser.add_argument(
        "--delimiter", metavar="CHARACTER", default="", help="of the CSV that is read (a comma)"
    )
    parser.add_argument("--tasks", help="some tasks only, separated by commas (all that the columns allow)")
    parser.add_argument("--restart", action="store_true", help="drop what another run has done")
    parser.add_argument(
        "--parts", metavar="DIR", help="where what is computed is kept until the output is whole (beside it)"
    )
    adapter_arguments(parser)


def _score(args: argparse.Namespace) -> int:
    from pathlib import Path

    from genrec.sources.files.csv_file import delimiter_of
    from genrec.sources.files.sheet import read_sheet
    from serve.batch import ids, items_named, score_file

    delimiter = delimiter_of(args.delimiter, "--delimiter")
    sheet = read_sheet(Path(args.file), delimiter)  # refused before the model is loaded
    if delimiter and not sheet.delimiter:
        raise UserError(f"{args.file} is not a CSV", where="--delimiter", cure="leave out --delimiter")
    folder, served = open_served(args)
    about_users = [task.name for task in served.tasks_about(item=False)]
    every = (
        [task.name for task in served.tasks_about(item=True)] if "item_id" in sheet.table.column_names else []
    )
    tasks = _chosen(args.tasks, [*every, *about_users])
    parts = Path(args.parts) if args.parts else None
    mark = served.card.fingerprint(folder)
    items = set(items_named(served, sheet)) if set(tasks) & set(every) else set()
    rows = score_file(served, mark, tasks, sheet, Path(args.out), args.restart, parts)
    print(f"{args.out}: {rows:,} rows{_new(set(ids(sheet, 'user_id')), items, served)}")
    for line in _readings(items):
        print(line)
    return 0


def _new(users: "Collection[str]", items: "Collection[ItemName]", served: "Served") -> str:
    """How many users and items the log does not know: they were scored as new."""
    counts = {
        "user": sum(not served.knows(user) for user in users),
        "item": sum(not item.known for item in items),
    }
    said = [f"{count:,} {what}{'s' * (count != 1)}" for what, count in counts.items() if count]
    return f"; scored as new, for the log does not know them: {' and '.join(said)}" if said else ""


def _readings(items: "Collection[ItemName]") -> list[str]:
    """How many items were named by a title, and what else is to be known of how names were read, with a few of each."""
    titles = sorted(item.name for item in items if item.read_as == "title")
    notes = sorted(item.note for item in items if item.known and item.note)
    lines = [f"named by title, items: {len(titles):,} ({_few(titles)})"] if titles else []
    return lines + ([f"names to check: {len(notes):,} ({_few(notes)})"] if notes else [])


def _few(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (", ..." if len(texts) > SHOWN else "")


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
