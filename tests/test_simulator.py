"""The simulated shop: its truth is true, its funnel is a funnel, its words matter, its seed decides everything."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from genrec.errors import UserError
from genrec.sources import simulator
from genrec.sources.words import VOCABULARY
from genrec.tables import EVENTS, Tables

CLOSES = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta("60d")


@dataclass
class Labelled:
    """Labels as the reading derives them, from the tables alone, of what has matured; beside the truth."""

    shown: pd.DataFrame  # every impression: ... click, p_click
    attributable: pd.DataFrame  # impressions old enough: ... click, convert, p_convert_given_click, p_ctcvr
    ended: pd.DataFrame  # visits old enough: ... returned, p_return


def first_after(rows: pd.DataFrame, events: pd.DataFrame, at: str, within: str) -> pd.Series:
    """The time of the first of the events on the same user and item within a window after each row's `at`, or NaT."""
    found = pd.merge_asof(
        rows[["user_id", "item_id", at]]
        .dropna()
        .rename(columns={at: "from"})
        .reset_index()
        .sort_values("from"),
        events[["user_id", "item_id", "ts"]].sort_values("ts"),
        left_on="from",
        right_on="ts",
        by=["user_id", "item_id"],
        direction="forward",
        tolerance=pd.Timedelta(within),
    )
    return found.set_index("index")["ts"].reindex(rows.index)


@cache
def labelled(seed: int) -> Labelled:
    loaded = simulator.load(seed=seed)
    events = loaded.tables.events.to_pandas()
    windows = loaded.reading.labels
    shown = events[events.event == "impression"].merge(
        simulator.truth(seed=seed), on="event_id", validate="1:1"
    )
    clicks, converts = events[events.event == "click"], events[events.event == "convert"]
    shown["click_ts"] = first_after(shown, clicks, "ts", windows["click"]["within"])
    shown["convert_ts"] = first_after(shown, converts, "click_ts", windows["convert"]["within"])
    shown["click"], shown["convert"] = (
        shown.click_ts.notna().astype(int),
        shown.convert_ts.notna().astype(int),
    )
    visits = events[events.event == windows["return"]["event"]]
    ended = visits.merge(simulator.truth_of_returns(seed=seed), on=["user_id", "ts"], validate="1:1")
    wait = ended.groupby("user_id").ts.shift(-1) - ended.ts
    ended["returned"] = (wait <= pd.Timedelta(windows["return"]["horizon"])).astype(int)
    assert len(ended) == len(visits)
    return Labelled(
        shown=shown[shown.ts < CLOSES - pd.Timedelta("30m")],
        attributable=shown[shown.ts < CLOSES - pd.Timedelta("7d") - pd.Timedelta("30m")],
        ended=ended[ended.ts < CLOSES - pd.Timedelta("7d")],
    )


def columns_of(task: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = labelled(seed)
    rows, p, y = {
        "click": (data.shown, "p_click", "click"),
        "convert": (data.attributable[data.attributable.click == 1], "p_convert_given_click", "convert"),
        "ctcvr": (data.attributable, "p_ctcvr", "convert"),
        "return": (data.ended, "p_return", "returned"),
    }[task]
    return rows[p].to_numpy(), rows[y].to_numpy()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("task", ["click", "convert", "ctcvr", "return"])
def test_the_truth_is_calibrated(task: str, seed: int) -> None:
    """In every tenth of the predictions, as many come true as were promised, within binomial error."""
    p, y = columns_of(task, seed)
    for tenth in np.array_split(np.argsort(p), 10):
        error = np.sqrt((p[tenth] * (1 - p[tenth])).sum())
        assert abs(y[tenth].sum() - p[tenth].sum()) < 4 * error
    assert abs(y.sum() - p.sum()) < 3.5 * np.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize("position", [1, 5, 10])
def test_the_truth_is_calibrated_at_each_position(position: int) -> None:
    rows = labelled(0).shown.query("position == @position")
    assert abs(rows.click.sum() - rows.p_click.sum()) < 4 * np.sqrt((rows.p_click * (1 - rows.p_click)).sum())


@pytest.mark.parametrize(
    ("task", "auc", "loss"),
    [("click", 0.81, 0.367), ("convert", 0.71, 0.540), ("ctcvr", 0.86, 0.154), ("return", 0.85, 0.358)],
)
def test_the_best_reachable_is_as_documented(task: str, auc: float, loss: float) -> None:
    best = simulator.best_reachable(*columns_of(task, 0))
    assert best.auc == pytest.approx(auc, abs=0.01)
    assert best.log_loss == pytest.approx(loss, abs=0.01)
    assert best.entropy == pytest.approx(best.log_loss, abs=0.015)


def test_the_best_reachable_by_hand() -> None:
    best = simulator.best_reachable([0.2, 0.2, 0.5, 0.8], [0, 1, 0, 1])
    assert best.auc == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert best.log_loss == pytest.approx(-np.log([0.8, 0.2, 0.5, 0.8]).mean())
    certain, coin = 0.2 * np.log(0.2) + 0.8 * np.log(0.8), np.log(0.5)
    assert best.entropy == pytest.approx(-(3 * certain + coin) / 4)
    assert np.isnan(simulator.best_reachable([0.2, 0.4], [0, 0]).auc)


@settings(max_examples=25, deadline=None)
@given(
    users=st.integers(1, 20), items=st.integers(10, 60), days=st.integers(1, 30), seed=st.integers(0, 2**32)
)
def test_every_log_is_a_funnel(users: int, items: int, days: int, seed: int) -> None:
    tables = simulator.load(users=users, items=items, days=days, seed=seed).tables
    assert tables.events.schema == EVENTS
    events = tables.events.to_pandas()
    assert events.ts.is_monotonic_increasing
    assert events.event_id.is_unique
    assert set(events.item_id.dropna()) <= set(tables.items["item_id"].to_pylist())
    assert set(events.user_id) <= set(tables.users["user_id"].to_pylist())
    key = ["user_id", "request_id", "item_id", "position"]
    stage = {name: events[events.event == name] for name in events.event.unique()}
    shown = stage.get("impression", events[:0])
    pages = shown.groupby("request_id")
    assert (pages.ts.nunique() == 1).all()
    assert (pages.user_id.nunique() == 1).all()
    assert not shown.duplicated(["request_id", "item_id"]).any()
    assert all(sorted(page) == list(range(1, len(page) + 1)) for _, page in pages.position)
    assert pages.size().max() <= 10 if len(shown) else True
    for before, after, window in (("impression", "click", "30m"), ("click", "convert", "7d")):
        if after in stage:
            joined = stage[after].merge(
                stage[before], on=key, how="left", validate="1:1", suffixes=("", "_before")
            )
            wait = joined.ts - joined.ts_before
            assert (wait > pd.Timedelta(0)).all()
            assert (wait < pd.Timedelta(window)).all()


def test_a_conversion_has_one_click_it_can_belong_to() -> None:
    """Else the attribution rule, not the shop, would decide what converted."""
    events = simulator.load().tables.events.to_pandas()
    clicks = events[events.event == "click"]
    again = clicks.groupby(["user_id", "item_id"]).ts.diff().dropna()
    assert len(again)
    assert again.min() >= pd.Timedelta("7d")
    assert len(events[events.event == "convert"]) == labelled(0).shown.convert.sum()


def test_visits_are_sessions() -> None:
    """Impressions and clicks of a visit are less than a session gap apart, and visits are more than one apart."""
    events = simulator.load().tables.events.to_pandas().query("event != 'convert'")
    visits = events.groupby(["user_id", "request_id"]).ts.agg(["min", "max"]).sort_values(["user_id", "min"])
    gap = visits["min"] - visits.groupby("user_id")["max"].shift()
    assert gap.dropna().min() > pd.Timedelta("30m")
    assert (visits["max"] - visits["min"]).max() < pd.Timedelta("30m")


def test_clicks_bring_users_back_sooner() -> None:
    events = simulator.load().tables.events.to_pandas()
    clicks = events[events.event == "click"].groupby("request_id").size()
    visits = events[events.event == "visit"].assign(clicks=lambda f: f.request_id.map(clicks).fillna(0))
    visits["wait"] = np.log((visits.groupby("user_id").ts.shift(-1) - visits.ts).dt.total_seconds())
    own = visits.groupby("user_id")[["wait", "clicks"]].transform("mean")
    centred = (visits[["wait", "clicks"]] - own).dropna()
    assert centred.corr().loc["wait", "clicks"] < -0.05


def test_one_seed_one_log() -> None:
    first, again, other = (simulator.load(users=40, days=20, seed=seed).tables for seed in (3, 3, 4))
    for name in ("events", "items", "users"):
        assert getattr(first, name).equals(getattr(again, name))
        assert not getattr(first, name).equals(getattr(other, name))
    known = [simulator.truth(users=40, days=20, seed=3) for _ in range(2)]
    pd.testing.assert_frame_equal(*known, check_exact=True)


def test_the_tables_can_be_kept(tmp_path: Path) -> None:
    tables = simulator.load(users=10, days=5).tables
    tables.save(tmp_path / "shop")
    assert Tables.load(tmp_path / "shop").events.equals(tables.events)


def test_titles_are_distinct_and_made_of_the_words() -> None:
    titles = simulator.load(users=1, items=2000, days=1).tables.items["title"].to_pylist()
    assert len(set(titles)) == 2000
    assert {word for title in titles for word in title.split()} <= set(VOCABULARY)


def test_words_tell_about_items_never_seen() -> None:
    """Words, and words by age and city, learnt on two thirds of the items, beat the base rate on the rest."""
    tables = simulator.load().tables
    rows = (
        labelled(0)
        .shown.merge(tables.items.to_pandas(), on="item_id")
        .merge(tables.users.to_pandas(), on="user_id")
    )
    words = CountVectorizer(vocabulary=[w.lower() for w in VOCABULARY]).transform(rows.title)
    cities = pd.get_dummies(rows.city).to_numpy(float)
    x = sparse.hstack(
        [words, words.multiply(((rows.age - 46) / 17).to_numpy()[:, None])]
        + [words.multiply(city[:, None]) for city in cities.T]
    ).tocsr()
    unseen = rows.item_id.str[1:].astype(int).to_numpy() % 3 == 0
    y = rows.click.to_numpy()
    model = LogisticRegression(C=0.1, max_iter=200).fit(x[~unseen], y[~unseen])
    p = model.predict_proba(x[unseen])[:, 1]
    base = np.full(unseen.sum(), y[~unseen].mean())
    assert log_loss(y[unseen], p) < log_loss(y[unseen], base) - 0.02
    best = simulator.best_reachable(rows.p_click[unseen], y[unseen])
    assert 0.6 < roc_auc_score(y[unseen], p) < best.auc


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"users": 0}, "users"), ({"items": 9}, "items"), ({"days": 1.5}, "days"), ({"seed": -1}, "seed"),
        ({"items": 10**6}, "items"), ({"path": "log.csv"}, "log.csv"),
    ],
)  # fmt: skip
def test_what_no_shop_can_be_is_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        simulator.load(**options)  # type: ignore[arg-type]
