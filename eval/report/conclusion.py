"""The verdict in words: what was learned, what it is worth beside statistics and LightGBM, and what to type next."""

from collections import Counter
from collections.abc import Mapping, Sequence

from eval.report import table
from eval.report.advice import Commands, after, after_baselines, listed
from eval.report.rivals import UNTRAINED, Beside, hardest, in_order, rivals, untrained
from eval.report.table import ENOUGH_USERS, Group, Result

__all__ = ["Commands", "conclusion"]

Hardest = Mapping[str, Mapping[str, Beside]]  # by task, by rival


def conclusion(
    results: Sequence[Result],
    ours: str = "",
    commands: Commands | None = None,
    pending: Sequence[str] = (),
) -> str:
    """One paragraph of plain words on one run's results.

    ours: the model that the run is about; "" or a name that no result has: the baselines alone. pending: what is still
    to be measured.
    """
    commands, groups = commands or Commands(), table.groups(results)
    if not groups:
        return ""
    goes_on = "Next: the same command again, which measures what is missing." if pending else ""
    own = [group for group in groups if any(r["model"] == ours for r in group.results)]
    if not own:
        sentences = [_bar(groups, bool(pending)), _few(groups), goes_on or after_baselines(groups, commands)]
    else:
        compared = {group.task: hardest(group, ours) for group in own}
        sentences = [_learned(own, ours), _no_gain(own, ours)]
        sentences += [_lead(own, compared), *_beside(own, compared)] if any(compared.values()) else []
        sentences += [
            _not_compared(own, ours, bool(pending)),
            _few(own),
            goes_on or after(own, ours, commands),
        ]
    return " ".join(filter(None, sentences))


def _learned(groups: Sequence[Group], ours: str) -> str:
    """What ours reaches, and from where the untrained model starts."""
    parts = []
    for group in groups:
        by_model = {r["model"]: r["metrics"].get(group.main[0]) for r in group.results}
        now, before = table.figure(by_model.get(ours)), table.figure(by_model.get(UNTRAINED))
        rise = f" (untrained {before})" if UNTRAINED in by_model else ""
        parts.append(f"{group.task} {table.word(group.main[0])} {now}{rise}")
    return f"What was learned, on the {groups[0].split} split: {listed(parts)}."


def _no_gain(groups: Sequence[Group], ours: str) -> str:
    """The tasks in which ours is not clear of the untrained model, and those in which its second metric is worse."""
    known = [beside for group in groups if not group.few_users and (beside := untrained(group, ours))]
    same = [
        f"{beside.group.task} ({table.word(beside.group.main[0])})"
        for beside in known
        if not beside.first_won
    ]
    worse = [
        f"{beside.group.task} ({table.word(beside.group.main[1])})"
        for beside in known
        if beside.behind_in_second_alone
    ]
    sentences = [f"No gain over the untrained model is shown on {listed(same)}."] if same else []
    sentences += [f"It is behind the untrained model on {listed(worse)}."] if worse else []
    return " ".join(sentences)


def _lead(groups: Sequence[Group], compared: Hardest) -> str:
    """How often ours is ahead, level and behind of its rivals; tasks of too few users are not counted."""
    counted = [
        (rival, beside)
        for group in groups
        if not group.few_users
        for rival, beside in compared[group.task].items()
    ]
    if not counted:
        names = in_order([rival for of_task in compared.values() for rival in of_task])
        return f"Whether that is ahead of {listed(names)} cannot be said of fewer than {ENOUGH_USERS} users."
    total = len(counted)
    easiest_first = sorted((beside for _, beside in counted), key=lambda beside: beside.rank, reverse=True)
    counts = Counter(beside.named_standing for beside in easiest_first)
    names = in_order([rival for rival, _ in counted])
    comparisons = f"{total} comparison{'s' * (total > 1)} with {listed(names)}"
    if len(counts) == 1:
        return f"It is {next(iter(counts))} {'in' if total == 1 else 'in each of'} {comparisons}."
    return f"Of {comparisons} it is {listed(f'{standing} in {n}' for standing, n in counts.items())}."


def _beside(groups: Sequence[Group], compared: Hardest) -> list[str]:
    """A sentence a rival: in which tasks ours is ahead of it, level with it, behind it."""
    sentences: list[str] = []
    for rival in in_order([rival for of_task in compared.values() for rival in of_task]):
        parts: dict[str, list[str]] = {}
        for group in groups:
            if (beside := compared[group.task].get(rival)) is None:
                continue
            standing = ("looks " if group.few_users else "") + beside.standing
            name = f", {beside.against}" if beside.against.startswith(f"{rival} ") else ""
            parts.setdefault(standing, []).append(f"{group.task} ({_spreads(beside)}{name})")
        said = "; ".join(f"{standing} on {listed(tasks)}" for standing, tasks in parts.items())
        interval = "" if sentences else " (difference, 95% interval)"
        sentences.append(f"Beside {rival}{interval}: {said}.")
    return sentences


def _spreads(beside: Beside) -> str:
    """The difference in the first main metric; in the second too where ours is behind in that alone."""
    first, second = beside.group.main
    shown = [first, second] if beside.behind_in_second_alone else [first]
    return "; ".join(
        f"{table.word(name)} {_short(pair['difference'])}, {_short(pair['low'])} to {_short(pair['high'])}"
        for name in shown
        for pair in [beside.pairs[name]]
    )


def _not_compared(groups: Sequence[Group], ours: str, unfinished: bool) -> str:
    """The rivals that have no difference to ours, or that there are none."""
    there = {group.task: rivals(group, ours) for group in groups}
    if not any(there.values()):
        happened = "has been measured yet" if unfinished else "took part"
        return f"No baseline {happened}, so what this is worth beside them is not known."
    parts = [
        f"{listed(missing)} on {group.task} ({table.word(group.main[0])})"
        for group in groups
        if (missing := [rival for rival in there[group.task] if rival not in hardest(group, ours)])
    ]
    return f"Not compared, since there is no difference to state: {'; '.join(parts)}." if parts else ""


def _short(value: float | None) -> str:
    """Three digits with their sign, "-" where there is no value."""
    return "-" if value is None else f"{value:+.3f}"


def _bar(groups: Sequence[Group], unfinished: bool) -> str:
    """The baselines alone: the best of each task, and by how much it is ahead of the simplest real one."""
    parts = []
    for group in groups:
        best = group.sorted()[0]
        metric = best["metrics"].get(group.main[0])
        interval = table.between(metric)
        spread = f" ({interval})" if interval else ""
        parts.append(
            f"{group.task} {table.word(group.main[0])} {table.figure(metric)}{spread} by {best['model']}"
        )
    return (
        f"No adapter took part. What one has to beat, on the {groups[0].split} split, is the best of the "
        f"baselines{' measured so far' if unfinished else ''}: "
        f"{listed(parts)}."
    )


def _few(groups: Sequence[Group]) -> str:
    """Whether the users are enough for intervals by users."""
    counts = {group.task: group.n_users for group in groups}
    few = [f"{group.task} ({group.n_users:,})" for group in groups if group.few_users]
    least = min(counts.values())
    if not few:
        return f"{least:,} users or more are behind every figure, enough for intervals by users."
    which = "every task here" if len(few) == len(groups) else "these tasks"
    return (
        f"Too few users on {which}: {listed(few)}. Below {ENOUGH_USERS} users the intervals are not to be trusted, "
        "so nothing there is settled."
    )
