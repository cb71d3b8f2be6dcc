"""Whom the verdict in words compares ours with, task by task, and how ours stands beside each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.report import table
from eval.report.table import Group

UNTRAINED, WITHOUT = "genrec untrained", "genrec without statistics"  # variants of ours, no rivals
# Which models stand for a rival. A model that is named nowhere here, such as a file of predictions, is a rival itself.
RIVALS = {
    "the stated statistic": ("stated statistic",),
    "the means": ("user and item mean", "user mean", "item mean"),
    "popularity": ("popularity",),
    "LightGBM": ("LightGBM", "LightGBM with init_score"),
}
# Baselines of which only the tables speak.
IN_TABLES_ONLY = ("logistic regression", "two-tower of ids", "BG/NBD", "item-kNN")
PRIOR = "the prior"  # a rival where there is no other
WORDS = {"wins": "ahead", "undecided": "level", "loses": "behind"}


@dataclass(frozen=True)
class Beside:
    """Ours beside one other model in one task. pairs: by metric, ours minus the other."""

    group: Group
    against: str
    pairs: Mapping[str, Mapping[str, Any]]

    @property
    def difference(self) -> float | None:
        """In the first main metric; None where there is none, as beside a model that scored nothing."""
        pair = self.pairs.get(self.group.main[0])
        return None if pair is None else pair["difference"]

    @property
    def behind_in(self) -> list[str]:
        """The main metrics in which ours loses."""
        return [name for name in self.group.main if name in self.pairs and self._verdict(name) == "loses"]

    @property
    def first_won(self) -> bool:
        """Whether ours wins in the first main metric."""
        return self._verdict(self.group.main[0]) == "wins"

    @property
    def behind_in_second_alone(self) -> bool:
        """Whether ours loses in the second main metric and not in the first."""
        return self.behind_in == [self.group.main[1]]

    @property
    def standing(self) -> str:
        """ahead, level or behind in the first main metric; as named_standing where ours loses in the second alone."""
        return (
            self.named_standing if self.behind_in_second_alone else WORDS[self._verdict(self.group.main[0])]
        )

    @property
    def named_standing(self) -> str:
        """ahead, level or behind with the metric's name, and the second metric's where ours loses in that alone."""
        first, second = self.group.main
        named = f"{WORDS[self._verdict(first)]} in {table.word(first)}"
        return f"{named} but behind in {table.word(second)}" if self.behind_in_second_alone else named

    @property
    def rank(self) -> int:
        """0: behind in the first main metric; 1: in the second alone; 2: level; 3: ahead."""
        if self.behind_in:
            return 1 if self.behind_in_second_alone else 0
        return 3 if self.first_won else 2

    def _verdict(self, metric: str) -> str:
        return table.verdict(self.pairs[metric])


def others(group: Group, ours: str) -> list[Beside]:
    """Every model that ours was paired with in a task, without ours in other settings."""
    return [
        Beside(group, pairing.against, pairing.pairs)
        for pairing in table.pairings(group)
        if pairing.result["model"] == ours and pairing.against not in (UNTRAINED, WITHOUT)
    ]


def untrained(group: Group, ours: str) -> Beside | None:
    """The untrained model of a task, where there is a difference to it."""
    of_ours = [pairing for pairing in table.pairings(group) if pairing.result["model"] == ours]
    beside = [Beside(group, p.against, p.pairs) for p in of_ours if p.against == UNTRAINED]
    return beside[0] if beside and beside[0].difference is not None else None


def rivals(group: Group, ours: str) -> dict[str, list[Beside]]:
    """By rival, in the order in which the words name them, its models in a task."""
    by_rival: dict[str, list[Beside]] = {rival: [] for rival in RIVALS}
    for other in others(group, ours):
        if other.against not in IN_TABLES_ONLY:
            by_rival.setdefault(_rival(other.against), []).append(other)
    prior = by_rival.pop(PRIOR, [])
    return {rival: models for rival, models in by_rival.items() if models} or (
        {PRIOR: prior} if prior else {}
    )


def _rival(model: str) -> str:
    named = {name: rival for rival, names in RIVALS.items() for name in names}
    return PRIOR if model == table.TRIVIAL else named.get(model, model)


def hardest(group: Group, ours: str) -> dict[str, Beside]:
    """By rival the one of its models that is hardest to beat in a task; without those that have no difference."""
    compared = {
        rival: [model for model in models if model.difference is not None]
        for rival, models in rivals(group, ours).items()
    }
    return {rival: min(models, key=_hardness) for rival, models in compared.items() if models}


def _hardness(beside: Beside) -> tuple[int, float]:
    """Orders models, the one that is hardest to beat first."""
    return beside.rank, beside.difference or 0.0


def in_order(names: Sequence[str]) -> list[str]:
    """Rivals, each once, in the order in which the words name them."""
    return sorted(dict.fromkeys(names), key=lambda name: [*RIVALS, name].index(name))
