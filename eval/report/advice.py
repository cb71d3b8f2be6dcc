"""The end of a verdict in words: what to type next, by what is in doubt."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.options import Options
from eval.report import table
from eval.report.rivals import others
from eval.report.table import ENOUGH_USERS, Group, Result

LIST_ROWS = Options.list_rows  # the default of --list-rows


@dataclass(frozen=True)
class Commands:
    """What a reader can type next."""

    # This evaluation, without its options of split and sample.
    evaluate: str = "genrec eval"
    # The training of an adapter on this data.
    train: str = "genrec train"
    # The evaluation of the adapter that was trained so.
    evaluate_trained: str = "genrec eval"
    # The options --users, --rows and --list-rows of this evaluation; None where it took all.
    users: int | None = None
    rows: int | None = None
    list_rows: int | None = LIST_ROWS


def after(groups: Sequence[Group], ours: str, commands: Commands) -> str:
    """What to type after an evaluation of ours."""
    if more := _more_users(groups, commands):
        return more
    paired = [other for group in groups for other in others(group, ours)]
    if not paired:
        return f"Next: `{commands.evaluate}`, which measures the baselines too."
    if all(other.difference is None for other in paired):
        return "Next: a larger sample, or a longer log: the examples here do not let models be compared."
    lost = [other for other in paired if other.behind_in and other.difference is not None]
    if groups[0].split == "valid":
        claim = f"`{commands.evaluate} --split test`, once, to state it"
        if lost:
            return f"Next: `{commands.train} --minutes 60` to train longer; when nothing is left to choose, {claim}."
        return f"Next: {claim}."
    if lost:
        better = listed(
            f"{other.against} for {other.group.task} (in {listed(map(table.word, other.behind_in))})"
            for other in lost
        )
        return (
            f"Where another model is ahead it is the better choice today: {better}. "
            f"Next: `{commands.train} --minutes 60` to train longer, then `{commands.evaluate_trained}`, on validation."
        )
    return "Next: `genrec serve` to use it, and two more training seeds before this is a headline."


def after_baselines(groups: Sequence[Group], commands: Commands) -> str:
    """What to type after an evaluation of the baselines alone."""
    return _more_users(groups, commands) or f"Next: `{commands.train}`, then `{commands.evaluate_trained}`."


def _more_users(groups: Sequence[Group], commands: Commands) -> str:
    """How to judge by more users, where they are too few: each option that is named draws more than this time."""
    few = [group for group in groups if group.few_users]
    if not few:
        return ""
    split = few[0].split
    more = {group.task: sample for group in few if (sample := _more_to_draw(group, commands))}
    rest = [group.task for group in few if group.task not in more]
    of_rest = f" of {listed(rest)}" if 0 < len(rest) < len(groups) else ""
    if not more:
        return (
            "Next: a longer log, or more of it for this split (`genrec data prepare --help`): "
            f"the {split} split itself has no more users{of_rest}."
        )
    users, rows, list_rows = commands.users, commands.rows, commands.list_rows
    lists = [_more_rows(more[group.task]) for group in few if group.task in more and group.kind == "item"]
    if list_rows is not None:
        list_rows = max([list_rows, *lists])
    if questions := [more[group.task] for group in few if group.task in more and group.kind != "item"]:
        single = [_more_rows(sample) for sample in questions if sample["sampled_by"] == "rows"]
        users, rows = max(2 * ENOUGH_USERS, users or 0), max([1000, rows or 0, *single])
    options = ["--split", split] if split != "valid" else []
    options += ["--users", str(users)] if users else []
    options += ["--rows", str(rows)] if rows else []
    options += ["--list-rows", str(list_rows or 0)] if lists or list_rows != LIST_ROWS else []
    which = f" {listed(more)}" if rest else ""
    none = f" The {split} split has no more users{of_rest}." if rest else ""
    return f"Next: `{' '.join([commands.evaluate, *options])}` to judge{which} by more users.{none}"


def _more_to_draw(group: Group, commands: Commands) -> Result | None:
    """A result of a task whose split may have more users than its sample; None where the sample has them all."""
    sample = next((result for result in group.results if result.get("sampled")), None)
    if sample is None or (
        # Some examples of each user were drawn, and of fewer users than could have been.
        sample["sampled_by"] == "blocks" and commands.users is not None and group.n_users < commands.users
    ):
        return None
    return sample


def _more_rows(sample: Result) -> int:
    """As many single examples as have enough users twice over, if users come as often as so far, or all there are."""
    times = math.ceil(2 * ENOUGH_USERS / max(int(sample["n_users"]), 1))
    return min(int(sample["n"]) * times, int(sample["sampled_of"]))


def listed(parts: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
