"""What holds for every log: nothing is known before its time, nothing censored is a no, order does not matter."""

from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import MINUTE, START, Row, derived, logs, prepared, row

from genrec.statistics.co_occurrence import SEPARATOR

MANY = 40  # small logs that a property is tried on

OWN = ["task", "user_id", "item_id", "ts", "event_id"]


def view(rows: list[Row], freeze_at: int) -> tuple[dict[tuple[Any, ...], dict[str, Any]], pd.DataFrame]:
    """By example: its label and when known, its statistics, and the lines it may see."""
    found, history, _, log = derived(rows, freeze_at)
    columns = [c for c in history.columns if c != "impression"]
    by_user = {
        user: part[columns].round(9).astype(str).values.tolist() for user, part in history.groupby("user_id")
    }
    stats = [c for c in found if str(c).startswith(("running_", "frozen_"))]
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    texts = found[stats].round(9).astype(str).values.tolist()
    for example, numbers in zip(found.to_dict("records"), texts, strict=True):
        key = tuple(example[c] for c in OWN)
        out[key] = {
            "label": (example["label"], example["known_at"]), "known_at": example["known_at"],
            "stats": numbers, "lines": by_user.get(example["user_id"], [])[: example["point"]],
        }  # fmt: skip
    return out, log


def numbered(rows: list[Row], prefix: str) -> list[Row]:
    return [{**r, "event_id": f"{prefix}{k}"} for k, r in enumerate(rows)]


@settings(max_examples=MANY)
@given(
    past=logs(0, 120), one=logs(0, 90, max_size=10), other=logs(0, 90, max_size=10), cut=st.integers(4, 24)
)
def test_nothing_at_or_after_a_moment_changes_what_was_known_before_it(
    past: list[Row], one: list[Row], other: list[Row], cut: int
) -> None:
    t = START + cut * 5 * MINUTE
    # Someone else's impression makes it a log with impressions: without any, purchases are the history.
    before = [
        row("w", "c", -30, "impression", event_id="first"),
        *(r for r in numbered(past, "p") if r["ts"] < t),
    ]
    times = {r["event_id"]: r["ts"] for r in before}
    logs_ = [
        [*before, *({**r, "ts": r["ts"] - START + t} for r in numbered(after, "q"))] for after in (one, other)
    ]
    (first, _), (second, _) = (view(rows, freeze_at=START + 30 * MINUTE) for rows in logs_)
    for mine, theirs in ((first, second), (second, first)):
        for key, example in mine.items():
            task, _, _, ts, event_id = key
            # A question exists because of its own event, or, for returns, because nothing came for a while.
            settled = times.get(event_id, t) < t if event_id else (ts <= t if task == "return" else ts < t)
            if task == "convert":  # it exists for clicked impressions, once it is known which those are
                settled = settled and mine["click", *key[1:]]["known_at"] < t
            if settled and ts <= t:
                assert key in theirs
                assert theirs[key]["stats"] == example["stats"]
                assert theirs[key]["lines"] == example["lines"]
                if example["known_at"] < t:
                    assert theirs[key]["label"] == example["label"]


@settings(max_examples=MANY // 2)
@given(log=logs(max_size=30), cut=st.integers(1, 30))
def test_a_log_cut_short_never_turns_what_is_censored_into_a_no(log: list[Row], cut: int) -> None:
    """What the beginning of a log calls known is what the whole log says."""
    rows = numbered(log, "e")
    early = [r for r in rows if r["ts"] <= START + cut * 5 * MINUTE]
    if not any(r["event"] == "impression" for r in early):
        return
    end = max(r["ts"] for r in early)
    whole, _ = view(rows, START)
    for key, example in view(early, START)[0].items():
        if example["known_at"] <= end:
            assert whole[key]["label"] == example["label"]


@settings(max_examples=MANY // 2)
@given(log=logs(max_size=30), data=st.data())
def test_the_same_rows_in_any_order_give_the_same_data_set(log: list[Row], data: st.DataObject) -> None:
    if not any(r["event"] in ("impression", "click") for r in log):
        return
    shuffled = data.draw(st.permutations(log))
    one, other = prepared(log), prepared(shuffled)
    pd.testing.assert_frame_equal(one.examples, other.examples)
    pd.testing.assert_frame_equal(one.lines, other.lines)
    for regime in one.stats:
        pd.testing.assert_frame_equal(one.stats[regime], other.stats[regime])


@settings(max_examples=MANY // 2)
@given(log=logs(max_size=30))
def test_points_grow_with_time_and_count_only_what_was_known_before(log: list[Row]) -> None:
    found, history, _, _ = derived([*log, row("u", "a", 0, "impression")], START)
    for user, part in found.groupby("user_id"):
        mine = history[history.user_id == user]
        assert mine.known_at.is_monotonic_increasing
        ordered = part.sort_values("ts")
        assert ordered.point.is_monotonic_increasing
        for ts, point in zip(ordered.ts, ordered.point, strict=True):
            assert point == (mine.known_at < ts).sum()


@settings(max_examples=MANY)
@given(log=logs(max_size=40))
def test_candidates_were_touched_by_someone_before_the_question_and_not_by_the_one_who_is_asked(
    log: list[Row],
) -> None:
    freeze_at = START + 45 * MINUTE
    found, history, _, _ = derived([*log, row("w", "c", 0, "impression")], freeze_at)
    clicked = history[history.click == 1]
    for asked in found[found.task == "next"].itertuples():
        known = clicked[clicked.known_at < asked.ts]
        own = set(known.item_id[known.user_id == asked.user_id])
        for text, until in ((asked.running_candidates, asked.ts), (asked.frozen_candidates, freeze_at)):
            named = set(text.split(SEPARATOR)) if text else set()
            assert (
                named == set(known.item_id[known.known_at < until]) - own
            )  # of three items none is left out
            touches = [r for r in log if r["event"] in ("click", "convert")]  # bought unshown is touched, too
            assert named <= {r["item_id"] for r in touches if r["ts"] < asked.ts}
