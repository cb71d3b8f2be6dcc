"""Statistics on disk: compressed NumPy files, no pickles, so that a request need not replay the log."""

from pathlib import Path
from typing import Any

import numpy as np

from genrec.followers import Followers
from genrec.online import OnlineLogistic, Posterior
from genrec.statistics import Statistics

MATCHES = ("match", "match_convert")


def save(statistics: Statistics, path: Path) -> None:
    users = list(statistics.users)
    pairs = list(statistics.user_categories)
    neighbours = statistics.neighbours
    met = [neighbours.history.get(u, ([], [])) for u in users]
    recent = [statistics.recent.get(u, []) for u in users]
    n = len(neighbours.slots)
    weights: dict[str, Any] = {}
    for name in MATCHES:
        weights |= _weights(name, getattr(statistics, name))
    np.savez_compressed(
        path,
        total=statistics.total,
        tracked_items=neighbours.tracked_items,
        item_ids=_texts(statistics.items),
        items=_rows(statistics.items.values(), 5),
        user_ids=_texts(users),
        users=_rows(statistics.users.values(), 5),
        pair_users=_texts(u for u, _ in pairs),
        pair_categories=_texts(c for _, c in pairs),
        pairs_of_users=_rows(statistics.user_categories.values(), 2),
        recent=np.array([click for r in recent for click, _ in r], np.int8),
        recent_weights=np.array([weight for r in recent for _, weight in r], np.float64),
        recent_lengths=np.array([len(r) for r in recent], np.int64),
        met=np.concatenate([np.asarray(m, np.int32) for m, _ in met] or [np.empty(0, np.int32)]),
        met_grades=np.concatenate([np.asarray(g, np.float64) for _, g in met] or [np.empty(0)]),
        met_lengths=np.array([len(m) for m, _ in met], np.int64),
        slot_items=_texts(neighbours.slots),
        **weights,
        together=neighbours.together[:n, :n],
    )


def load(path: Path, categories: dict[str, Any]) -> Statistics:
    """The state that was saved, ready to read and to observe what comes."""
    with np.load(path, allow_pickle=False) as kept:
        statistics = Statistics(categories, int(kept["tracked_items"]))
        statistics.total = kept["total"].copy()
        statistics.items = dict(zip(kept["item_ids"].tolist(), kept["items"].copy(), strict=True))
        users = kept["user_ids"].tolist()
        statistics.users = dict(zip(users, kept["users"].copy(), strict=True))
        keys = zip(kept["pair_users"].tolist(), kept["pair_categories"].tolist(), strict=True)
        statistics.user_categories = dict(zip(keys, kept["pairs_of_users"].copy(), strict=True))
        recent = (_cut(kept[name], kept["recent_lengths"]) for name in ("recent", "recent_weights"))
        statistics.recent = {
            u: list(zip(clicks.tolist(), heavy.tolist(), strict=True))
            for u, clicks, heavy in zip(users, *recent, strict=True)
        }
        for name in MATCHES:
            regression: OnlineLogistic = getattr(statistics, name)
            regression.shared = Posterior(*(kept[f"{name}_{part}"].copy() for part in Posterior._fields))
            own = (kept[f"{name}_own_{part}"].copy() for part in Posterior._fields)
            regression.own = dict(zip(kept[f"{name}_own_users"].tolist(), map(Posterior, *own), strict=True))
        met, grades = (_cut(kept[name], kept["met_lengths"]) for name in ("met", "met_grades"))
        history = {u: (m.tolist(), g.tolist()) for u, m, g in zip(users, met, grades, strict=True) if len(m)}
        statistics.neighbours.restore(kept["slot_items"].tolist(), history, kept["together"])
    return statistics


def _weights(name: str, regression: OnlineLogistic) -> dict[str, np.ndarray]:
    """Shared weights under the regression's name; the users' own, (users, o) and (users, o, o)."""
    own, width = list(regression.own.values()), len(regression.stranger.mean)
    return {
        **{f"{name}_{part}": kept for part, kept in regression.shared._asdict().items()},
        f"{name}_own_users": _texts(regression.own),
        f"{name}_own_mean": np.array([w.mean for w in own]).reshape(-1, width),
        f"{name}_own_covariance": np.array([w.covariance for w in own]).reshape(-1, width, width),
    }


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


def _rows(values: Any, width: int) -> np.ndarray:
    return np.array(list(values), dtype=np.float64).reshape(-1, width)


def _cut(flat: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []
