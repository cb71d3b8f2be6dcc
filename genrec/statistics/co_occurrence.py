"""Which items are touched close to which: candidates for what a user touches next."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from genrec.errors import UserError
from genrec.progress import progress
from genrec.statistics.item_kernel import TRACKED_ITEMS  # here: the first to be touched

WINDOW = 10  # touches that count as close, and the latest ones of a user that speak
PRIOR = 5.0  # pseudo-touches behind a neighbour's weight
CANDIDATES = 10  # that a question may name
SEPARATOR = "\x1f"  # between their ids
HOLDS_SEPARATOR = "holds the control character U+001F, by which item ids are joined"
TAKE_OUT = "take that character out of the ids"
POPULAR = 3.0  # pseudo-touches, in square root, under a candidate's popularity


class Followers:
    """Counts, for each pair of items, how often one user touched them within WINDOW touches of each other.

    Item-based nearest neighbours over sequences, as in session-based recommendation (Hidasi et al. 2016 call the
    baseline item-KNN); kept incrementally in one dense matrix.
    """

    def __init__(self, tracked_items: int = TRACKED_ITEMS) -> None:
        self.tracked_items = tracked_items
        self.slots: dict[str, int] = {}
        self.items: list[str] = []  # by slot
        self.close = np.zeros((64, 64), np.float32)
        self.count = np.zeros(64, np.float32)

    def observe(self, touched: Sequence[str], item_id: str) -> None:
        """touched: what the user touched before this item, in order."""
        slot = self._slot(item_id)
        if slot is None:
            return
        before = [self.slots[i] for i in touched[-WINDOW:] if i in self.slots and i != item_id]
        np.add.at(self.close, (before, slot), 1)
        np.add.at(self.close, (slot, before), 1)
        self.count[slot] += 1

    def candidates(self, touched: Sequence[str], k: int) -> list[str]:
        """The k items most often touched near the user's latest ones, best first, none that she has touched.

        Of equals the more popular, then the one known longer; a user without a history gets the most popular.
        """
        slots = np.array([self.slots.get(item, -1) for item in touched], np.int64)
        return [self.items[slot] for slot in self.nearest(slots, k)]

    def nearest(self, touched: np.ndarray, k: int) -> np.ndarray:
        """`candidates` by slots: -1, and a slot that has not been given out, stand for items that are not tracked."""
        n = len(self.items)
        touched = np.where(touched < n, touched, -1)
        latest = touched[: -WINDOW - 1 : -1]
        near = np.flatnonzero(latest >= 0)
        count = self.count[:n]
        scores = count * 1e-9
        if len(near):
            slots = latest[near]
            weight = 1 / (np.sqrt(near + 1) * (self.count[slots] + PRIOR))
            scores = scores + weight @ self.close[slots, :n] / (np.sqrt(count) + POPULAR)
        scores[touched[touched >= 0]] = -np.inf
        if k < n:
            likely = np.flatnonzero(
                scores >= np.partition(scores, n - k)[n - k]
            )  # those that tie with the last too
        else:
            likely = np.arange(n)
        best = likely[np.argsort(-scores[likely], kind="stable")[:k]]
        return np.asarray(best[np.isfinite(scores[best])])

    def _slot(self, item_id: str) -> int | None:
        if item_id not in self.slots and len(self.slots) < self.tracked_items:
            self.slots[item_id] = len(self.slots)
            self.items.append(item_id)
            self._grow(len(self.slots))
        return self.slots.get(item_id)

    def restore(self, slot_items: Sequence[str], close: np.ndarray, count: np.ndarray) -> None:
        """Take up a state that was kept: items by slot, their (items, items) counts of closeness, their touches."""
        self.slots, self.items = {item: k for k, item in enumerate(slot_items)}, list(slot_items)
        n = len(self.slots)
        self._grow(n)
        self.close[:n, :n], self.count[:n] = close, count

    def _grow(self, n: int) -> None:
        """Room for n items."""
        while len(self.count) < n:
            more = len(self.count)
            self.close = np.pad(self.close, ((0, more), (0, more)))
            self.count = np.pad(self.count, (0, more))


def joined(candidates: Iterable[str]) -> str:
    """Item ids as the `candidates` column holds them."""
    return SEPARATOR.join(candidates)


def named(candidates: str) -> list[str]:
    """The item ids of the `candidates` column."""
    return candidates.split(SEPARATOR) if candidates else []


def joinable(ids: Iterable[str], where: str) -> None:
    """Raises UserError for an item id that holds the character by which candidates are joined."""
    for item_id in ids:
        if SEPARATOR in item_id:
            raise UserError(f"item_id {item_id!r} {HOLDS_SEPARATOR}", where, TAKE_OUT)


def replay(
    lines: pd.DataFrame, touched: np.ndarray, asked: pd.DataFrame, freeze_at: int, until: int
) -> tuple[dict[str, list[str]], Followers]:
    """{"running", "frozen"}: each asking's CANDIDATES item ids, joined; and the latest counts.

    lines: the history, touched: (lines,) which of them count. asked: user_id, ts. Frozen counts hold what was known
    before freeze_at; the user's own touches go on. The latest hold what was known before `until`, which is after the
    last asking.
    """
    known = lines[touched].sort_values(["known_at", "user_id"], kind="stable")
    log = list(zip(known.known_at, known.user_id, known.item_id, strict=True))
    history: dict[str, tuple[list[str], list[int]]] = {}  # by user, items and their slots
    running, frozen = Followers(), Followers()
    found = {"running": [""] * len(asked), "frozen": [""] * len(asked)}
    times, users = asked.ts.to_numpy(), asked.user_id.to_numpy()
    done = 0

    def follow(until: int) -> None:
        nonlocal done
        while done < len(log) and log[done][0] < until:
            ts, user, item = log[done]
            items, slots = history.setdefault(user, ([], []))
            running.observe(items, item)
            if ts < freeze_at:  # frozen counts give out the same slots, and then no more
                frozen.observe(items, item)
            items.append(item)
            slots.append(running.slots.get(item, -1))
            done += 1

    order = np.argsort(times, kind="stable")
    for k in progress(order, "candidates", "example"):
        follow(times[k])
        slots = np.array(history.get(users[k], ([], []))[1], np.int64)
        found["running"][k] = joined(running.items[slot] for slot in running.nearest(slots, CANDIDATES))
        if times[k] > freeze_at:
            found["frozen"][k] = joined(frozen.items[slot] for slot in frozen.nearest(slots, CANDIDATES))
        else:
            found["frozen"][k] = found["running"][k]
    follow(until)
    return found, running
