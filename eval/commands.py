"""`genrec eval`."""

import argparse

from eval.protocols import PROTOCOLS
from genrec.command import Command
from serve.engines import KINDS


def _protocols() -> str:
    return "\n".join(
        f"  {name:15} {protocol.about}\n{'':18}genrec data prepare SOURCE {protocol.options}"
        for name, protocol in PROTOCOLS.items()
    )


ABOUT = f"""\
Measure an adapter on the test split of its data: beside the untrained model and the baselines, which get the same
examples, the same history and the same statistics; with intervals by bootstrap over users and paired tests.

Calibration and thresholds are chosen on the validation split; the calibration is stored with the adapter. One JSON a
model and task, report.md, report.json and report.html are written to OUT. Run it again after a kill: it continues.

The model that a team has today takes part by its predictions: a CSV or Parquet file with the columns task, user_id,
item_id, ts and p, for the valid and test examples of prepared/examples.parquet.

Protocols (--protocol) are splits; the data is prepared so, and the adapter trained on it:

{_protocols()}"""


def _count(text: str) -> int:
    """A number of examples or users."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: 1 or more")
    return number


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--adapter", help="an adapter's folder (the newest under runs/)")
    parser.add_argument("--data", help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument("--engine", choices=KINDS, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--tasks", help="some tasks only, separated by commas")
    parser.add_argument(
        "--rows",
        type=_count,
        help="sample about this many test examples a task, by whole users; single ones of tasks about a user alone, "
        "such as return, where each has few (all)",
    )
    parser.add_argument(
        "--users",
        type=_count,
        help="sample this many users; with --rows at most ROWS / USERS examples of each, consecutive in time, so that "
        "many users are judged at the cost of few (whole users until ROWS are reached)",
    )
    parser.add_argument(
        "--list-rows", type=int, default=500, help="sample this many next items; 0 for all (%(default)s)"
    )
    parser.add_argument(
        "--protocol", choices=tuple(PROTOCOLS), help="refuse data that is split otherwise (see above)"
    )
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        action="append",
        default=[],
        help="another model's predictions, called as the file is; may be repeated",
    )
    parser.add_argument(
        "--regime",
        choices=("running", "frozen"),
        help="of the statistics (the one the adapter was trained on)",
    )
    parser.add_argument(
        "--without-statistics", action="store_true", help="measure prompts without statistics too"
    )
    parser.add_argument("--no-baselines", action="store_true", help="leave the baselines out")
    parser.add_argument(
        "--quick", action="store_true", help="small hyper-parameter searches for the baselines"
    )
    parser.add_argument("--no-untrained", action="store_true", help="leave the untrained model out")
    parser.add_argument("--no-ask", action="store_true", help="leave out the wordings kept out of training")
    parser.add_argument("--out", help="folder of results and reports (eval/ beside the adapter)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of samples, bootstrap and baselines (%(default)s)"
    )


def _run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from eval.report.markdown import markdown
    from eval.run import Options, evaluate
    from genrec.dataset import Prepared
    from prompts.adapter import AdapterCard
    from serve.served import chosen_adapter

    adapter = chosen_adapter(args.adapter)
    data = Prepared.load(Path(args.data or f"data/{AdapterCard.load(adapter).data['name']}"))
    options = Options(
        tasks=tuple(filter(None, (args.tasks or "").split(","))),
        rows=args.rows,
        users=args.users,
        list_rows=args.list_rows or None,
        regime=args.regime or "",
        protocol=args.protocol or "",
        predictions=tuple(Path(file) for file in args.predictions),
        baselines=not args.no_baselines,
        untrained=not args.no_untrained,
        without_stats=args.without_statistics,
        ask=not args.no_ask,
        quick=args.quick,
        engine=args.engine,
        seed=args.seed,
    )
    out = Path(args.out) if args.out else adapter.parent / "eval"
    results = evaluate(adapter, data, options, out)
    print("\n" + markdown(results, f"genrec on {data.name}"))
    print(f"report: {out / 'report.html'}")
    return 0


evaluate = Command(
    "measure beside the untrained model and the baselines, with intervals",
    _arguments,
    _run,
    about=ABOUT,
    examples=[
        "genrec eval",
        "genrec eval --rows 2000 --tasks click,convert",
        "genrec eval --users 60 --rows 600",
        "genrec eval --predictions today.csv",
        "genrec eval --regime frozen --without-statistics",
    ],
)
