"""How far a hostile title raises its item among its real competitors, beyond a harmless one of equal length."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from eval.injection.titles import Pair, Texts, pair
from genrec.bootstrap import interval
from genrec.dataset import Prepared
from genrec.errors import UserError
from prompts.history import Histories
from prompts.layout import Known, Layout, Question
from serve.engine import Engine, Request

TASK = "click"


@dataclass(frozen=True)
class Case:
    """One user at one moment. candidates: items that she was shown, with what was known when each was (`known`);
    targets: which of them get other titles, each in turn."""

    user_id: str
    context: tuple[int, ...]
    candidates: Sequence[str]
    known: Sequence[Known]
    targets: Sequence[int]


class Lift(NamedTuple):
    """(users * targets, texts) each. rank: change of the share of competitors below, odds: of log-odds, both against
    the item's own title; control_*: the same of the harmless title."""

    users: list[str]
    rank: np.ndarray
    odds: np.ndarray
    control_rank: np.ndarray
    control_odds: np.ndarray


def cases(
    data: Prepared, layout: Layout, histories: Histories, regime: str, users: int, candidates: int, targets: int,
    seed: int,
) -> list[Case]:  # fmt: skip
    """Users with that many different items among their test impressions; the first ones, asked where the first was.

    Raises UserError where there are none such, or no click task.
    """
    if TASK not in layout.tasks:
        raise UserError("No click task", where=data.name, cure="titles are attacked where items are clicked")
    examples = data.examples.iloc[data.rows(TASK, "test")]
    examples = examples.assign(row=data.rows(TASK, "test")).drop_duplicates(["user_id", "item_id"])
    counts = examples.user_id.value_counts()
    enough = sorted(counts[counts >= candidates].index, key=lambda user: _place(seed, user))
    if not enough:
        raise UserError(
            f"No user has {candidates} items among the test impressions", where=data.name,
            cure=f"ask for fewer with --candidates: {int(counts.max()) if len(counts) else 0} at most",
        )  # fmt: skip
    found = []
    for number, user in enumerate(enough[:users]):
        mine = examples[examples.user_id == user].head(candidates)
        known = [Known(stats) for stats in data.stats[regime].iloc[mine.row].to_dict("records")]
        dice = np.random.default_rng([seed, number])
        chosen = sorted(dice.choice(len(mine), min(targets, len(mine)), replace=False).tolist())
        context = tuple(histories.context(user, int(mine.point.iloc[0])).tolist())
        found.append(Case(user, context, mine.item_id.tolist(), known, chosen))
    return found


def titles(layout: Layout, asked: Sequence[Case], texts: Texts) -> dict[tuple[str, str], Pair]:
    """By item and text's name."""
    found = {}
    for item in sorted({case.candidates[k] for case in asked for k in case.targets}):
        for number, (name, text) in enumerate(texts.hostile.items()):
            title = str(layout.items.get(item, {}).get("title") or f"Item {item}")
            found[item, name] = pair(layout.tokens, title, text, texts.harmless, 7 * number)
    return found


def measure(
    engine: Engine,
    layout: Layout,
    asked: Sequence[Case],
    written: Mapping[tuple[str, str], Pair],
    names: Sequence[str],
) -> Lift:
    """written: as `titles` gives it. A call of the engine per user: her context, and every title behind it."""
    users, rows = list[str](), []
    for case in asked:
        pairs = [[written[case.candidates[k], name] for name in names] for k in case.targets]
        other = _titled(layout, case, pairs)
        questions = [
            layout.question(TASK, i, known) for i, known in zip(case.candidates, case.known, strict=True)
        ]
        questions += other
        scored = engine.score([Request(case.context, questions)])[0]
        odds = np.array([row[0] - np.logaddexp.reduce(row[1:]) for row in scored])
        own, changed = odds[: len(case.candidates)], odds[len(case.candidates) :]
        changed = changed.reshape(len(case.targets), len(names), 2)
        for place, k in enumerate(case.targets):
            competitors = np.delete(own, k)
            ranks = np.array([[_below(competitors, x) for x in both] for both in changed[place]])
            users.append(case.user_id)
            rows.append(np.stack([ranks - _below(competitors, own[k]), changed[place] - own[k]]))
    lifts = np.array(rows)  # (targets, rank or odds, texts, hostile or control)
    return Lift(users, lifts[:, 0, :, 0], lifts[:, 1, :, 0], lifts[:, 0, :, 1], lifts[:, 1, :, 1])


def summary(lift: Lift, names: Sequence[str], seed: int, repeats: int = 1000) -> dict[str, Any]:
    """Per text, and under `worst` the text whose rank gains most beyond its control; intervals by bootstrap over users.

    `bound`: the largest upper end of any text's interval, so it does not gain from which text was looked at.
    """

    def of(values: np.ndarray) -> dict[str, float]:
        found = interval("mean", lift.users, [values], repeats=repeats, seed=seed)
        return {"value": found.value, "low": found.low, "high": found.high}

    texts = {
        name: {
            "rank": of(lift.rank[:, k] - lift.control_rank[:, k]),
            "log_odds": of(lift.odds[:, k] - lift.control_odds[:, k]),
            "rank_raw": of(lift.rank[:, k]),
            "log_odds_raw": of(lift.odds[:, k]),
            "rank_control": float(lift.control_rank[:, k].mean()),
            "log_odds_control": float(lift.control_odds[:, k].mean()),
        }
        for k, name in enumerate(names)
    }
    worst = max(names, key=lambda name: texts[name]["rank"]["value"])  # type: ignore[index]
    mean = {
        "rank": of((lift.rank - lift.control_rank).mean(axis=1)),
        "log_odds": of((lift.odds - lift.control_odds).mean(axis=1)),
    }
    bound = max(found["rank"]["high"] for found in texts.values())  # type: ignore[index]
    return {"worst": {"text": worst, **texts[worst]}, "bound": bound, "mean": mean, "texts": texts}


def _titled(layout: Layout, case: Case, pairs: Sequence[Sequence[Pair]]) -> list[Question]:
    """The question about each target under each title, hostile and control, with the target's own columns."""
    items, asked = dict[str, dict[str, Any]](), list[tuple[str, Known]]()
    for k, own in zip(case.targets, pairs, strict=True):
        columns = dict(layout.items.get(case.candidates[k], {}))
        for title in (title for both in own for title in (both.hostile, both.control)):
            name = str(len(items))
            items[name] = {**columns, "title": title}
            asked.append((name, case.known[k]))
    renamed = Layout(layout.tokens, layout.pack, layout.tasks, items, {})
    return [renamed.question(TASK, name, known) for name, known in asked]


def _below(competitors: np.ndarray, odds: float) -> float:
    """The share of competitors below, ties half."""
    return float((competitors < odds).mean() + (competitors == odds).mean() / 2)


def _place(seed: int, user: str) -> bytes:
    return hashlib.blake2b(f"{seed} {user}".encode()).digest()
