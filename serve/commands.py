"""`genrec predict`, `genrec recommend`, `genrec ask`: one question each, answered from the command line."""

import argparse
from typing import TYPE_CHECKING

from genrec.command import Command
from genrec.errors import UserError

if TYPE_CHECKING:
    from serve.served import Served


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", required=True, help="a user id; one that is not in the log is scored as new"
    )
    parser.add_argument("--adapter", help="an adapter's folder (the newest under runs/)")
    parser.add_argument("--data", help="the prepared folder (data/NAME, as the adapter says)")


def _open(args: argparse.Namespace) -> "Served":
    from pathlib import Path

    from genrec.dataset import Prepared
    from prompts.adapter import AdapterCard
    from serve.served import newest_adapter, open_adapter

    folder = Path(args.adapter) if args.adapter else newest_adapter(Path("runs"))
    data = Path(args.data or f"data/{AdapterCard.load(folder).data['name']}")
    served = open_adapter(folder, Prepared.load(data))
    print(
        f"{folder} on {data}, {served.engine.name}; user {args.user}: {served.point(args.user)} lines of history"
    )
    return served


def _items(served: "Served", text: str) -> list[str]:
    """Ids or exact titles, separated by commas or |; what is neither is scored as a new item."""
    by_title = {str(row.get("title", "")).casefold(): item for item, row in served.layout.items.items()}
    parts = [part.strip() for part in text.split("|" if "|" in text else ",") if part.strip()]
    if not parts:
        raise UserError("No items", where="--items", cure="name some, by id or title, separated by commas")
    return [part if part in served.layout.items else by_title.get(part.casefold(), part) for part in parts]


def _title(served: "Served", item_id: str) -> str:
    return str(served.layout.items.get(item_id, {}).get("title") or f"(new) {item_id}")


# ---- predict ------------------------------------------------------------------------------------------------


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--items", required=True, help="ids or titles, separated by commas (or by | if titles hold commas)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _predict(args: argparse.Namespace) -> int:
    import json

    served = _open(args)
    items = _items(served, args.items)
    about_items = [t.name for t in served.layout.tasks.values() if t.label["rule"] in ("follows", "value")]
    found = served.predictor.predict([served.row(args.user, item) for item in items], about_items)
    calibrated = [task for task, line in served.card.calibration.items() if not line.get("note")]
    answers = {"user": args.user, "items": [], "calibrated": sorted(calibrated)}
    for k, item in enumerate(items):
        numbers = {task: p[k].tolist() for task, p in found.items()}
        answers["items"].append({"item": item, "title": _title(served, item), **numbers})
    for task in (t.name for t in served.layout.tasks.values() if t.label["rule"] == "returns"):
        if row := served.return_row(args.user, task):
            answers[task] = float(served.predictor.predict([row], [task])[task][0])
    if args.json:
        print(json.dumps(answers, ensure_ascii=False))
        return 0
    _print_table(answers["items"], list(found))
    for task in set(answers) - {"user", "items", "calibrated"}:
        print(f"{task}: {answers[task]:.3f}")
    if not answers["calibrated"]:
        print("not calibrated yet: `genrec eval` fits the calibration on the validation split")
    return 0


def _print_table(rows: list[dict[str, object]], columns: list[str]) -> None:
    width = max(len(str(row["title"])) for row in rows)
    print(f"{'item':>8}  {'title':<{width}}" + "".join(f"  {c:>8}" for c in columns))
    for row in rows:
        cells = "".join(
            f"  {row[c]:>8.3f}" if isinstance(row[c], float) else "  " + " ".join(f"{p:.2f}" for p in row[c])  # type: ignore[attr-defined]
            for c in columns
        )
        print(f"{row['item']:>8}  {row['title']:<{width}}{cells}")


predict = Command(
    "probabilities of every task for one user and some items",
    _predict_arguments,
    _predict,
    examples=[
        "genrec predict --user 42 --items 50,181,286",
        'genrec predict --user 42 --items "Fargo|The Truth, Again"',
    ],
)


# ---- recommend ----------------------------------------------------------------------------------------------


def _recommend_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("-k", type=int, default=10, help="how many (%(default)s)")


def _recommend(args: argparse.Namespace) -> int:
    import math

    if args.k < 1:
        raise UserError(f"-k is {args.k}", cure="give 1 or more")
    served = _open(args)
    found = served.recommend(args.user, args.k)
    items = [item for item, _ in found.items]
    if not items:
        print("nothing is left to recommend")
        return 0
    p = served.predictor.predict([served.row(args.user, item) for item in items], ["click"])["click"]
    width = max(len(_title(served, item)) for item in items)
    print(f"{'':>3}  {'title':<{width}}  {'P(next)':>8}  {'P(click)':>8}")
    for rank, ((item, logprob), click) in enumerate(zip(found.items, p, strict=True), start=1):
        print(f"{rank:>3}  {_title(served, item):<{width}}  {math.exp(logprob):>8.4f}  {click:>8.3f}")
    exact = "exact" if found.exact else f"not exact: an item up to {found.gap:.2f} nats better may be missing"
    print(f"{exact} over {len(served.trie):,} titles, {found.nodes} paths extended")
    return 0


recommend = Command(
    "the most likely next items of the whole catalog, exactly",
    _recommend_arguments,
    _recommend,
    examples=["genrec recommend --user 42", "genrec recommend --user 42 -k 20"],
)


# ---- ask ----------------------------------------------------------------------------------------------------


def _ask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="in your own words, to be answered yes or no")
    _common(parser)
    parser.add_argument("--item", help="an item's id or title, if the question is about one")


def _ask(args: argparse.Namespace) -> int:
    served = _open(args)
    task = (
        "click"
        if args.item
        else next(t.name for t in served.layout.tasks.values() if t.label["rule"] == "returns")
    )
    if args.item:
        row = served.row(args.user, _items(served, f"{args.item}|")[0])
    else:
        found = served.return_row(args.user, task)
        row = found if found is not None else served.row(args.user, "")
    p = float(served.predictor.predict([row], [task], query=args.question)[task][0])
    print(f"yes: {p:.3f}")
    asked = served.card.metrics.get("ask", {}).get(task)
    if asked is None:
        print("not calibrated: how far free wordings can be trusted is measured by `genrec eval`")
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
    about="Ask about an item, or, without --item, about the user's return. The answer is the probability of yes, read\n"
    "from the logits after your words; what you write is data and cannot change the prompt's instructions.",
    examples=['genrec ask --user 42 --item "Fargo" "Is this one for a quiet evening?"'],
)
