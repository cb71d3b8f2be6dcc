"""`genrec eval`."""

import argparse

from eval.protocols import PROTOCOLS
from genrec.command import Command
from genrec.errors import UserError
from serve.engines import KINDS
from serve.node_budget import NODES

DATA = "data/movielens-100k"  # of --baselines-only, as of `genrec train`


def _protocols() -> str:
    return "\n".join(
        f"  {name:15} {protocol.about}\n{'':18}genrec data prepare SOURCE {protocol.options}"
        for name, protocol in PROTOCOLS.items()
    )


ABOUT = f"""\
Measure an adapter beside the untrained model and the baselines, which get the same examples, the same history and the
same statistics; with intervals by bootstrap over users and paired tests.

--split valid, the default, is for choosing: a recipe, a task file, how long to train. --split test is for a claim, and
is read once: whatever is chosen by test figures makes them too good. Calibration and thresholds are fitted on the
validation split either way, so calibrated figures are shown of the test split only; the calibration is stored with the
adapter.

One JSON a model, task and split, report.md, report.json and report.html are written to OUT as each model is done with a
task: the page of a run that was killed says what is missing. Run it again: the answers that the language model gave are
kept and are not asked again; the baselines are fitted anew, and with --baselines-only that is the whole run.

--baselines-only needs no adapter: it measures what one would have to beat on a prepared data set.

The model that a team has today takes part by its predictions: a CSV or Parquet file with the columns task, user_id,
item_id, ts and p, for the valid and test examples of prepared/examples.parquet.

Protocols (--protocol) are splits; the data is prepared so, and the adapter trained on it:

{_protocols()}"""


def _count(text: str) -> int:
    """A number of examples or users."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _count_or_all(text: str) -> int:
    """A number of examples, 0 for all."""
    return 0 if text.strip() == "0" else _count(text)


def _ks(text: str) -> tuple[int, ...]:
    """Lengths of lists, each once, in the order they were given."""
    return tuple(dict.fromkeys(map(_count, text.split(","))))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DATA", nargs="?", help="the prepared folder (the adapter's, data/NAME; "
        f"with --baselines-only {DATA})",
    )  # fmt: skip
    parser.add_argument("--adapter", help="an adapter's folder (the newest under runs/)")
    parser.add_argument("--data", help="the same as DATA")
    parser.add_argument(
        "--split",
        choices=("valid", "test"),
        default="valid",
        help="valid while choosing, test once for a claim (%(default)s)",
    )
    parser.add_argument("--engine", choices=KINDS, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--tasks", help="some tasks only, separated by commas")
    parser.add_argument(
        "--rows",
        type=_count,
        help="sample about this many examples a task, by whole users; single ones of tasks about a user alone, "
        "such as return, where each has few (all)",
    )
    parser.add_argument(
        "--users",
        type=_count,
        help="sample this many users; with --rows at most ROWS / USERS examples of each, consecutive in time, so that "
        "many users are judged at the cost of few (whole users until ROWS are reached); lists of next items "
        "are sampled by --list-rows alone",
    )
    parser.add_argument(
        "--list-rows",
        type=_count_or_all,
        default=500,
        help="sample this many next items; 0 for all (%(default)s)",
    )
    parser.add_argument(
        "--k",
        type=_ks,
        default=(10,),
        metavar="K,...",
        help="the k of HR@k, NDCG@k, MRR@k and coverage@k; models are compared at the first (10)",
    )
    parser.add_argument(
        "--valid-rows",
        type=_count,
        help="sample this many validation examples a task for the calibration and the thresholds (as --rows)",
    )
    parser.add_argument(
        "--nodes",
        type=_count_or_all,
        metavar="N",
        help="extend at most N paths of the catalog's trie for each list of next items, as `genrec recommend` does; "
        "the results say how many lists are exact and how large the others' gap is. 0: as many as it takes to be exact "
        f"({NODES})",
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
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-baselines", action="store_true", help="leave the baselines out")
    which.add_argument(
        "--baselines-only", action="store_true", help="measure the baselines alone; no adapter"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small hyper-parameter searches for the baselines"
    )
    parser.add_argument("--no-untrained", action="store_true", help="leave the untrained model out")
    parser.add_argument("--no-ask", action="store_true", help="leave out the wordings kept out of training")
    parser.add_argument("--out", help="folder of results and reports (eval/ beside the adapter, or in DATA)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of samples, bootstrap and baselines (%(default)s)"
    )


def _refuse_what_has_no_effect(args: argparse.Namespace) -> None:
    """Raises UserError for an option that the others make meaningless."""
    if args.valid_rows and args.split == "valid":
        raise UserError(
            "The validation examples themselves are measured", "--valid-rows", "sample them with --rows"
        )
    if not args.baselines_only:
        return
    of_the_model = {
        "--adapter": args.adapter, "--engine": args.engine != "auto", "--nodes": args.nodes is not None,
        "--without-statistics": args.without_statistics, "--no-untrained": args.no_untrained, "--no-ask": args.no_ask,
    }  # fmt: skip
    for option, given in of_the_model.items():
        if given:
            raise UserError(
                "No language model takes part", f"{option}, --baselines-only", "leave one of the two out"
            )


def _run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from eval.options import Options
    from genrec.dataset import Prepared
    from genrec.progress import Progress

    if args.folder and args.data and args.folder != args.data:
        raise UserError(f"Two data sets, {args.folder} and {args.data}", "DATA, --data", "name one of them")
    _refuse_what_has_no_effect(args)
    folder = args.folder or args.data
    options = Options(
        tasks=tuple(filter(None, (args.tasks or "").split(","))),
        split=args.split,
        rows=args.rows,
        users=args.users,
        list_rows=args.list_rows or None,
        ks=args.k,
        valid_rows=args.valid_rows,
        nodes=NODES if args.nodes is None else args.nodes,
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
    if args.baselines_only:
        from eval.without_adapter import evaluate_baselines

        with Progress(f"reading {folder or DATA}"):
            data = Prepared.load(Path(folder or DATA))
        out = Path(args.out or Path(folder or DATA) / "eval")
        evaluate_baselines(data, options, out)
    else:
        from eval.run import evaluate
        from prompts.adapter import AdapterCard
        from serve.served import chosen_adapter

        adapter = chosen_adapter(args.adapter)
        folder = folder or f"data/{AdapterCard.load(adapter).data['name']}"
        with Progress(f"reading {folder}"):
            data = Prepared.load(Path(folder))
        out = Path(args.out) if args.out else adapter.parent / "eval"
        evaluate(adapter, data, options, out)
    return 0


evaluate = Command(
    "measure beside the untrained model and the baselines, with intervals",
    _arguments,
    _run,
    about=ABOUT,
    examples=[
        "genrec eval",
        "genrec eval --split test",
        "genrec eval --baselines-only data/shop",
        "genrec eval --rows 2000 --tasks click,convert",
        "genrec eval --users 60 --rows 600",
        "genrec eval --predictions today.csv",
        "genrec eval --regime frozen --without-statistics",
    ],
)
