"""Candidates for what is next: by hand, never what was touched, never what was not yet known."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import NEVER

from genrec.statistics.co_occurrence import SEPARATOR, WINDOW, Followers, replay
from genrec.statistics.snapshot import load_followers, save_followers


def after(*histories: str) -> Followers:
    """Each history is one user's touches, a letter an item."""
    followers = Followers()
    for history in histories:
        for k, item in enumerate(history):
            followers.observe(list(history[:k]), item)
    return followers


def test_closeness_by_hand() -> None:
    followers = after("ab", "ac", "ab", "da")
    # Beside a: b twice, of 2 touches in all; c and d once, of 1 each, c known longer.
    assert followers.candidates(["a"], 5) == ["b", "c", "d"]
    assert followers.candidates(["a"], 1) == ["b"]
    assert followers.candidates([], 2) == ["a", "b"]  # the most popular
    assert followers.candidates(["elsewhere"], 2) == ["a", "b"]
    # b was near a alone; a is touched, so what is left comes by popularity, then by age.
    assert followers.candidates(["a", "b"], 5) == ["c", "d"]


def test_the_latest_touches_speak_loudest_and_far_ones_not_at_all() -> None:
    followers = after("ax", "by")
    assert followers.candidates(["a", "b"], 2) == ["y", "x"]
    assert followers.candidates(["b", "a"], 2) == ["x", "y"]
    rest = [f"r{k}" for k in range(WINDOW)]
    assert followers.candidates(["b", *rest], 4) == [
        "a",
        "x",
        "y",
    ]  # b is out of hearing, and excluded all the same


def test_more_items_than_are_tracked_are_no_candidates() -> None:
    followers = Followers(tracked_items=2)
    for item in "abcabc":
        followers.observe([], item)
    assert followers.candidates([], 5) == ["a", "b"]


@settings(max_examples=60)
@given(
    histories=st.lists(st.text("abcdefg", max_size=12), max_size=6), touched=st.text("abcdefgh", max_size=14)
)
def test_candidates_are_known_and_not_touched(histories: list[str], touched: str) -> None:
    found = after(*histories).candidates(list(touched), 4)
    assert len(set(found)) == len(found) == min(4, len(set("".join(histories)) - set(touched)))
    assert not set(found) & set(touched)
    assert set(found) <= set("".join(histories))


def lines(*rows: tuple[int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["known_at", "user_id", "item_id"])


def replayed(
    history: pd.DataFrame, asked: list[tuple[str, int]], freeze_at: int
) -> dict[str, list[list[str]]]:
    frame = pd.DataFrame(asked, columns=["user_id", "ts"])
    found, _ = replay(history, np.ones(len(history), bool), frame, freeze_at, NEVER)
    return {
        regime: [text.split(SEPARATOR) if text else [] for text in texts] for regime, texts in found.items()
    }


def test_a_question_sees_what_was_known_strictly_before_it() -> None:
    history = lines((1, "u", "a"), (2, "u", "b"), (3, "v", "a"))
    asked = [("v", 4), ("v", 3), ("w", 2), ("w", 1)]  # answered where they stand, whatever their order
    assert replayed(history, asked, NEVER)["running"] == [["b"], ["a", "b"], ["a"], []]


def test_lines_that_touch_nothing_are_not_counted() -> None:
    history = lines((1, "u", "a"), (2, "u", "b"))
    found, final = replay(
        history, np.array([True, False]), pd.DataFrame({"user_id": ["v"], "ts": [9]}), NEVER, NEVER
    )
    assert found["running"] == ["a"]
    assert list(final.slots) == ["a"]


def test_the_latest_counts_hold_what_was_known_before_a_moment() -> None:
    history, nobody = (
        lines((1, "u", "a"), (5, "u", "b"), (6, "u", "c")),
        pd.DataFrame({"user_id": [], "ts": []}),
    )
    assert list(replay(history, np.ones(3, bool), nobody, 0, until=6)[1].slots) == ["a", "b"]


def test_frozen_stops_learning_but_the_users_own_touches_go_on() -> None:
    history = lines((1, "u", "a"), (2, "u", "b"), (3, "s", "c"), (5, "v", "a"), (6, "t", "d"), (7, "v", "b"))
    found = replayed(history, [("v", 5), ("v", 7), ("v", 8)], freeze_at=5)
    assert found["frozen"] == [
        ["a", "b", "c"],
        ["b", "c"],
        ["c"],
    ]  # d is never heard of, a and b are hers by now
    assert found["running"] == [["a", "b", "c"], ["b", "c", "d"], ["c", "d"]]


def test_counts_that_were_saved_answer_and_learn_as_those_in_memory(tmp_path: Path) -> None:
    one = after("abc", "bcd", "dea", "".join(chr(97 + k % 26) for k in range(70)))
    save_followers(one, tmp_path / "kept.npz")
    two = load_followers(tmp_path / "kept.npz")
    for _ in range(3):
        for touched in ("", "a", "cb", "zzyx"):
            assert one.candidates(list(touched), 15) == two.candidates(list(touched), 15)
        one.observe(["b"], "new")
        two.observe(["b"], "new")
    save_followers(Followers(), tmp_path / "empty.npz")
    assert load_followers(tmp_path / "empty.npz").candidates(["a"], 3) == []
