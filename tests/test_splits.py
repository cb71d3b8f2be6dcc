"""Splits: by time, leave-last-out, folds of users, as given; what runs past its split's end is censored."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import START, Row, logs, prepared, row

from genrec.durations import DAY
from genrec.errors import UserError
from genrec.splits import assign

BY_TIME = {"by": "time", "fractions": [0.6, 0.2, 0.2]}


def asked(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Examples from (user, ts, known_at[, hint]), one impression each."""
    return pd.DataFrame(
        {
            "task": "click", "user_id": [r[0] for r in rows],
            "ts": [r[1] for r in rows], "known_at": [r[2] for r in rows],
            "hint": [r[3] if len(r) > 3 else "" for r in rows], "impression": range(len(rows)),
        }
    )  # fmt: skip


def names(examples: pd.DataFrame, split: dict[str, Any], end: int) -> list[str]:
    return list(assign(examples, split, end)[0])


def test_time_splits_at_quantiles_of_the_impressions_times() -> None:
    examples = asked(*(("u", t, t) for t in range(10)))
    found, train_end = assign(examples, BY_TIME, end=9)
    assert found.tolist() == ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    assert train_end == 6


def test_examples_of_one_moment_are_on_one_side() -> None:
    examples = asked(*(("u", t, t) for t in (0, 1, 2, 3, 5, 5, 5, 5, 8, 9)))
    assert names(examples, BY_TIME, end=9) == ["train"] * 4 + ["valid"] * 4 + ["test"] * 2


@pytest.mark.parametrize(
    ("ts", "known", "name"),
    [
        (5, 5, "train"), (5, 6, "censored"), (7, 7, "valid"), (7, 8, "censored"), (9, 9, "test"), (9, 10, "censored"),
    ],
)  # fmt: skip
def test_a_window_that_closes_past_its_splits_end_is_censored(ts: int, known: int, name: str) -> None:
    examples = asked(*(("u", t, known if t == ts else t) for t in range(10)))
    assert names(examples, BY_TIME, end=9)[ts] == name


def test_leave_last_out_is_per_user_and_task() -> None:
    examples = asked(("u", 1, 1), ("u", 2, 2), ("u", 3, 3), ("v", 1, 1), ("w", 1, 1), ("w", 9, 12))
    assert names(examples, {"by": "last"}, end=10) == ["train", "valid", "test", "test", "valid", "censored"]
    both = pd.concat([examples, examples.assign(task="next")], ignore_index=True)
    assert names(both, {"by": "last"}, end=10)[6:] == names(examples, {"by": "last"}, end=10)


def test_folds_share_no_user_and_each_user_tests_once() -> None:
    examples = asked(*((f"u{k % 40}", k, k) for k in range(80)))
    found = [np.array(names(examples, {"by": "users", "folds": 4, "fold": f}, end=80)) for f in range(4)]
    for one in found:
        users = [set(examples.user_id[one == name]) for name in ("train", "valid", "test")]
        assert sum(map(len, users)) == len(set.union(*users)) == 40
    assert (sum((one == "test").astype(int) for one in found) == 1).all()


def test_as_given_keeps_the_hint_but_not_past_the_test_or_the_log() -> None:
    day = [k * DAY for k in range(10)]
    examples = asked(
        ("u", day[1], day[4], "train"), ("u", day[1], day[5], "train"), ("v", day[2], day[4], "valid"),
        ("v", day[3], day[6], "valid"), ("u", day[4], day[8], "test"), ("v", day[4], day[9], "test"), ("w", 1, 2, ""),
    )  # fmt: skip
    found, train_end = assign(
        examples, {"by": "given"}, end=day[7]
    )  # days only: the log ends with its last day
    assert found.tolist() == ["train", "censored", "valid", "censored", "test", "censored", "censored"]
    assert train_end == day[4]


@pytest.mark.parametrize(
    "split",
    [
        {"by": "weekday"},
        {"by": "time", "fractions": [0.5, 0.5]},
        {"by": "time", "fractions": [0.9, 0.1, 0.1]},
        {"by": "time", "fractions": [1.0, 0.0, 0.0]},
        {"by": "time", "fractions": 0.8},
        {"by": "time", "fraction": [0.8, 0.1, 0.1]},
        {"by": "users", "folds": 2},
        {"by": "users", "folds": "ten"},
        {"by": "users", "folds": 5, "fold": 5},
        {"by": "users", "folds": 5, "fold": 1.5},
    ],
    ids=str,
)
def test_a_split_that_cannot_be_is_refused(split: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        assign(asked(("u", 1, 1)), split, 1)
    assert caught.value.cure


def test_a_log_that_answers_no_task_is_refused() -> None:
    with pytest.raises(UserError, match="answers none of the tasks"):
        assign(asked(), {"by": "time"}, 1)
    with pytest.raises(UserError, match="no events"):
        prepared([])


SPLITS: list[dict[str, Any]] = [
    {"by": "time", "fractions": [0.4, 0.3, 0.3]}, {"by": "last"}, {"by": "users", "folds": 3, "fold": 1},
]  # fmt: skip


@settings(max_examples=30)
@given(log=logs(max_size=30), split=st.sampled_from(SPLITS))
def test_no_label_that_is_used_was_still_open_and_a_positive_is_censored_like_a_negative(
    log: list[Row], split: dict[str, Any]
) -> None:
    data = prepared([*log, row("u", "a", 60, "impression")], **split)
    end = data.tables.events["ts"].cast("int64").to_numpy().max()
    used = data.examples[data.examples.split != "censored"]
    assert (used.known_at <= end).all()
    open_ = data.examples[data.examples.known_at > end]
    assert set(open_.split) <= {"censored"}
    if split["by"] == "time":
        # Nothing that training or calibration learns from was unknown when the next split's first question was asked.
        for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
            asked_at = used.ts[used.split == later]
            if len(asked_at):
                assert (used.known_at[used.split == earlier] < asked_at.min()).all()
        assert (used.known_at[used.split == "train"] < data.train_end).all()


def test_frozen_statistics_stop_where_training_does() -> None:
    log = [row("u", "a", m, "impression") for m in range(0, 100, 5)]
    data = prepared(log, by="time", fractions=[0.4, 0.3, 0.3])
    clicks = data.examples.task == "click"
    counts = data.stats["frozen"].item_count[clicks].tolist()
    assert data.train_end == START + 40 * 60_000_000
    # Known after ten minutes: at 40 minutes those shown up to 25 (35 < 40), and no more from there on.
    assert counts == [0, 0, 0, *range(1, 6), *[6] * 12]
    assert data.stats["running"].item_count[clicks].tolist() == [0, 0, *range(18)]
