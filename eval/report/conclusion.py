"""The verdict in words: what was learned, what it is worth beside statistics and LightGBM, and what to type next."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.report import table
from eval.report.table import ENOUGH_USERS, Group, Result

UNTRAINED = "genrec untrained"
# Who it is compared with in words, and which models stand for each: in a task the one that is hardest to beat.
RIVALS = {
    "the stated statistic": ("stated statistic",),
    "the means": ("user and item mean", "user mean", "item mean"),
    "popularity": ("popularity",),
    "LightGBM": ("LightGBM", "LightGBM with init_score"),
}
WORDS = {"wins": "ahead", "undecided": "level", "loses": "behind"}
Pairs = Mapping[tuple[str, str], Mapping[str, Any]]  # by task and the other model's name


@dataclass(frozen=True)
class Commands:
    """What a reader can type next."""

    # This evaluation, without its options of split and sample.
    evaluate: str = "genrec eval"
    # The training of an adapter on this data.
    train: str = "genrec train"


def conclusion(results: Sequence[Result], ours: str = "", commands: Commands = Commands()) -> str:
    """One paragraph of plain words on one run's results.

    ours: the model that the run is about; "" or a name that no result has: the baselines alone.
    """
    groups = table.groups(results)
    if not groups:
        return ""
    own = [group for group in groups if any(r["model"] == ours for r in group.results)]
    if not own:
        return " ".join([_bar(groups), _few(groups), _after_baselines(groups, commands)]).replace("  ", " ")
    pairs = {(group.task, against): pair for group in own for against, pair in _pairs(group, ours).items()}
    sentences = [_learned(own, ours), _no_gain(own, pairs)]
    if any(against != UNTRAINED for _, against in pairs):
        sentences += [_lead(own, pairs), *_beside(own, pairs)]
    else:
        sentences.append("No baseline took part, so what this is worth beside them is not known.")
    sentences += [_few(own), _after(own, pairs, commands)]
    return " ".join(filter(None, sentences))


def _pairs(group: Group, ours: str) -> Mapping[str, Mapping[str, Any]]:
    """By the other's name: the pair of the group's main metric."""
    found: dict[str, Mapping[str, Any]] = {}
    for result in group.results:
        if result["model"] == ours:
            found |= {pair["against"]: pair for pair in result["paired"] if pair["metric"] == group.main[0]}
    return found


def _learned(groups: Sequence[Group], ours: str) -> str:
    """What ours reaches, and from where the untrained model starts."""
    parts = []
    for group in groups:
        by_model = {r["model"]: r["metrics"].get(group.main[0]) for r in group.results}
        now, before = table.figure(by_model.get(ours)), table.figure(by_model.get(UNTRAINED))
        rise = f" (untrained {before})" if UNTRAINED in by_model else ""
        parts.append(f"{group.task} {table.word(group.main[0])} {now}{rise}")
    return f"What was learned, on the {groups[0].split} split: {_listed(parts)}."


def _no_gain(groups: Sequence[Group], pairs: Pairs) -> str:
    """The tasks in which ours is not clear of the untrained model."""
    known = [group.task for group in groups if (group.task, UNTRAINED) in pairs and not group.few_users]
    same = [task for task in known if table.verdict(pairs[task, UNTRAINED]) != "wins"]
    return f"No gain over the untrained model is shown on {_listed(same)}." if same else ""


def _lead(groups: Sequence[Group], pairs: Pairs) -> str:
    """How often ours is ahead, level and behind of its rivals; tasks of too few users are not counted."""
    enough = [group for group in groups if not group.few_users]
    counts = Counter(
        WORDS[table.verdict(pair)] for group in enough for pair in _hardest(group, pairs).values()
    )
    total = sum(counts.values())
    if not total:
        return f"Whether that is ahead of the baselines cannot be said of fewer than {ENOUGH_USERS} users."
    rivals = _listed(name for name in RIVALS if any(name in _hardest(group, pairs) for group in enough))
    comparisons = f"{total} comparison{'s' * (total > 1)} with {rivals}"
    if len(counts) == 1:
        return f"It is {next(iter(counts))} {'in' if total == 1 else 'in each of'} {comparisons}."
    return f"Of {comparisons} it is {_listed(f'{word} in {counts[word]}' for word in WORDS.values() if counts[word])}."


def _hardest(group: Group, pairs: Pairs) -> dict[str, Mapping[str, Any]]:
    """By rival the pair with the one of its models that is hardest to beat in this task."""
    found = {}
    for rival, names in RIVALS.items():
        there = [pairs[group.task, name] for name in names if (group.task, name) in pairs]
        if there:
            found[rival] = min(there, key=lambda pair: pair["difference"] or 0.0)
    return found


def _beside(groups: Sequence[Group], pairs: Pairs) -> list[str]:
    """A sentence a rival: in which tasks ours is ahead of it, level with it, behind it."""
    sentences: list[str] = []
    for rival in RIVALS:
        parts: dict[str, list[str]] = {}
        for group in groups:
            if (pair := _hardest(group, pairs).get(rival)) is None:
                continue
            standing = ("looks " if group.few_users else "") + WORDS[table.verdict(pair)]
            name = f", {pair['against']}" if pair["against"].startswith(f"{rival} ") else ""
            spread = f"{_short(pair['difference'])}, {_short(pair['low'])} to {_short(pair['high'])}{name}"
            parts.setdefault(standing, []).append(f"{group.task} ({spread})")
        if parts:
            said = "; ".join(f"{standing} on {_listed(tasks)}" for standing, tasks in parts.items())
            interval = "" if sentences else " (difference, 95% interval)"
            sentences.append(f"Beside {rival}{interval}: {said}.")
    return sentences


def _short(value: float | None) -> str:
    """Three digits with their sign, "-" where there is no value."""
    return "-" if value is None else f"{value:+.3f}"


def _bar(groups: Sequence[Group]) -> str:
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
        f"No adapter took part. What one has to beat, on the {groups[0].split} split, is the best of the baselines: "
        f"{_listed(parts)}."
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
        f"Too few users on {which}: {_listed(few)}. Below {ENOUGH_USERS} users the intervals are not to be trusted, "
        "so nothing there is settled."
    )


def _after(groups: Sequence[Group], pairs: Pairs, commands: Commands) -> str:
    """What to type next, by what is in doubt."""
    if more := _more_users(groups, commands):
        return more
    rivals = {key: pair for key, pair in pairs.items() if key[1] != UNTRAINED}
    if not rivals:
        return f"Next: `{commands.evaluate}`, which measures the baselines too."
    lost = list(dict.fromkeys(key for key, pair in rivals.items() if table.verdict(pair) == "loses"))
    if groups[0].split == "valid":
        claim = f"`{commands.evaluate} --split test`, once, to state it"
        if lost:
            return f"Next: `{commands.train} --minutes 60` to train longer; when nothing is left to choose, {claim}."
        return f"Next: {claim}."
    if lost:
        better = _listed(f"{name} for {task}" for task, name in lost)
        return f"Where a baseline is ahead it is the better choice today: {better}."
    return "Next: `genrec serve` to use it, and two more training seeds before this is a headline."


def _after_baselines(groups: Sequence[Group], commands: Commands) -> str:
    return _more_users(groups, commands) or f"Next: `{commands.train}`, then `genrec eval`."


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


def _listed(parts: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
