"""Statistics on disk: NumPy files, no pickles, so that a request need not replay the log."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genrec.statistics.co_occurrence import Followers
from genrec.statistics.match import ForwardLogistic, Posterior
from genrec.statistics.rows import GrowingRows
from genrec.statistics.statistics import Latest, Statistics

MATCHES = ("match", "match_convert")
WAITING = ("terms", "offset", "outcome", "weight")


def save(statistics: Statistics, path: Path) -> None:
    kernel = statistics.kernel
    latest = [statistics.latest[user] for user in statistics.user_codes]
    item_codes = statistics.item_codes
    regressions: dict[str, Any] = {}
    for name in MATCHES:
        regressions |= _regression(name, getattr(statistics, name))
    np.savez(  # not compressed: it is read at every start
        path,
        total=statistics.total,
        known=[statistics.known, statistics.next_refresh],
        tracked_items=kernel.tracked_items,
        item_ids=_texts(item_codes),
        items=statistics.items.taken(),
        user_ids=_texts(statistics.user_codes),
        users=statistics.users.taken(),
        pair_users=np.array([statistics.user_codes[user] for user, _ in statistics.pair_codes], np.int64),
        pair_categories=_texts(category for _, category in statistics.pair_codes),
        pairs=statistics.pairs.taken(),
        counts=np.array([(user.count, user.new, len(user.items)) for user in latest], np.int64).reshape(
            -1, 3
        ),
        latest_items=np.array([item_codes[item] for user in latest for item in user.items], np.int64),
        latest=np.array(
            [row for u in latest for row in zip(u.residuals, u.clicks, u.weights, strict=True)], np.float64
        ).reshape(-1, 3),
        slots=np.array([item_codes[item] for item in kernel.slots], np.int64),
        sums=kernel.kept(),
        **regressions,
    )


def load(path: Path, categories: Mapping[str, Sequence[str]]) -> Statistics:
    """The state that was saved, ready to read and to observe what comes."""
    with np.load(path, allow_pickle=False) as kept:
        statistics = Statistics(categories, int(kept["tracked_items"]))
        statistics.total = kept["total"]
        statistics.known, statistics.next_refresh = kept["known"].tolist()
        item_ids, user_ids = kept["item_ids"].tolist(), kept["user_ids"].tolist()
        statistics.item_codes = {item: code for code, item in enumerate(item_ids)}
        statistics.user_codes = {user: code for code, user in enumerate(user_ids)}
        statistics.items, statistics.users = GrowingRows.of(kept["items"]), GrowingRows.of(kept["users"])
        pairs = zip((user_ids[u] for u in kept["pair_users"]), kept["pair_categories"].tolist(), strict=True)
        statistics.pair_codes = {pair: code for code, pair in enumerate(pairs)}
        statistics.pairs = GrowingRows.of(kept["pairs"])
        counts = kept["counts"]
        ends = np.cumsum(counts[:, 2])
        items, latest = [item_ids[code] for code in kept["latest_items"]], kept["latest"].T.tolist()
        for user, (count, new, length), end in zip(user_ids, counts.tolist(), ends.tolist(), strict=True):
            window = slice(end - length, end)
            statistics.latest[user] = Latest(count, new, items[window], *(part[window] for part in latest))
            if new:
                statistics.refreshed.add(user)
        statistics.kernel.restore([item_ids[code] for code in kept["slots"]], kept["sums"])
        for name in MATCHES:
            _restore(name, getattr(statistics, name), kept)
    return statistics


def _regression(name: str, regression: ForwardLogistic) -> dict[str, np.ndarray]:
    """A regression's numbers under its name."""
    empty = [(np.empty((0, len(regression.shared.mean))), np.empty(0), np.empty(0), np.empty(0))]
    waiting = [np.concatenate(part) for part in zip(*(regression.waiting or empty), strict=True)]
    return {
        **{f"{name}_{part}": kept for part, kept in regression.shared._asdict().items()},
        f"{name}_own_means": regression.means.taken(),
        f"{name}_own_changes": regression.changes.taken(),
        **{f"{name}_waiting_{part}": kept for part, kept in zip(WAITING, waiting, strict=True)},
    }


def _restore(name: str, regression: ForwardLogistic, kept: Mapping[str, np.ndarray]) -> None:
    regression.shared = Posterior(*(kept[f"{name}_{part}"] for part in Posterior._fields))
    regression.means = GrowingRows.of(kept[f"{name}_own_means"])
    regression.changes = GrowingRows.of(kept[f"{name}_own_changes"])
    terms, offset, outcome, weight = (kept[f"{name}_waiting_{part}"] for part in WAITING)
    regression.wait(terms, offset, outcome, weight)


def save_followers(followers: Followers, path: Path) -> None:
    n = len(followers.slots)
    np.savez_compressed(
        path,
        tracked_items=followers.tracked_items,
        slot_items=_texts(followers.slots),
        close=followers.close[:n, :n],
        count=followers.count[:n],
    )


def load_followers(path: Path) -> Followers:
    with np.load(path, allow_pickle=False) as kept:
        followers = Followers(int(kept["tracked_items"]))
        followers.restore(kept["slot_items"].tolist(), kept["close"], kept["count"])
    return followers


def _texts(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=np.str_)
