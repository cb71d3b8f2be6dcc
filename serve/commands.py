"""`genrec predict`, `genrec recommend`, `genrec ask`: one question each, answered from the command line."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from genrec.command import Command
from genrec.errors import UserError
from serve.engines import KINDS
from serve.node_budget import NODES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from genrec.item_names import ItemName
    from serve.search import Found
    from serve.served import Served


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", required=True, metavar="ID", help="a user id; one that is not in the log is scored as new"
    )
    adapter_arguments(parser)


def adapter_arguments(parser: argparse.ArgumentParser) -> None:
    """What open_served reads."""
    parser.add_argument("--adapter", metavar="DIR", help="an adapter's folder (the newest under runs/)")
    parser.add_argument("--data", metavar="DIR", help="the prepared folder (data/NAME, as the adapter says)")
    parser.add_argument("--engine", choices=KINDS, default="auto", help="what runs the model (%(default)s)")


def open_served(args: argparse.Namespace) -> tuple["Path", "Served"]:
    """The adapter that --adapter, --data and --engine name, and its folder."""
    from pathlib import Path

    from genrec.dataset import Prepared
    from genrec.progress import Progress
    from prompts.adapter import AdapterCard
    from serve.adapters import open_adapter
    from serve.served import chosen_adapter

    folder = chosen_adapter(args.adapter)
    trained_on = AdapterCard.load(folder).data["name"]
    data, user = Path(args.data or f"data/{trained_on}"), vars(args).get("user")
    with Progress("opening the adapter"):
        served = open_adapter(folder, Prepared.load(data, user), engine=args.engine)
    lines = f"; user {user}: {served.point(user)} lines of history" if user else ""
    about = sys.stderr if vars(args).get("json") else sys.stdout
    other = "" if served.data.name == trained_on else f" (trained on {trained_on}: not calibrated here)"
    print(f"{folder} on {data}{other}, {served.engine.name}{lines}", file=about)
    return folder, served


def _open(args: argparse.Namespace) -> "Served":
    return open_served(args)[1]


def _names(served: "Served", items: str | None, item: "Sequence[str]" = ()) -> "list[ItemName]":
    """items: ids or titles, separated by | where it holds one, else by commas. item: one id or title each, whatever
    characters it has."""
    listed = [part.strip() for part in items.split("|" if "|" in items else ",")] if items else []
    names = [("--items", part) for part in listed if part] + [("--item", name) for name in item]
    if items is not None and not names:
        raise UserError("No items", where="--items", cure="name some, by id or title, separated by commas")
    return [served.names.read(name, option) for option, name in names]


# ---- predict ------------------------------------------------------------------------------------------------


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--items",
        help="ids or titles, separated by commas (or by | if titles hold commas); without any item, only the tasks "
        "about the user alone are answered",
    )
    parser.add_argument(
        "--item",
        action="append",
        default=[],
        metavar="NAME",
        help="one item's id or title, whatever characters it has; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _predict(args: argparse.Namespace) -> int:
    import json

    from serve.every_task import every_task

    served = _open(args)
    names = _names(served, args.items, args.item)
    _check_answerable(served, bool(names))
    found = every_task(served, args.user, [name.item_id for name in names])
    rows = [
        {
            "item": name.item_id, "title": served.title(name.item_id),
            "known": name.known, "read_as": name.read_as, "note": name.note,
            **{t: p[k].tolist() for t, p in found.about_items.items()},
        }
        for k, name in enumerate(names)
    ]  # fmt: skip
    if args.json:
        answers = {"user": args.user, "items": rows, "calibrated": found.calibrated, **found.about_user}
        print(json.dumps(answers, ensure_ascii=False))
        return 0
    if names:
        _print_table(rows, list(found.about_items))
        _print_notes(names)
    for task, p in found.about_user.items():
        print(f"{task}: {_cell(p).strip()}")
    if found.not_calibrated:
        cure = (
            "" if served.card.calibration else "; `genrec eval` fits the calibration on the validation split"
        )
        print(f"not calibrated: {', '.join(found.not_calibrated)}{cure}")
    return 0


def _check_answerable(served: "Served", items: bool) -> None:
    """Raises UserError where this adapter has no task for what was asked."""
    if items and not served.tasks_about(item=True):
        cure = "leave it out: the tasks about the user alone are answered then"
        raise UserError("No task of this adapter is about an item", where="--items", cure=cure)
    if not items and not served.tasks_about(item=False):
        cure = "name some items: no task of this adapter is about the user alone"
        raise UserError("There is nothing to predict", where="--items", cure=cure)


def _cell(p: float | list[float]) -> str:
    """A probability, or one for each answer of a choice."""
    return f"{p:>8.3f}" if isinstance(p, float) else " ".join(f"{each:.2f}" for each in p)


def _print_notes(names: "Sequence[ItemName]") -> None:
    """What is to be known of how names were read."""
    for note in dict.fromkeys(name.note for name in names if name.note):
        print(note)


def _print_table(rows: list[dict[str, Any]], columns: list[str]) -> None:
    width = max(len(str(row["title"])) for row in rows)
    print(f"{'item':>8}  {'title':<{width}}" + "".join(f"  {c:>8}" for c in columns))
    for row in rows:
        cells = "".join(f"  {_cell(row[c])}" for c in columns)
        print(f"{row['item']:>8}  {row['title']:<{width}}{cells}")


predict = Command(
    "probabilities of every task for one user and some items",
    _predict_arguments,
    _predict,
    about="Answer every task of an adapter, as of the end of the log: for each item those about items (click;\n"
    "convert, given a click; ctcvr, their product), for the user alone those about her (return). They are calibrated\n"
    "once `genrec eval` has been run. Users and items that the log does not know are answered too.",
    examples=[
        "genrec predict --user 42 --items 50,181,286",
        "genrec predict --user 42",
        'genrec predict --user 42 --items "Fargo|The Truth, Again"',
        'genrec predict --user 42 --item "Tea, green | loose" --item Fargo',
    ],
)


# ---- recommend ----------------------------------------------------------------------------------------------


def _recommend_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("-k", type=int, default=10, help="how many (%(default)s)")
    parser.add_argument(
        "--nodes",
        type=int,
        default=NODES,
        metavar="N",
        help="search until N paths of the catalog's trie are extended, and then up to k titles are completed greedily, "
        "which bounds the time; the answer says whether it is exact and, if not, how far from it. 0: as many as it "
        "takes to be exact (%(default)s)",
    )


def _recommend(args: argparse.Namespace) -> int:
    import math

    from genrec.progress import Progress

    for option, value, least in (("-k", args.k, 1), ("--nodes", args.nodes, 0)):
        if value < least:
            raise UserError(f"{option} is {value}", where=option, cure=f"give {least} or more")
    served = _open(args)
    with Progress("searching the catalog"):
        found = served.recommend(args.user, args.k, args.nodes)
    items = [item for item, _ in found.items]
    if not items:
        print("nothing is left to recommend")
        return 0
    tasks = [name for name in ("click",) if name in served.layout.tasks]
    p = served.predictor.predict(served.rows(args.user, items) if tasks else [], tasks)
    width = max(len(served.title(item)) for item in items)
    print(f"{'':>3}  {'title':<{width}}  {'P(next)':>8}" + "".join(f"  P({task})" for task in tasks))
    for n, (item, logprob) in enumerate(found.items):
        row = f"{n + 1:>3}  {served.title(item):<{width}}  {math.exp(logprob):>8.4f}"
        print(row + "".join(f"  {p[task][n]:>8.3f}" for task in tasks))
    print(_exactness(found, len(served.catalog.trie)))
    return 0


def _exactness(found: "Found", titles: int) -> str:
    if found.exact:
        return f"exact over {titles:,} titles, {found.nodes} paths extended"
    completed = f" ({found.completed} of these completed greedily)" if found.completed else ""
    return (
        f"not exact: an item up to {found.gap:.2f} nats better may be missing{completed}; {found.nodes} paths of "
        f"{titles:,} titles extended, --nodes 0 extends as many as it takes"
    )


recommend = Command(
    "the most likely next items of the whole catalog",
    _recommend_arguments,
    _recommend,
    about="Rank the whole catalog by P(next): the probability that an item is the one she turns to next, read token\n"
    "by token along the titles, so that no item is made up. What she has touched is left out. P(click) is the\n"
    "probability of a click if the item is shown to them. The search is exact unless --nodes paths were not\n"
    "enough; the last line says so.",
    examples=["genrec recommend --user 42", "genrec recommend --user 42 -k 20 --nodes 0"],
)


# ---- ask ----------------------------------------------------------------------------------------------------


def _ask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="in your own words, to be answered yes or no")
    _common(parser)
    parser.add_argument(
        "--item",
        metavar="NAME",
        help="one item's id or title, if the question is about one; whatever characters it has",
    )


def _asked_task(served: "Served", item: bool) -> str:
    """The task whose yes and no answer free words."""
    for task in served.tasks_about(item):
        if task.kind == "binary" and task.given is None:
            return task.name
    raise UserError(
        f"No yes-or-no task of this adapter is about {'an item' if item else 'the user alone'}",
        where=f"its tasks: {', '.join(served.layout.tasks)}",
        cure="leave --item out" if item else "name an item with --item",
    )


def _ask(args: argparse.Namespace) -> int:
    served = _open(args)
    task = _asked_task(served, args.item is not None)
    if args.item is not None:
        name = served.names.read(args.item, "--item")
        print(f"about {served.title(name.item_id)}" + (f" (item {name.item_id})" if name.known else ""))
        _print_notes([name])
        row = served.row(args.user, name.item_id)
    else:
        row = served.user_row(args.user, task)
    p = float(served.predictor.predict([row], [task], query=args.question)[task][0])
    print(f"yes: {p:.3f}")
    asked = served.card.metrics.get("ask", {}).get(task)
    if asked is None:
        print(
            "not calibrated: how far free wordings can be trusted is measured by `genrec eval`, without --no-ask"
        )
    elif not asked["within"]:
        print(
            f"not calibrated: in wordings it was not trained on this adapter's AUC is {asked['held_out']:.3f}, "
            f"in its own {asked['trained']:.3f}"
        )
    return 0


ask = Command(
    "a yes-or-no question in your own words",
    _ask_arguments,
    _ask,
    about="Ask about an item, or, without --item, about whether the user comes back. The answer is the probability of\n"
    "yes, read from the logits after your words; what you write is data and cannot change the instructions.",
    examples=[
        'genrec ask --user 42 --item "Fargo" "Is this one for a quiet evening?"',
        'genrec ask --user 42 "Will they come back this week?"',
    ],
)
