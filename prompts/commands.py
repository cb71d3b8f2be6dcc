"""`genrec data prompt`: what the model reads for one user, printed."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from genrec.command import Command
from genrec.errors import UserError

if TYPE_CHECKING:  # --help loads nothing heavy
    from genrec.dataset import Prepared
    from genrec.tasks import Task
    from prompts.layout import Layout
    from prompts.now import Now
    from prompts.prompt_text import ShownQuestion

HISTORY_TOKENS = 192  # the demo recipe's


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="a folder that `genrec data prepare` wrote")
    parser.add_argument("--user", required=True, metavar="ID", help="whose prompt")
    parser.add_argument("--task", metavar="NAME", help="one task's question (every task's)")
    parser.add_argument(
        "--item", metavar="ID", help="the item asked about, by id or title (the user's last one)"
    )
    parser.add_argument(
        "--example",
        metavar="N",
        type=int,
        help="the user's N-th example of --task, as training reads it, in place of a question asked now",
    )
    parser.add_argument(
        "--history-tokens",
        metavar="N",
        type=int,
        help=f"how many tokens of history fit (the adapter's; without one {HISTORY_TOKENS}, the demo recipe's)",
    )
    parser.add_argument("--base", metavar="NAME", help="the model whose tokens are counted (smollm2-135m)")
    parser.add_argument(
        "--adapter", metavar="DIR", help="take base, tasks, words, regime and window of this adapter"
    )


def _prompt(args: argparse.Namespace) -> int:
    from genrec.dataset import Prepared
    from genrec.progress import Progress
    from prompts.adapter import AdapterCard, histories_of, layout_of
    from prompts.base_files import BUILT_IN
    from prompts.now import Now
    from prompts.prompt_text import prompt_text
    from prompts.tokens import tokenizer_of

    if args.history_tokens is not None and args.history_tokens < 1:
        raise UserError(f"--history-tokens is {args.history_tokens}", cure="give 1 or more")
    card = AdapterCard.load(Path(args.adapter)) if args.adapter else None
    with Progress("writing the prompt"):
        data = Prepared.load(args.data)
        base = args.base or (card.base["name"] if card else BUILT_IN)
        pack, tasks = (card.pack, card.task_objects()) if card else ("", None)
        layout = layout_of(data, tokenizer_of(base), pack, tasks)
        budget = args.history_tokens or (card.history["tokens"] if card else HISTORY_TOKENS)
        regime = card.regime if card else "running"
        histories = histories_of(data, layout, budget, regime)
        now = Now(data)
        _check_user(data, args.user)
        questions = _questions(args, data, layout, now, regime)
        text = prompt_text(layout, histories, args.user, questions)
    lines = int((data.lines.user_id == args.user).sum())
    when = "at that example" if args.example else "now, at the log's end"
    print(f"{args.data}, user {args.user}, {when}; {lines:,} lines of history in all; tokens of {base}\n")
    print(text)
    return 0


def _check_user(data: "Prepared", user_id: str) -> None:
    """Raises UserError for a user whom neither the log nor the users table holds."""
    users = data.tables.users["user_id"].to_pylist()
    if user_id not in users and not (data.lines.user_id == user_id).any():
        some = ", ".join([*dict.fromkeys([*data.lines.user_id.head(50), *users[:3]])][:3])
        raise UserError(
            f"{data.name} has no user {user_id!r}", where="--user", cure=f"its users are {some}, ..."
        )


def _questions(
    args: argparse.Namespace, data: "Prepared", layout: "Layout", now: "Now", regime: str
) -> list["ShownQuestion"]:
    """What is asked: an example, or every chosen task's question as of the log's end."""
    if args.task is not None and args.task not in layout.tasks:
        raise UserError(
            f"{data.name} has no task {args.task!r}",
            where="--task",
            cure=f"its tasks: {', '.join(layout.tasks)}",
        )
    if args.example is not None:
        return [_example(args, data, layout, regime)]
    chosen = [layout.tasks[args.task]] if args.task else list(layout.tasks.values())
    if args.item is not None and not any(_about_items(task) for task in chosen):
        what = f"No item is asked about by {', '.join(task.name for task in chosen)}"
        raise UserError(
            what, where="--item", cure="leave out --item, or name a task about an item with --task"
        )
    item = _item(data, layout, args.user, args.item)
    return [_asked_now(task, args.user, item, layout, now) for task in chosen if task.question or task.given]


def _about_items(task: "Task") -> bool:
    return task.kind != "item" and task.label["rule"] != "returns"


def _asked_now(task: "Task", user: str, item: str, layout: "Layout", now: "Now") -> "ShownQuestion":
    from prompts.prompt_text import ShownQuestion

    if task.kind == "item":
        return ShownQuestion(task.name, now.point(user), now.about_next(user, task))
    if task.label["rule"] == "returns":
        point, known = now.about_user(user, task)
        return ShownQuestion(task.name, point, known)
    return ShownQuestion(task.name, now.point(user), now.about_item(user, item), item, _about(layout, item))


def _example(args: argparse.Namespace, data: "Prepared", layout: "Layout", regime: str) -> "ShownQuestion":
    """The user's N-th example of a task, counted from 1 in time order."""
    import numpy as np

    from prompts.layout import Known
    from prompts.prompt_text import ShownQuestion

    if args.task is None:
        raise UserError("--example is of a task", where="--example", cure="name one with --task")
    if args.item is not None:
        raise UserError("An example has its own item", where="--item", cure="leave out --item or --example")
    examples = data.examples
    rows = np.flatnonzero(((examples.user_id == args.user) & (examples.task == args.task)).to_numpy())
    if not 1 <= args.example <= len(rows):
        what = f"User {args.user} has {len(rows):,} examples of {args.task}"
        raise UserError(what, where=f"--example {args.example}", cure="count from 1")
    row = int(rows[args.example - 1])
    example, stats = examples.iloc[row], data.stats[regime].iloc[row].to_dict()
    known = Known.of(stats, example.horizon_days, example.gap_days)
    about = _about(layout, example.item_id) if example.item_id else ""
    split = f"; {example.split} split, label {example.label:g}" if layout.tasks[args.task].answers else about
    item = example.item_id if layout.tasks[args.task].kind != "item" else ""
    return ShownQuestion(args.task, int(example.point), known, item, (about if item else "") + split)


def _item(data: "Prepared", layout: "Layout", user: str, name: str | None) -> str:
    """The item asked about: the one that is named, or the user's last, or, where there is none, the catalog's first."""
    from genrec.item_names import ItemNames

    if name is None:
        items = data.lines.item_id[(data.lines.user_id == user) & (data.lines.item_id != "")]
        return str(items.iloc[-1]) if len(items) else next(iter(layout.items), "")
    names = ItemNames({item: str(row.get("title") or "") for item, row in layout.items.items()})
    read = names.read(name, "--item")
    if not read.known:
        raise UserError(f"{data.name}: {read.note}", where="--item", cure="give an item's id or its title")
    if read.note:
        print(read.note)
    return read.item_id


def _about(layout: "Layout", item: str) -> str:
    return f", about item {item} ({layout.items.get(item, {}).get('title', 'not in the items table')})"


prompt = Command(
    help="print what the model reads for a user, its tokens by part and what was cut",
    add_arguments=_arguments,
    run=_prompt,
    about="Print a user's prompt as the model reads it: the context (head and history lines), then each task's\n"
    "question with the place of its answer. Says the tokens of each part, how many of the oldest lines the\n"
    "window leaves out, and which columns of the items and users no prompt uses. Nothing is trained or written.",
    examples=(
        "genrec data prompt data/movielens-100k --user 42",
        "genrec data prompt data/movielens-100k --user 42 --task click --item 50",
        "genrec data prompt data/movielens-100k --user 42 --task click --example 3",
    ),
)
