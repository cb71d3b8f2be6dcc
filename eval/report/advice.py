"""The end of a verdict in words: what to type next, by what is in doubt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.report import table
from eval.report.rivals import others
from eval.report.table import Group


@dataclass(frozen=True)
class Commands:
    """What a reader can type next."""

    # This evaluation, without its options of split and sample.
    evaluate: str = "genrec eval"
    # The training of an adapter on this data.
    train: str = "genrec train"
    # The evaluation of the adapter that was trained so.
    evaluate_trained: str = "genrec eval"


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
        return f"Where another model is ahead it is the better choice today: {better}."
    return "Next: `genrec serve` to use it, and two more training seeds before this is a headline."


def after_baselines(groups: Sequence[Group], commands: Commands) -> str:
    """What to type after an evaluation of the baselines alone."""
    return _more_users(groups, commands) or f"Next: `{commands.train}`, then `{commands.evaluate_trained}`."


def _more_users(groups: Sequence[Group], commands: Commands) -> str:
    """How to judge by more users, where they are too few."""
    few = [group for group in groups if group.few_users]
    if not few:
        return ""
    sampled = {group.kind for group in few if any(r.get("sampled") for r in group.results)}
    if sampled:
        options = "" if groups[0].split == "valid" else f" --split {groups[0].split}"
        options += " --users 100 --rows 1000" if sampled - {"item"} else ""
        options += " --list-rows 500" if "item" in sampled else ""
        return f"Next: `{commands.evaluate}{options}` to judge by more users."
    return (
        "Next: a longer log, or more of it for this split (`genrec data prepare --help`): "
        f"the {groups[0].split} split itself has no more users."
    )


def listed(parts: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
