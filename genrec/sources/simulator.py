"""A simulated shop whose true probabilities are known: how well calibrated, how near the best, is a model really?

    loaded = load(seed=0)                            the three tables and their reading, as any source gives them
    known = truth(seed=0)                            P(click), P(convert | click), P(click and convert) per impression
    back = truth_of_returns(seed=0)                  P(visit within 7 days), at the end of each visit
    best_reachable(known.p_click, clicked)           the AUC and log loss of a model that knows everything

A visit is logged when it ends; its value is its length in minutes. The log stops at midnight after `days` days: what
would have come later (clicks, conversions) is not in it, as in any log.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from genrec.errors import UserError
from genrec.reading import Loaded, Reading
from genrec.sources.shop import (
    CITIES,
    DAY,
    MINUTE,
    OPENED,
    QUIET,
    SLATE,
    Shop,
    Visits,
    World,
    build_world,
    open_shop,
)
from genrec.tables import EVENTS, ITEMS, USERS, Tables

READING = Reading(
    name="simulator",
    pack="goods-en",
    labels={
        "click": {"within": "30m"},
        "convert": {"within": "7d"},
        # A conversion arrives by itself, days later: it is no return. The visit is.
        "return": {"event": "visit", "session_gap": "30m", "horizon": "7d", "later_day": False},
    },
    note="A simulated shop: every probability is known, nothing stands in for anything.",
)


class Best(NamedTuple):
    """What knowing the true probabilities gives on one set of labels."""

    auc: float
    log_loss: float  # nats
    entropy: float  # nats: the log loss to expect; log_loss differs from it by luck alone


@dataclass(frozen=True)
class Simulation:
    """The tables, and the truth behind them: see `truth` and `truth_of_returns`."""

    tables: Tables
    impressions: pd.DataFrame
    returns: pd.DataFrame


def load(
    path: Path | None = None, users: int = 500, items: int = 300, days: int = 60, seed: int = 0
) -> Loaded:
    """Simulate a shop. The same arguments give the same tables, byte for byte.

    Raises UserError if a path is given (there is nothing to read) or a number is out of range.
    """
    if path is not None:
        raise UserError("The simulator reads no files", where=str(path), cure="leave the path out")
    return Loaded(simulate(Shop(users, items, days, seed)).tables, READING, [])


def truth(users: int = 500, items: int = 300, days: int = 60, seed: int = 0) -> pd.DataFrame:
    """The true probabilities of every impression that `load` with the same arguments returns.

    Columns: event_id str, p_click, p_convert_given_click, p_ctcvr (their product), float64. They are given everything
    that can matter: the user's tastes, the item and the position. Whether clicks come does not depend on other clicks.
    """
    return simulate(Shop(users, items, days, seed)).impressions


def truth_of_returns(
    users: int = 500, items: int = 300, days: int = 60, seed: int = 0, horizon_days: float = 7.0
) -> pd.DataFrame:
    """At the end of every visit, the chance that another visit ends within the horizon, given all that came before.

    Columns: user_id str, ts timestamp (the visit's end, as in its row of the events), rate_per_day, p_return float64.
    The next visit never ends within an hour, so the answer is the same when it is asked a session gap (30 minutes)
    later about the same horizon.
    """
    returns = simulate(Shop(users, items, days, seed)).returns
    waiting = max(horizon_days - QUIET / DAY, 0.0)
    return returns.assign(p_return=1.0 - np.exp(-returns.rate_per_day * waiting))


def best_reachable(true_probabilities: ArrayLike, labels: ArrayLike) -> Best:
    """AUC and log loss of the true probabilities on labels that came true; no model does better but by luck.

    Both one-dimensional and in the same order; labels are 0 or 1. AUC is NaN where all labels are alike.
    Of the default shop, labels that have matured (tests/test_simulator.py checks them):

        click AUC .81, log loss .367    convert given click .71, .540    ctcvr .86, .154    return .85, .358
    """
    p = np.asarray(true_probabilities, dtype=np.float64)
    y = np.asarray(labels, dtype=np.int64)
    surprise = -np.where(y == 1, np.log(p), np.log1p(-p))
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    yes, no = int(y.sum()), int(len(y) - y.sum())
    ranks = pd.Series(p).rank().to_numpy()  # ties share their mean rank (Mann-Whitney)
    auc = (ranks[y == 1].sum() - yes * (yes + 1) / 2) / (yes * no) if yes and no else float("nan")
    return Best(float(auc), float(surprise.mean()), float(entropy.mean()))


def simulate(shop: Shop) -> Simulation:
    """Tables and truth in one run."""
    for_world, for_visits = (np.random.default_rng(s) for s in np.random.SeedSequence(shop.seed).spawn(2))
    world = build_world(shop, for_world)
    closes = OPENED + shop.days * DAY
    visits = open_shop(world, for_visits, closes)
    user_ids = np.array([f"u{n:05d}" for n in range(1, shop.users + 1)], dtype=object)
    item_ids = np.array([f"g{n:05d}" for n in range(1, shop.items + 1)], dtype=object)
    log = event_log(world, visits, closes)
    p_click, p_convert = log.pop("p_click"), log.pop("p_convert")
    events = event_table(log, user_ids, item_ids)

    is_impression = log["kind"] == KINDS.index("impression")
    impressions = pd.DataFrame(
        {
            "event_id": np.array(events["event_id"].to_pylist(), dtype=object)[is_impression],
            "p_click": p_click[is_impression],
            "p_convert_given_click": p_convert[is_impression],
            "p_ctcvr": (p_click * p_convert)[is_impression],
        }
    )
    ended = visits.end < closes
    returns = pd.DataFrame(
        {
            "user_id": user_ids[visits.user[ended]],
            "ts": pd.to_datetime(visits.end[ended], unit="us", utc=True),
            "rate_per_day": visits.rate[ended],
        }
    )
    return Simulation(
        Tables(events, item_table(world, item_ids), user_table(world, user_ids)), impressions, returns
    )


KINDS = ("impression", "click", "convert", "visit")  # also the order of events at one time


def event_log(world: World, visits: Visits, closes: int) -> dict[str, NDArray[Any]]:
    """The columns of all events before `closes`, in order of time; -1 for no item and no position."""
    slate = np.broadcast_to(np.arange(1, SLATE + 1), visits.item.shape)
    visit = np.broadcast_to(np.arange(len(visits.user))[:, None], visits.item.shape)
    none = np.full(len(visits.user), -1)

    def rows(kind: str, happened: NDArray[np.bool_], ts: NDArray[np.int64]) -> pd.DataFrame:
        item = visits.item[happened]
        return pd.DataFrame(
            {
                "kind": KINDS.index(kind),
                "visit": visit[happened],
                "item": item,
                "position": slate[happened],
                "ts": np.broadcast_to(ts, visits.item.shape)[happened],
                "value": world.price[item] if kind == "convert" else np.nan,
                "p_click": visits.p_click[happened],
                "p_convert": visits.p_convert[happened],
            }
        )

    ends = pd.DataFrame(
        {
            "kind": KINDS.index("visit"),
            "visit": np.arange(len(visits.user)),
            "item": none,
            "position": none,
            "ts": visits.end,
            "value": np.round((visits.end - visits.start) / MINUTE, 2),
            "p_click": np.nan,
            "p_convert": np.nan,
        }
    )
    log = pd.concat(
        [
            rows("impression", visits.shown, visits.start[:, None]),
            rows("click", visits.clicked, visits.click_ts),
            rows("convert", visits.converted, visits.convert_ts),
            ends,
        ],
        ignore_index=True,
    )
    log = log[log.ts < closes].sort_values(["ts", "visit", "kind", "position"], kind="stable")
    log["user"] = visits.user[log.visit]
    return {name: log[name].to_numpy() for name in log}


def event_table(
    log: dict[str, NDArray[Any]], user_ids: NDArray[np.object_], item_ids: NDArray[np.object_]
) -> pa.Table:
    """The log as Arrow. A click and a conversion name the request and the position that they go back to."""
    no_item = log["item"] < 0
    columns = {
        "user_id": pa.array(user_ids[log["user"]], pa.string()),
        "item_id": pa.array(item_ids[log["item"]], pa.string(), mask=no_item),
        "ts": pa.array(log["ts"], EVENTS.field("ts").type),
        "event": pa.array(np.array(KINDS, dtype=object)[log["kind"]], pa.string()),
        "value": pa.array(log["value"], pa.float64(), from_pandas=True),
        "event_id": pa.array([f"e{n:07d}" for n in range(len(no_item))], pa.string()),
        "request_id": pa.array([f"r{n:06d}" for n in log["visit"]], pa.string()),
        "position": pa.array(log["position"], pa.int32(), mask=no_item),
        "weight": pa.nulls(len(no_item), pa.float64()),
    }
    return pa.table(columns, schema=EVENTS)


def item_table(world: World, item_ids: NDArray[np.object_]) -> pa.Table:
    schema = ITEMS.append(pa.field("category", pa.list_(pa.string()))).append(pa.field("price", pa.float64()))
    columns = [item_ids, world.goods.titles, [list(c) for c in world.goods.categories], world.price]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def user_table(world: World, user_ids: NDArray[np.object_]) -> pa.Table:
    schema = USERS.append(pa.field("age", pa.int64())).append(pa.field("city", pa.string()))
    columns = [user_ids, world.age, [CITIES[n] for n in world.city]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
