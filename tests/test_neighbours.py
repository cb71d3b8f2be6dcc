"""Kernel ridge regression over residuals: by hand on two items, by content alone, and taken up again."""

import random

import numpy as np
import pytest

from genrec.neighbours import CONTENT, MIN_COUNT, NOISE, PAIR_PRIOR, Neighbours

KNOWN = dict.fromkeys("abcdefgh", float(MIN_COUNT))  # outcomes enough to be tracked
OWN = 1 + CONTENT + NOISE  # an item's kernel with itself


def agreement(one: list[float], other: list[float]) -> float:
    """Residuals of the users who met both items."""
    a, b = np.array(one), np.array(other)
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-4) * len(a) / (len(a) + PAIR_PRIOR))


def test_two_items_by_hand() -> None:
    kept = Neighbours({})
    kept.learn([("u", "a", 0.5), ("v", "a", 0.4)], KNOWN)
    kept.learn([("u", "b", 0.5), ("v", "b", -0.2)], KNOWN)
    kept.learn([("w", "a", 0.6)], KNOWN)
    k = agreement([0.5, 0.4], [0.5, -0.2])
    assert kept.gain("w", "b") == pytest.approx(k * 0.6 / OWN, rel=1e-5)
    assert kept.gain("w", "a") == 0  # an item does not speak of itself
    # Who met both is explained by both at once: what each says of a third is not counted twice.
    kept.learn([("u", "c", 0.3), ("x", "c", 0.1)], KNOWN)
    kept.learn([("x", "a", 0.2)], KNOWN)
    ab, ac, bc = k, agreement([0.5, 0.2], [0.3, 0.1]), agreement([0.5], [0.3])
    dual = np.linalg.solve([[OWN, ab], [ab, OWN]], [0.4, -0.2])
    assert kept.gain("v", "c") == pytest.approx(float(dual @ [ac, bc]), rel=1e-5)


def test_categories_reach_an_item_that_nobody_met() -> None:
    kept = Neighbours({"a": ("x",), "new": ("x",), "half": ("x", "y"), "other": ("y",), "bare": ()})
    kept.learn([("u", "a", 0.5)], KNOWN)
    full = CONTENT * 0.5 / OWN
    assert kept.gain("u", "new") == pytest.approx(full)
    assert 0 < kept.gain("u", "half") < full
    assert kept.gain("u", "other") == kept.gain("u", "bare") == kept.gain("u", "nowhere") == 0


def test_what_is_expected_of_a_user_follows_what_is_learned_of_others() -> None:
    asked, kept = Neighbours({}), Neighbours({})  # the second is asked at the end alone
    before = []
    for fact in (("u", "a", 0.5), ("v", "a", 0.5), ("v", "b", 0.5), ("w", "a", 0.5), ("w", "b", 0.4)):
        for one in (asked, kept):
            one.learn([fact], KNOWN)
        before.append(asked.gain("u", "b"))
    assert before[-1] > before[2] > before[1] == 0
    for one in (asked, kept):  # a and c now explain u's taste together
        one.learn([("v", "c", 0.5), ("w", "c", 0.3), ("u", "c", 0.2)], KNOWN)
    assert asked.gain("u", "b") == kept.gain("u", "b")


def test_nothing_is_expected_of_a_stranger_nor_of_items_too_rare_to_be_tracked() -> None:
    kept = Neighbours({"a": ("x",), "b": ("x",)})
    kept.learn([("u", "a", 0.5), ("u", "b", 0.5), ("v", "rare", 0.5)], {**KNOWN, "rare": MIN_COUNT - 1})
    assert kept.gain("stranger", "a") == kept.gain("stranger", "nowhere") == kept.gain("v", "a") == 0
    few = Neighbours({}, tracked_items=1)
    few.learn([("u", "a", 0.5), ("v", "b", 0.5)], KNOWN)
    assert list(few.slots) == ["a"]
    assert few.gain("v", "a") == 0


def test_a_state_that_was_kept_speaks_and_learns_as_the_one_in_memory() -> None:
    draw = random.Random(0)
    categories = {item: (draw.choice("xyz"),) for item in "abcdefgh"}

    def outcome() -> tuple[str, str, float]:
        return draw.choice("uvwst"), draw.choice("abcdefgh"), draw.uniform(-1, 1)

    one, two = Neighbours(categories), Neighbours(categories)
    for _ in range(60):
        one.learn([outcome()], KNOWN)
    n = len(one.slots)
    history = {user: (list(met), list(grades)) for user, (met, grades) in one.history.items()}
    two.restore(list(one.slots), history, one.together[:n, :n].copy())
    for _ in range(5):
        for user in "uvwst":
            assert [one.gain(user, i) for i in "abcdefgh"] == [two.gain(user, i) for i in "abcdefgh"]
        new = outcome()
        one.learn([new], KNOWN)
        two.learn([new], KNOWN)
