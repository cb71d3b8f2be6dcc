"""Statistics: small cases by hand, and a naive recomputation from scratch for every question of every small log."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from small_logs import (
    CATEGORIES,
    CLICK,
    CONVERT,
    MINUTE,
    NEVER,
    RETURN,
    START,
    TASKS,
    Row,
    examples,
    frame,
    logs,
    row,
)

from genrec.labels import impressions, known_together
from genrec.statistics import COLUMNS, PRIOR, Outcome, Statistics, item_kernel
from genrec.statistics import statistics as statistics_module
from genrec.statistics.replay import refreshes, replay
from genrec.statistics.statistics import ReadItems
from genrec.visits import visits


def read(statistics: Statistics, user: str, item: str) -> dict[str, float]:
    return dict(zip(COLUMNS, statistics.read(user, item).tolist(), strict=True))


def test_nothing_known_is_a_weak_prior() -> None:
    cold = read(Statistics({}), "u", "a")
    assert cold["item_count"] == cold["user_count"] == cold["item_gain"] == 0
    assert cold["item_share"] == cold["user_share"] == cold["category_share"] == cold["match_share"] == 0.5
    assert cold["item_convert_share"] == cold["user_convert_share"] == 0.2
    assert np.isnan(cold["recent3_share"])


def test_shares_by_hand() -> None:
    statistics = Statistics({"a": ("x",), "b": ("x",), "c": ("y",)})
    statistics.observe([Outcome("u", "a", 1, 1)])
    statistics.observe([Outcome("u", "b", 0, 0)])
    statistics.observe([Outcome("v", "a", 1, 0)])
    rate, convert_rate = (2.5 + 2) / 8, (1 + 1) / 8  # three outcomes on the prior's five
    known = read(statistics, "u", "a")
    assert known["item_count"] == known["user_count"] == 2
    assert known["item_share"] == pytest.approx((2 + 5 * rate) / 7)
    assert known["item_convert_share"] == pytest.approx((1 + 5 * convert_rate) / 7)
    assert known["user_share"] == pytest.approx(user := (1 + 5 * rate) / 7)
    assert known["user_convert_share"] == pytest.approx((1 + 5 * convert_rate) / 7)
    assert known["category_share"] == pytest.approx((1 + 2 * user) / 4)  # one of two in x
    assert known["recent3_share"] == known["recent10_share"] == 0.5
    # Each grade's surprise (1 for a conversion, .5 for a click), of users who had no level of their own yet.
    assert known["item_gain"] == pytest.approx(((1 - 1.75 / 5) + (0.5 - 2.75 / 7)) / 7)
    # u's outcomes against what items had: nothing was known of a; b, asked next, was graded 0 against 2.75 / 6.
    assert known["user_gain"] == pytest.approx(((1 - 1.75 / 5) + (0 - 2.75 / 6)) / 7)
    assert read(statistics, "u", "c")["category_share"] == pytest.approx(user)


def test_an_outcome_of_a_sampled_log_counts_as_often_as_its_weight_says() -> None:
    """One in four of what was not clicked is kept: counts and shares are those of the five that were shown."""
    sampled = Statistics({"a": ("x",), "b": ("x",)})
    sampled.observe([Outcome("u", "a", 1, None)])
    sampled.observe([Outcome("u", "b", 0, 0, weight=4)])
    sampled.observe([], [Outcome("u", "a", 1, 1)])
    known = read(sampled, "u", "b")
    rate, convert_rate = (2.5 + 1) / 10, (1 + 1) / 10
    assert (known["item_count"], known["user_count"]) == (4, 5)
    assert known["item_share"] == pytest.approx(5 * rate / 9)
    assert known["user_share"] == pytest.approx(user := (1 + 5 * rate) / 10)
    assert known["user_convert_share"] == pytest.approx((1 + 5 * convert_rate) / 10)
    assert known["category_share"] == pytest.approx((1 + 2 * user) / 7)
    assert known["recent3_share"] == known["recent10_share"] == 0.2
    one, four = Statistics({}), Statistics({})  # a weight of four is four at one moment
    one.observe([Outcome("u", "a", 0, 0, weight=4)])
    four.observe([Outcome("u", "a", 0, 0)] * 4)
    for name in (
        "item_count",
        "item_share",
        "item_gain",
        "user_gain",
        "item_convert_share",
        "recent10_share",
    ):
        assert read(one, "v", "a")[name] == pytest.approx(read(four, "v", "a")[name], nan_ok=True)


def test_recent_is_the_last_three_and_ten() -> None:
    statistics = Statistics({})
    for k in range(12):
        statistics.observe([Outcome("u", f"i{k}", int(k in (0, 1, 11)), 0)])
    known = read(statistics, "u", "a")
    assert known["recent3_share"] == pytest.approx(1 / 3)
    assert known["recent10_share"] == pytest.approx(1 / 10)


def test_neighbours_who_agree_lift_what_is_expected() -> None:
    """Everyone who clicked a clicked b; whoever did not, did not: to one who clicked a, b is worth more."""
    statistics = Statistics({})
    for k in range(40):
        statistics.observe([Outcome(f"v{k}", "a", k % 2, 0)])
        statistics.observe([Outcome(f"v{k}", "b", k % 2, 0)])
    statistics.observe([Outcome("fan", "a", 1, 0)])
    statistics.observe([Outcome("foe", "a", 0, 0)])
    fan, foe = read(statistics, "fan", "b"), read(statistics, "foe", "b")
    assert fan["match_share"] - fan["user_share"] > 0.1
    assert foe["match_share"] - foe["user_share"] < -0.1


def test_what_is_expected_of_a_click_is_learned_from_clicks_whenever_their_outcome_is_known() -> None:
    """Whoever clicks a buys it, nobody buys b; c is shown in vain. Known at once, and known a moment later."""
    at_once, late = Statistics({}), Statistics({})
    for k in range(60):
        clicked = [Outcome(f"v{k}", "a", 1, 1), Outcome(f"v{k}", "b", 1, 0)]
        for outcome in (*clicked, Outcome(f"v{k}", "c", 0, 0)):
            at_once.observe([outcome])
            late.observe([outcome._replace(convert=None if outcome.click else 0)])
        late.observe([], clicked)
    for statistics in (at_once, late):
        a, b = (read(statistics, "new", item)["match_convert_share"] for item in "ab")
        assert a > 0.8
        assert b < 0.3
    weights = at_once.match_convert.shared.mean.copy()
    at_once.observe([Outcome("v1", "c", 0, 0)])
    np.testing.assert_array_equal(at_once.match_convert.shared.mean, weights)  # no click, nothing to learn


def test_what_a_guest_did_is_told_to_the_guest_alone() -> None:
    statistics = Statistics({})
    statistics.observe([Outcome("u", "a", 1, None), Outcome("v", "a", 0, None)])
    before = {user: read(statistics, user, "a") for user in ("u", "guest")}
    view = statistics.aside()
    read_before = view.meet([Outcome("guest", "a", 1, None)] * 3)
    assert read_before[:, COLUMNS.index("user_count")].tolist() == [0, 1, 2]
    assert view.read("guest", "a")[COLUMNS.index("user_count")] == 3
    assert "guest" not in {**statistics.user_codes, **statistics.latest}
    again = {user: read(statistics, user, "a") for user in ("u", "guest")}
    assert repr(again) == repr(before)


def test_what_a_guest_did_is_read_at_once_as_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, with the window cut on the way, through a kernel and weights that have been learned."""
    monkeypatch.setattr(item_kernel, "MET", 8)
    draw = random.Random(5)
    statistics = Statistics({f"i{k}": ("xy"[k % 2],) for k in range(12)})
    for _ in range(100):
        user, item, click = f"u{draw.randrange(7)}", f"i{draw.randrange(12)}", draw.randrange(2)
        statistics.observe([Outcome(user, item, click, click * draw.randrange(2))])
    steps = [(f"i{draw.randrange(14)}", draw.randrange(2), draw.choice([None, 0, 1])) for _ in range(40)]
    told = [Outcome("guest", item, click, convert) for item, click, convert in steps]
    at_once = statistics.aside().meet(told)
    for k, outcome in enumerate(told):
        view = statistics.aside()
        view.meet(told[:k])
        np.testing.assert_allclose(at_once[k], view.read("guest", outcome.item_id), rtol=1e-7, atol=1e-9)


def test_outcomes_of_one_moment_do_not_see_each_other() -> None:
    together, apart = Statistics(CATEGORIES), Statistics(CATEGORIES)
    batch = [Outcome("u", "a", 1, 0), Outcome("u", "b", 1, 0), Outcome("u", "c", 0, 0)]
    together.observe(batch)
    for outcome in batch:
        apart.observe([outcome])
    # b's click is as surprising as a's was when both were one moment, and less so when a's came first.
    assert read(together, "v", "a")["item_gain"] == read(together, "v", "b")["item_gain"]
    assert read(apart, "v", "b")["item_gain"] < read(apart, "v", "a")["item_gain"]


def test_more_items_than_are_tracked_change_no_share() -> None:
    few, many = Statistics({}, tracked_items=2), Statistics({})
    for k in range(300):
        for statistics in (few, many):
            statistics.observe([Outcome(f"u{k % 7}", f"i{k % 90}", k % 3 == 0, 0)])
    one, other = read(few, "u1", "i3"), read(many, "u1", "i3")
    learned = {"match_share", "match_convert_share", "neighbour_gain"}
    assert {k: v for k, v in one.items() if k not in learned} == {
        k: v for k, v in other.items() if k not in learned
    }


# ---- at the time of each question -----------------------------------------------------------------------


def naive(shown: pd.DataFrame, ts: int) -> Statistics:
    """From scratch: everything asked and everything that matured before ts, one moment after the other."""
    statistics, readings = Statistics(CATEGORIES), dict[int, ReadItems]()
    rows = list(shown.assign(inline=known_together(shown)).itertuples())
    moments = {int(t) for r in rows for t in (r.asked, r.click_known_at, r.convert_known_at)}
    for moment in sorted(moment for moment in moments if moment < ts):
        for k, r in enumerate(rows):
            if r.asked == moment:
                readings[k] = statistics.ask(r.user_id, [r.item_id])
        known = [
            Outcome(r.user_id, r.item_id, r.click, r.convert if r.inline else None, r.weight, readings[k])
            for k, r in enumerate(rows)
            if r.click_known_at == moment
        ]
        late = [
            Outcome(r.user_id, r.item_id, r.click, r.convert, r.weight, readings[k])
            for k, r in enumerate(rows)
            if r.convert_known_at == moment and not r.inline
        ]
        if known or late:
            statistics.observe(known, late)
    return statistics


def counted(shown: pd.DataFrame, user: str, item: str, ts: int) -> list[float]:
    """Counts and shares straight from the impressions: item_count, item_share, item_convert_share, the user's three."""
    seen = shown[shown.click_known_at < ts]
    closed = seen.weight * (np.maximum(seen.convert_known_at, seen.click_known_at) < ts)
    clicks, converts = seen.weight * seen.click, closed * seen.convert
    rate = (PRIOR / 2 + clicks.sum()) / (PRIOR + seen.weight.sum())
    convert_rate = (PRIOR / 5 + converts.sum()) / (PRIOR + closed.sum())
    out: list[float] = []
    for mine in (seen.item_id == item, seen.user_id == user):
        n = seen.weight[mine].sum()
        out += [n, (clicks[mine].sum() + PRIOR * rate) / (n + PRIOR)]
        out += [(converts[mine].sum() + PRIOR * convert_rate) / (closed[mine].sum() + PRIOR)]
    return out


@settings(max_examples=25)
@given(log=logs(max_size=30))
def test_replay_is_the_naive_recomputation(log: list[Row]) -> None:
    shown = impressions(frame([*log, row("u", "a", 60, "impression")]), TASKS)
    freeze_at = START + 45 * MINUTE
    read_at, final = replay(shown, CATEGORIES, freeze_at, NEVER)
    plain = [
        "item_count",
        "item_share",
        "item_convert_share",
        "user_count",
        "user_share",
        "user_convert_share",
    ]
    columns = [COLUMNS.index(c) for c in plain]
    for k, (user, item, ts) in enumerate(zip(shown.user_id, shown.item_id, shown.asked, strict=True)):
        np.testing.assert_allclose(
            read_at["running"][k], naive(shown, ts).read(user, item), rtol=1e-6, atol=1e-8
        )
        np.testing.assert_allclose(read_at["running"][k][columns], counted(shown, user, item, ts))
        frozen = naive(shown, min(ts, freeze_at)).read(user, item)
        np.testing.assert_allclose(read_at["frozen"][k], frozen, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(final.read("u", "a"), naive(shown, NEVER).read("u", "a"), rtol=1e-6, atol=1e-8)


def test_replay_is_outcome_by_outcome_through_many_refreshes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A denser log, with ties, delays and weights, in which the kernel and the weights are made anew time and again."""
    monkeypatch.setattr(statistics_module, "FEWEST", 8)
    draw = random.Random(3)
    log = []
    for _ in range(160):
        user, item, minute = draw.choice("uvwxyz"), draw.choice("abc"), draw.randrange(0, 2_000, 5)
        log.append(row(user, item, minute, "impression", weight=draw.choice([None, 2.0])))
        if draw.random() < 0.5 + 0.3 * ((user < "x") == (item == "a")):
            log.append(row(user, item, minute + 1, "click"))
            if draw.random() < 0.5:
                log.append(row(user, item, minute + draw.choice([2, 15]), "convert"))
    shown = impressions(frame(log), TASKS)
    assert len(refreshes(np.sort(shown.click_known_at.to_numpy()))[0]) > 10
    freeze_at = START + 1_500 * MINUTE
    read_at, final = replay(shown, CATEGORIES, freeze_at, NEVER)
    for k in range(0, len(shown), 23):
        user, item, ts = shown.user_id.iloc[k], shown.item_id.iloc[k], shown.asked.iloc[k]
        np.testing.assert_allclose(
            read_at["running"][k], naive(shown, ts).read(user, item), rtol=1e-6, atol=1e-8
        )
        frozen = naive(shown, min(ts, freeze_at)).read(user, item)
        np.testing.assert_allclose(read_at["frozen"][k], frozen, rtol=1e-6, atol=1e-8)
    again = naive(shown, NEVER)
    assert final.next_refresh == again.next_refresh
    for one in (final, again):  # and it goes on learning as it has
        one.observe([Outcome("u", "a", k % 2, 0) for k in range(9)])
    for user in "uvz":
        np.testing.assert_allclose(final.read(user, "b"), again.read(user, "b"), rtol=1e-6, atol=1e-8)


def test_whether_an_impression_converted_counts_once_its_windows_have_closed_be_it_yes_or_no() -> None:
    minutes = (10.1, 21, 21.1, 30, 30.1)
    log = [
        row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "a", 2, "convert"),
        row("v", "b", 0, "impression"), row("v", "b", 1, "click"), row("v", "c", 0, "impression"),
        *(row("w", item, m, "impression") for m in minutes for item in "abc"),
    ]  # fmt: skip
    shown = impressions(frame(log), TASKS)
    values = pd.DataFrame(replay(shown, {}, 0, NEVER)[0]["running"], columns=list(COLUMNS))
    later = values[shown.user_id == "w"].assign(minute=(shown.ts - START) / MINUTE, item=shown.item_id)
    share = {m: part.set_index("item").item_convert_share.to_dict() for m, part in later.groupby("minute")}
    # The clicks are known after ten minutes; what came of them twenty after each click, strictly before nothing.
    assert later[later.minute == 10.1].item_count.tolist() == [1, 1, 1]
    assert share[10.1] == share[21.0] == {"a": 0.2, "b": 0.2, "c": 0.2}
    rate = 2 / 7
    assert share[21.1] == pytest.approx({"a": (1 + 5 * rate) / 6, "b": 5 * rate / 6, "c": rate})
    assert share[30.0] == share[21.1]
    # c was not clicked: a no once a click in its tenth minute would have been one.
    rate = 2 / 8
    assert share[30.1] == pytest.approx({"a": (1 + 5 * rate) / 6, "b": 5 * rate / 6, "c": 5 * rate / 6})


# An impression is a rating, known at once. Answers are of films a and b: 0 no, 1 click, 2 conversion.
RATINGS = (("u", "a", 2), ("u", "b", 0), ("v", "a", 1), ("v", "b", 0), ("w", "b", 1), ("w", "a", 2))
# COLUMNS of w on a, as they were when every outcome of a conversion came with its click's.
LAST = (
    2.0, 0.6785714285714286, 0.10816326530612244, 0.2857142857142857, 1.0, 0.625,
    0.046308106575963716, 0.16666666666666666, 0.75, 0.0, 0.7853953570811985, 0.5685939724016386, 1.0, 1.0,
)  # fmt: skip


def test_where_click_and_conversion_are_known_together_each_outcome_counts_for_both() -> None:
    at_once = {t.name: replace(t, label={**t.label, "within": "0s"}) for t in (CLICK, CONVERT)}
    steps = ("impression", "click", "convert")
    log = [row(u, i, k, e) for k, (u, i, answer) in enumerate(RATINGS) for e in steps[: 1 + answer]]
    shown = impressions(frame(log), at_once)
    values = pd.DataFrame(replay(shown, CATEGORIES, NEVER, NEVER)[0]["running"], columns=list(COLUMNS))
    for k, (user, item, _) in enumerate(RATINGS):
        past = RATINGS[:k]
        rate = (1 + sum(a == 2 for *_, a in past)) / (5 + k)
        of_item, of_user = [a for _, i, a in past if i == item], [a for u, _, a in past if u == user]
        for name, mine in (("item", of_item), ("user", of_user)):
            assert values[f"{name}_count"][k] == len(mine)
            share = (sum(a == 2 for a in mine) + 5 * rate) / (len(mine) + 5)
            assert values[f"{name}_convert_share"][k] == round(share, 9)
    np.testing.assert_allclose(values.iloc[-1], LAST, atol=1e-9)


# ---- visits ---------------------------------------------------------------------------------------------


def test_visit_numbers_by_hand() -> None:
    log = [
        row("u", None, 0, "visit", value=2.0), row("u", None, 10, "visit"), row("u", None, 60, "visit", value=4.0),
        row("u", None, 200, "visit", value=90.0), row("v", None, 30, "visit"),
    ]  # fmt: skip
    asked = examples(log, RETURN)
    mine = visits(frame(log), asked, 15 * MINUTE)[asked.user_id == "u"]
    assert asked.minute[asked.user_id == "u"].tolist() == [25, 75, 215]
    assert mine.sessions.tolist() == [1, 2, 3]
    assert mine.session_events.tolist() == [2, 1, 1]
    assert mine.session_minutes.tolist() == [10, 0, 0]
    assert (mine.days_since_first * 1440).tolist() == pytest.approx([25, 75, 215])
    assert (mine.days_since_last * 1440).tolist() == pytest.approx([15, 15, 15])
    assert (mine.gap_days_mean * 1440).tolist()[1:] == pytest.approx([50, (50 + 140) / 2])
    # The first session's hour closes at minute 70: at 75 it is known that she came back, and that is all.
    assert mine.return_chances.tolist() == [0, 1, 2]
    assert mine.return_count.tolist() == [0, 1, 1]
    assert mine.mean_value.tolist() == [2, 3, 32]


def test_a_visit_at_the_questions_own_moment_is_not_counted() -> None:
    log = [row("u", "a", minute, "visit", value=value) for minute, value in ((0, 2.0), (3, 4.0), (18, 9.0))]
    question = examples(log, RETURN).iloc[:1]  # fifteen minutes after the second, when the third comes
    assert question.minute.tolist() == [18]
    numbers = visits(frame(log), question, 15 * MINUTE).iloc[0]
    assert (numbers.sessions, numbers.session_events, numbers.mean_value) == (1, 2, 3.0)
    assert numbers.days_since_last == pytest.approx(15 / 1440)


def test_recent_sessions_are_those_that_began_within_the_last_horizon() -> None:
    log = [row("u", None, m, "visit") for m in (0, 30, 60, 135, 300)]
    asked = examples(log, RETURN)
    assert asked.minute.tolist() == [15, 45, 75, 150, 315]  # a horizon is an hour
    mine = visits(frame(log), asked, 15 * MINUTE)
    assert mine.sessions.tolist() == [1, 2, 3, 4, 5]
    assert mine.recent_sessions.tolist() == [1, 2, 2, 1, 1]
    at_its_edge = asked[asked.minute == 75].assign(ts=START + 90 * MINUTE)
    assert visits(frame(log), at_its_edge, 15 * MINUTE).recent_sessions.tolist() == [
        2
    ]  # minute 30 still counts
