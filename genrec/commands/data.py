"""`genrec data`: from a source, or files of your own, to tables that everything else reads."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrec.command import Command, group
from genrec.errors import UserError

if TYPE_CHECKING:  # --help loads nothing heavy
    from genrec.reading import Reading

TASKS = "genrec.tasks"  # entry points that name a folder of task files: where a reading's tasks are looked up
ACTIONS = "genrec.data"  # entry points that name a Command: an action of `genrec data` of another room
PACKS = "genrec.packs"  # the entry point `genrec` there reads a pack by its name


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=Path, help="folder with your files, or a mapping file")
    add_mapping(parser)
    add_tasks(parser)


def add_mapping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        type=Path,
        help="YAML that says which file and column is which (default: PATH/mapping.yaml, if it is there)",
    )


def add_tasks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tasks",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="a folder of task files of your own: all of them join; may be repeated",
    )


def _check(args: argparse.Namespace) -> int:
    from genrec.check import check
    from genrec.progress import Progress

    with Progress("checking"):
        report = check(args.path, task_folders(), args.mapping, args.tasks, check_pack)
    print(report)
    return report.exit_code


CHECK = Command(
    help="judge files of your own: what would be repaired, warned of, refused",
    add_arguments=_check_arguments,
    run=_check,
    about="Read files of your own as `genrec data prepare files PATH` would, derive the labels, and say everything\n"
    "that is found: what would be repaired, what looks odd, what is refused and where. Nothing is written.\n"
    "Exit code 0 if they can be used, 2 if not.\n\n"
    "PATH holds events, items and users as .csv, .tsv, .jsonl (also .gz, .zst) or .parquet. Without a mapping the\n"
    "files are called events.*, items.*, users.* and their columns user_id, item_id, ts, event; item_id, title;\n"
    "user_id. Times are ISO 8601, or numbers with `ts_unit: s` (ms, us) in the mapping.",
    examples=("genrec data check shop/", "genrec data check shop/ --mapping shop.yaml"),
)


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="movielens-100k, cdnow, simulator, files, ... (listed above)"
    )
    parser.add_argument(
        "path", metavar="PATH", type=Path, nargs="?", help="where the source's files are, if it needs any"
    )
    add_mapping(parser)
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the source's own, such as users=200 for the simulator; may be repeated",
    )
    add_tasks(parser)
    parser.add_argument(
        "--split",
        choices=("time", "last", "users"),
        help="split it another way than the source does: by time 8:1:1, each user's last examples, or folds of "
        "users; NAME then says so",
    )
    parser.add_argument("--folds", type=int, help="of --split users (10)")
    parser.add_argument("--fold", type=int, help="which of them tests; the next one chooses (0)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: data/NAME)")


def _prepare(args: argparse.Namespace) -> int:
    from genrec.dataset import with_history
    from genrec.doubts import judge
    from genrec.files import check_writable
    from genrec.findings import Findings
    from genrec.progress import Progress
    from genrec.sources import load_source
    from genrec.summary import summary
    from genrec.tasks import load_tasks

    findings = Findings()
    check_writable(args.out or Path("data"))
    with Progress("reading the log"):
        loaded = load_source(args.source, args.path, findings, **_options(args))
    findings.repaired = list(loaded.repairs)
    loaded = loaded._replace(reading=_split(args, loaded.reading))
    tasks = load_tasks(task_folders(), loaded.reading.tasks, loaded.reading.labels, own=args.tasks)
    check_pack(loaded.reading.pack)
    with Progress("deriving labels"):
        labelled = judge(loaded, tasks, findings)
    findings.stop_if_refused()
    assert labelled is not None  # it is None only where something was refused
    with Progress("deriving histories and statistics"):
        data = with_history(labelled)
    out = args.out or Path("data") / data.name
    replaced = " in the place of what was there" if out.exists() else ""
    with Progress(f"writing {out}"):
        data.save(out)
    print(summary(data, findings))
    print(f"\nwritten to {out}{replaced}")
    return 0


def _split(args: argparse.Namespace, reading: "Reading") -> "Reading":
    """The reading as it is split here."""
    from genrec.splits import another

    folds = {name: value for name in ("folds", "fold") if (value := getattr(args, name)) is not None}
    if folds and args.split != "users":
        raise UserError(f"--{min(folds)} is of folds of users", cure="add --split users")
    return another(reading, {"by": args.split, **folds}) if args.split else reading


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The source's options; a value is read as YAML reads it, so that 200 is a number."""
    import yaml

    options: dict[str, Any] = {"mapping": args.mapping}
    for pair in args.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair} has no value", cure="write --set NAME=VALUE")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                f"--set {pair} cannot be read: {value!r} is no YAML value", cure="put it in quotes"
            ) from error
    return options


def task_folders() -> list[Path]:
    """The folders of task files that installed packages bring: genrec's own first, then by package."""
    from importlib.metadata import entry_points

    points = sorted(entry_points(group=TASKS), key=lambda point: (point.name != "genrec", point.name))
    return [Path(point.load()) for point in points]


def other_actions() -> dict[str, Command]:
    """The actions that other rooms and packages bring, by name."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group=ACTIONS)}


def check_pack(name: str) -> None:
    """Raises UserError for a pack that is not there or is not whole. Packs are of the room that writes prompts."""
    from importlib.metadata import entry_points

    for point in entry_points(group=PACKS, name="genrec"):
        point.load()(name)


PREPARE = Command(
    help="from a source, or files of your own, to a data set that train and eval read",
    add_arguments=_prepare_arguments,
    run=_prepare,
    about="Read a source into three tables, derive every task's labels as each becomes known, split, write.\n"
    "Says what was kept, repaired, dropped and censored (its outcome lies past the end of its split).\n\n"
    "Sources: movielens-100k and cdnow are fetched and simulator is made up; movielens-1m, amazon-2018 and\n"
    "amazon-2023 read a folder that you downloaded; files reads your own .csv, .jsonl or .parquet.",
    examples=(
        "genrec data prepare movielens-100k",
        "genrec data prepare files shop/ --mapping shop.yaml --tasks my-tasks/",
        "genrec data prepare movielens-100k --split last",
        "genrec data prepare simulator --set users=200 --set seed=1 --out data/small-shop",
    ),
)

command = group(
    "prepare and check data",
    {"prepare": PREPARE, "check": CHECK, **other_actions()},
    about="Read a public data set, or files of your own, into the data set that train and eval read.\n"
    "`genrec data prepare --help` lists the sources; docs/your-log.md is the way in for a log of your own.",
    examples=("genrec data prepare movielens-100k", "genrec data check shop/"),
)
