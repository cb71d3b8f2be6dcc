"""Labels: each rule on a log that can be worked out by hand, and the history lines that come of them."""

import numpy as np
import pandas as pd
import pytest
from small_logs import (
    CLICK,
    CONVERT,
    DAY,
    MINUTE,
    NEXT,
    RETURN,
    STARS,
    START,
    TASKS,
    Row,
    derived,
    examples,
    frame,
    prepared,
    row,
    shown,
)

from genrec.days import day_end
from genrec.errors import UserError
from genrec.labels import horizon_of, sessions
from genrec.lines import lines
from genrec.tasks import Task


def rule(task: Task, **label: object) -> Task:
    return Task(task.name, task.kind, answers=task.answers, given=task.given, label={**task.label, **label})


# ---- click ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "clicked"), [(0, 1), (3, 1), (10, 1), (10 + 1 / MINUTE, 0), (-1, 0)], ids=str
)
def test_a_click_counts_within_its_window_both_ends_included(minute: float, clicked: int) -> None:
    found = examples([row("u", "a", 0, "impression"), row("u", "a", minute, "click")], CLICK)
    assert found.label.tolist() == [clicked]
    assert found.known.tolist() == [10]  # known when the window closes, also where the click came early


def test_a_click_of_someone_else_or_on_something_else_does_not_count() -> None:
    log = [row("u", "a", 0, "impression"), row("v", "a", 1, "click"), row("u", "b", 1, "click")]
    assert examples(log, CLICK).label.tolist() == [0]


def test_a_click_goes_to_the_latest_impression_before_it() -> None:
    log = [row("u", "a", 0, "impression"), row("u", "a", 5, "impression"), row("u", "a", 5, "click")]
    assert examples(log, CLICK)[["minute", "label"]].values.tolist() == [[0, 0], [5, 1]]


def test_of_two_impressions_at_one_moment_one_click_is_credited_once() -> None:
    log = [row("u", "a", 0, "impression", position=p) for p in (1, 0)] + [row("u", "a", 1, "click")]
    assert examples(log, CLICK).label.tolist() == [0, 1]
    assert examples(log[::-1], CLICK).label.tolist() == [0, 1]


def test_the_sampling_weight_of_an_impression_is_its_examples() -> None:
    log = [
        row("u", "a", 0, "impression", weight=4.0),
        row("u", "b", 0, "impression"),
        row("u", "a", 1, "click"),
    ]
    found = examples(log, CLICK, CONVERT)
    assert found[["task", "item_id", "weight"]].values.tolist() == [
        ["click", "a", 4.0],
        ["click", "b", 1.0],
        ["convert", "a", 4.0],
    ]


# ---- conversion -----------------------------------------------------------------------------------------


def test_a_conversion_is_asked_of_clicked_impressions_and_counted_from_the_click() -> None:
    log = [
        *(row("u", item, 0, "impression") for item in "abc"),
        row("u", "a", 8, "click"), row("u", "a", 28, "convert"),
        row("u", "b", 8, "click"), row("u", "b", 28.1, "convert"),
        row("u", "c", 5, "convert"),
    ]  # fmt: skip
    found = examples(log, CLICK, CONVERT)
    asked = found[found.task == "convert"]
    assert asked[["item_id", "minute", "label", "known"]].values.tolist() == [
        ["a", 0, 1, 28],
        ["b", 0, 0, 28],
    ]


def test_the_last_click_wins() -> None:
    log = [
        row("u", "a", 0, "impression"), row("u", "a", 1, "click"),
        row("u", "a", 12, "impression"), row("u", "a", 13, "click"), row("u", "a", 15, "convert"),
    ]  # fmt: skip
    found = examples(log, CLICK, CONVERT)
    assert found[found.task == "convert"][["minute", "label"]].values.tolist() == [[0, 0], [12, 1]]


def test_a_task_of_the_users_own_follows_its_own_event() -> None:
    share = Task(
        "share",
        "binary",
        answers=(" yes", " no"),
        label={"rule": "follows", "event": "share", "within": "30m"},
    )
    reply = Task(
        "reply", "binary", answers=(" yes", " no"), given="share",
        label={"rule": "follows", "event": "reply", "within": "5m"},
    )  # fmt: skip
    log = [
        row("u", "a", 0, "impression"), row("u", "a", 25, "share"), row("u", "a", 29, "reply"),
        row("u", "b", 0, "impression"), row("u", "b", 1, "click"),
    ]  # fmt: skip
    found = examples(log, CLICK, share, reply)
    assert found[["task", "item_id", "label", "known"]].values.tolist() == [
        ["click", "a", 0, 10], ["click", "b", 1, 10], ["reply", "a", 1, 30],
        ["share", "a", 1, 30], ["share", "b", 0, 30],
    ]  # fmt: skip


# ---- one request ----------------------------------------------------------------------------------------


def test_impressions_of_one_request_are_asked_at_its_first_moment_and_do_not_see_each_other() -> None:
    log = [
        row("u", "a", 0, "impression", request_id="r"), row("u", "b", 30, "impression", request_id="r"),
        row("u", "c", 30, "impression"), row("v", "a", 30, "impression", request_id="r"),
    ]  # fmt: skip
    found, _, _, _ = derived(log, START)
    clicks = found[found.task == "click"]
    assert ((clicks.ts - START) / MINUTE).tolist() == [0, 0, 30, 30]
    assert clicks[["user_id", "item_id", "point"]].values.tolist() == [
        ["u", "a", 0],
        ["u", "b", 0],
        ["u", "c", 1],
        ["v", "a", 0],
    ]
    assert clicks.running_user_count.tolist() == [0, 0, 1, 0]


# ---- return ---------------------------------------------------------------------------------------------


def test_sessions_end_where_a_gap_passes_and_one_moment_counts_once() -> None:
    log = [
        row("u", "a", 0, "impression"),
        row("u", "a", 0, "click"),
        row("u", "b", 14.9, "visit"),
        row("u", "a", 29.9, "visit"),
    ]
    found = sessions(frame(log), 15 * MINUTE)
    assert ((found.start - START) / MINUTE).tolist() == [0, 29.9]
    assert ((found.end - START) / MINUTE).tolist() == [14.9, 29.9]
    assert found.events.tolist() == [2, 1]
    assert found.next_start.tolist() == [START + 29.9 * MINUTE, -1]


def test_a_return_is_asked_when_the_session_is_over_and_known_when_the_horizon_closes() -> None:
    log = [row("u", None, m, "visit") for m in (0, 5, 65, 200)]
    found = examples(log, RETURN)
    assert found[["minute", "label", "known"]].values.tolist() == [[20, 1, 65], [80, 0, 125], [215, 0, 260]]
    assert found.horizon_days.tolist() == [60 / 1440] * 3


def test_a_return_on_a_later_day_does_not_count_the_same_day() -> None:
    late = rule(RETURN, horizon="2d", later_day=True)
    log = [row("u", None, m, "visit") for m in (600, 700, 1440 + 5, 4 * 1440)]
    found = examples(log, late)
    # 10:00 and 11:40 see the next day's visit; that one sees nobody within two days.
    assert found[["minute", "label"]].values.tolist() == [[615, 1], [715, 1], [1460, 0], [4 * 1440 + 15, 0]]


def test_only_the_named_event_is_a_return() -> None:
    log = [row("u", None, 0, "visit"), row("u", "a", 30, "convert"), row("u", None, 300, "visit")]
    assert examples(log, RETURN).label.tolist() == [1, 0, 0]
    assert examples(log, rule(RETURN, event="visit")).label.tolist() == [0, 0]


def test_a_horizon_that_is_over_when_the_question_is_asked_is_refused() -> None:
    with pytest.raises(UserError, match="over before the question is asked"):
        examples([row("u", None, 0, "visit")], rule(RETURN, horizon="15m"))


def cut_off(day: int, gap: str, horizon: str, split: str, **more: object) -> dict[str, object]:
    at = str(pd.Timestamp(START + day * DAY, unit="us").date())
    return {"at": at, "gap": gap, "horizon": horizon, "split": split, **more}


def test_cut_offs_ask_everyone_seen_by_the_end_of_that_day() -> None:
    day = 1440
    log = [
        row("seen", None, 0, "convert"), row("seen", None, 3 * day, "convert"),  # on the window's first moment
        row("early", None, day, "convert"), row("early", None, 2 * day, "convert"),  # in the gap
        row("late", None, 2 * day - 1, "convert"), row("late", None, 5 * day, "convert"),  # on its end: outside
        row("unseen", None, 2 * day, "convert"), row("unseen", None, 4 * day, "convert"),
    ]  # fmt: skip
    found = examples(log, rule(RETURN, cutoffs=[cut_off(1, "1d", "2d", "test")]))
    assert found[["user_id", "label"]].values.tolist() == [["early", 0], ["late", 0], ["seen", 1]]
    assert set(found.minute) == {2 * day}
    assert set(found.known) == {5 * day}
    assert found[["horizon_days", "gap_days", "hint"]].drop_duplicates().values.tolist() == [[2, 1, "test"]]


def test_shares_of_users_are_disjoint_and_the_same_everywhere() -> None:
    log = [row(f"u{k}", None, 0, "convert") for k in range(200)]
    parts = [
        cut_off(1, "0d", "2d", "train", users=[0.2, 1.0]),
        cut_off(2, "0d", "2d", "valid", users=[0.0, 0.2]),
    ]
    found = examples(log, rule(RETURN, cutoffs=parts))
    train, valid = (set(found.user_id[found.hint == name]) for name in ("train", "valid"))
    assert not train & valid
    assert len(train | valid) == 200
    assert 20 < len(valid) < 60
    one = examples([r for r in log if r["user_id"] == "u7"], rule(RETURN, cutoffs=parts))
    assert set(one.hint) == {"train" if "u7" in train else "valid"}


# ---- next item and choices ------------------------------------------------------------------------------


def test_next_item_is_each_first_touch_asked_just_before_it() -> None:
    log = [
        row("u", "a", 0, "click"),
        row("u", "b", 5, "click"),
        row("u", "a", 9, "click"),
        row("u", "c", 9, "impression"),
    ]
    found = examples(log, NEXT)
    assert found[["item_id", "minute", "known", "label"]].values.tolist() == [
        ["a", 0, 0, -1],
        ["b", 5, 5, -1],
    ]
    by_impression = examples(log, rule(NEXT, event="impression"))
    assert by_impression[["item_id", "minute"]].values.tolist() == [["c", 9]]


@pytest.mark.parametrize("event", ["click", "impression"])
def test_the_target_of_next_item_has_no_statistics(event: str) -> None:
    log = [row("u", item, m, e) for m, item in enumerate("abc") for e in ("impression", "click")]
    data = prepared(log, {**TASKS, "next": rule(NEXT, event=event)})
    rows = data.examples.task == "next"
    assert rows.sum() == 3
    assert data.stats["running"][rows].drop(columns="candidates").isna().all(axis=None)


def test_a_choice_is_read_off_the_impressions_value() -> None:
    log = [row("u", "abc"[int(v) % 3], m, "impression", value=v) for m, v in enumerate((3.0, 1.0, 2.5))]
    found = examples([*log, row("u", "a", 3, "impression")], STARS)
    assert found[["minute", "label"]].values.tolist() == [[0, 2], [1, 0]]  # 2.5 and no value are no answers
    top = Task("top", "binary", answers=(" yes", " no"), label={"rule": "value", "values": [3, 1]})
    assert examples(log, top).label.tolist() == [1, 0]  # the first answer is the positive one, as everywhere
    with pytest.raises(UserError, match="3 answers and 2 label values"):
        examples(log, rule(STARS, values=[1, 2]))


def test_an_item_that_was_clicked_twice_is_asked_for_once() -> None:
    log = [
        row("u", "a", minute, event)
        for minute, event in ((0, "impression"), (1, "click"), (20, "impression"), (21, "click"))
    ]
    assert examples(log, CLICK, NEXT).query("task == 'next'").minute.tolist() == [1]


def test_a_task_without_examples_changes_no_other_tasks_types() -> None:
    alone = examples([row("u", "a", 0, "impression")], CLICK)
    beside = examples([row("u", "a", 0, "impression")], CLICK, CONVERT, NEXT, STARS)
    pd.testing.assert_frame_equal(alone, beside)
    assert beside.label.dtype == np.int64


def test_tasks_without_a_label_rule_alone_are_refused() -> None:
    with pytest.raises(UserError, match="No task derives a label"):
        examples([row("u", "a", 0, "impression")], Task("say", "text"))


# ---- history lines --------------------------------------------------------------------------------------


def written(log: list[Row], tasks: dict[str, Task] = TASKS) -> list[list[object]]:
    found = lines(frame(log), shown(log, tasks), tasks)
    found["known"] = (found.known_at - START) / MINUTE
    return list(found[["kind", "item_id", "known", "click", "convert"]].values.tolist())


def test_a_line_appears_when_its_click_matured_and_says_of_the_conversion_only_what_was_known() -> None:
    log = [row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "b", 2, "impression")]
    assert written(log) == [["impression", "a", 10, 1, -1], ["impression", "b", 12, 0, 0]]


def test_a_late_conversion_has_a_line_of_its_own_once_its_window_has_closed() -> None:
    log = [row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "a", 15, "convert")]
    assert written(log) == [["impression", "a", 10, 1, -1], ["conversion", "a", 21, 1, 1]]


def test_an_early_conversion_is_known_no_earlier_than_that_a_click_had_none() -> None:
    log = [row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "a", 2, "convert")]
    assert written(log) == [["impression", "a", 10, 1, -1], ["conversion", "a", 21, 1, 1]]


def test_a_conversion_that_is_known_no_later_than_its_click_stands_in_its_line() -> None:
    quick = {"click": CLICK, "convert": rule(CONVERT, within="2m")}
    log = [row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "a", 2, "convert")]
    assert written(log, quick) == [["impression", "a", 10, 1, 1]]
    assert written(log[:2], quick) == [["impression", "a", 10, 1, 0]]


def test_each_further_conversion_of_a_click_has_a_line_and_tells_nothing_before_its_window_has_closed() -> (
    None
):
    log = [row("u", "a", 0, "impression"), row("u", "a", 1, "click"), row("u", "a", 15, "convert", value=2.0)]
    log += [row("u", "a", 17, "convert", value=5.0), row("u", "a", 19, "convert", value=7.0)]
    assert written(log) == [["impression", "a", 10, 1, -1], *[["conversion", "a", 21, 1, 1]] * 3]
    conversions = lines(frame(log), shown(log), TASKS)[1:]
    assert ((conversions.ts - START) / MINUTE).tolist() == [15, 17, 19]
    assert conversions.value.tolist()[1:] == [5, 7]
    assert conversions.impression.tolist() == [0, 0, 0]


def test_a_conversion_without_an_item_is_a_line_also_beside_impressions() -> None:
    log = [row("u", "a", 0, "impression"), row("u", None, 5, "convert"), row("u", None, 6, "click")]
    assert written(log) == [["purchase", "", 5, 1, 1], ["impression", "a", 10, 0, 0]]


def test_without_impressions_conversions_are_the_lines() -> None:
    log = [row("u", None, 3, "convert", value=9.5), row("u", None, 1, "convert"), row("u", None, 2, "visit")]
    assert written(log) == [["purchase", "", 1, 1, 1], ["purchase", "", 3, 1, 1]]
    assert written([row("u", None, 2, "visit")]) == []


def test_a_horizon_is_that_of_the_rule_or_of_its_latest_cut_off() -> None:
    days, gap = horizon_of(RETURN)
    assert (days, np.isnan(gap)) == (1 / 24, True)
    late, early = {"at": "2024-06-30", "horizon": "30d", "gap": "7d"}, {"at": "2024-05-31", "horizon": "90d"}
    assert horizon_of(rule(RETURN, cutoffs=[late, early])) == (30.0, 7.0)
    assert horizon_of(rule(RETURN, cutoffs=[early])) == (90.0, 0.0)


def test_a_cut_off_is_the_end_of_its_day() -> None:
    midnight = 875_664_000_000_000  # 1997-10-01 00:00 UTC, in microseconds
    assert day_end("1997-09-30", "here") == midnight
    for odd in ("soon", "9999-12-31", None):
        with pytest.raises(UserError, match="Not a day"):
            day_end(odd, "here")
