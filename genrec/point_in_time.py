"""Statistics at the time of each example: the log replayed in order, every question answered from what had matured."""

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from genrec.labels import known_together
from genrec.progress import progress
from genrec.statistics import COLUMNS, Outcome, Statistics

Fact = tuple[int, str, Outcome]  # known_at, "outcome" | "convert", what


def facts(shown: pd.DataFrame) -> Iterator[Fact]:
    """Outcomes in the order in which they matured; whether an impression converted is a fact of its own where that
    matures later, and it does not come early where she converted early."""
    inline = known_together(shown)
    rows = []
    for k, (user, item, click, known, convert, is_inline, closed, weight) in enumerate(
        zip(
            shown.user_id, shown.item_id, shown.click, shown.click_known_at, shown.convert, inline,
            shown.convert_known_at, shown.weight, strict=True,
        )
    ):  # fmt: skip
        rows.append((known, 0, k, Outcome(user, item, click, convert if is_inline else None, weight)))
        if not is_inline:
            rows.append((closed, 1, k, Outcome(user, item, click, convert, weight)))
    rows.sort(key=lambda r: r[:3])
    for known, late, _, outcome in rows:
        yield known, "convert" if late else "outcome", outcome


def learn(statistics: Statistics, batch: Sequence[Fact]) -> None:
    """Facts of one moment."""
    statistics.observe([what for _, kind, what in batch if kind == "outcome"])
    statistics.observe_converts([what for _, kind, what in batch if kind == "convert"])


def replay(
    shown: pd.DataFrame, categories: Mapping[str, Sequence[str]], freeze_at: int, until: int
) -> tuple[dict[str, np.ndarray], Statistics]:
    """{"running", "frozen"}: (impressions, COLUMNS) read strictly before each one's question, and the latest state.

    Frozen statistics hold the facts matured before freeze_at, for every impression from then on; the latest state those
    matured before `until`, which is after the last question.
    """
    running = np.empty((len(shown), len(COLUMNS)))
    frozen = np.empty_like(running)
    statistics, at_freeze = Statistics(categories), None
    log = list(facts(shown))
    times, users, items = shown.asked.to_numpy(), shown.user_id.to_numpy(), shown.item_id.to_numpy()
    done = 0
    order = np.argsort(times, kind="stable")
    for k in progress(order, "statistics", "impression"):
        if at_freeze is None and times[k] >= freeze_at:
            done = _learn_until(statistics, log, done, freeze_at)
            at_freeze = copy.deepcopy(statistics)
        done = _learn_until(statistics, log, done, times[k])
        running[k] = statistics.read(users[k], items[k])
        frozen[k] = running[k] if at_freeze is None else at_freeze.read(users[k], items[k])
    _learn_until(statistics, log, done, until)
    return {"running": running, "frozen": frozen}, statistics


def _learn_until(statistics: Statistics, log: list[Fact], done: int, ts: int) -> int:
    """Feed the facts with known_at < ts, those of one moment together; returns how many have been fed in all."""
    while done < len(log) and log[done][0] < ts:
        end = done
        while end < len(log) and log[end][0] == log[done][0]:
            end += 1
        learn(statistics, log[done:end])
        done = end
    return done
