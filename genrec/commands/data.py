"""`genrec data`: from a source, or files of your own, to tables that everything else reads."""

import argparse
from pathlib import Path

from genrec.command import Command, group


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=Path, help="folder with your files, or a mapping file")
    add_mapping(parser)


def add_mapping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        type=Path,
        help="YAML that says which file and column is which (default: PATH/mapping.yaml, if it is there)",
    )


def _check(args: argparse.Namespace) -> int:
    from genrec.check import check

    report = check(args.path, args.mapping)
    print(report)
    return report.exit_code


CHECK = Command(
    help="judge files of your own: what would be repaired, warned of, refused",
    add_arguments=_check_arguments,
    run=_check,
    about="Read files of your own as `genrec data prepare files PATH` would, and say everything that is found:\n"
    "what would be repaired, what looks odd, what is refused and where. Nothing is written.\n"
    "Exit code 0 if they can be used, 2 if not.\n\n"
    "PATH holds events, items and users as .csv, .tsv, .jsonl (also .gz) or .parquet. Without a mapping the\n"
    "files are called events.*, items.*, users.* and their columns user_id, item_id, ts, event; item_id, title;\n"
    "user_id. Times are ISO 8601, or numbers with `ts_unit: s` (ms, us) in the mapping.",
    examples=("genrec data check shop/", "genrec data check shop/ --mapping shop.yaml"),
)

command = group("prepare, check and show data", {"check": CHECK})
