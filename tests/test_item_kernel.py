"""Kernel ridge regression over residuals: by hand on two items, by content alone, prefixes, and systems that fail."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from genrec.statistics.item_kernel import (
    CONTENT,
    MET,
    NOISE,
    PAIR_PRIOR,
    ItemKernel,
    ItemQuestions,
    OutcomeRuns,
    window_start,
)

OWN = 1 + CONTENT + NOISE  # an outcome's kernel with itself
Met = Mapping[str, Sequence[tuple[str, float]]]  # by user, items and residuals in order


def histories(kernel: ItemKernel, met: Met) -> OutcomeRuns:
    slots = kernel.slots_of([item for outcomes in met.values() for item, _ in outcomes])
    length = np.array([len(outcomes) for outcomes in met.values()])
    residuals = np.array([residual for outcomes in met.values() for _, residual in outcomes])
    return OutcomeRuns(slots, residuals, np.cumsum(length) - length, length)


def learned(
    met: Met, categories: Mapping[str, Sequence[str]] | None = None, tracked: int = 4096
) -> ItemKernel:
    kernel = ItemKernel(categories or {}, tracked)
    kernel.track(item for outcomes in met.values() for item, _ in outcomes)
    of_all = histories(kernel, met)
    kernel.learn(of_all, of_all.length)
    kernel.refresh()
    return kernel


def expected(kernel: ItemKernel, met: Met, user: str, item: str, known: int | None = None) -> float:
    """The residual expected after a user's first `known` outcomes, or after all."""
    number = list(met).index(user)
    seen = len(met[user]) if known is None else known
    asked = ItemQuestions(
        np.array([number]), np.array([seen]), kernel.slots_of([item]), kernel.contents_of([item])
    )
    return float(kernel.expected(histories(kernel, met), asked)[0])


def agreement(one: list[float], other: list[float]) -> float:
    """Residuals of the users who met both items."""
    a, b = np.array(one), np.array(other)
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-4) * len(a) / (len(a) + PAIR_PRIOR))


BOTH: Met = {"u": [("a", 0.5), ("b", 0.5)], "v": [("a", 0.4), ("b", -0.2)], "w": [("a", 0.6)], "none": []}


def test_two_items_by_hand() -> None:
    kernel = learned(BOTH)
    k = agreement([0.5, 0.4], [0.5, -0.2])
    assert expected(kernel, BOTH, "w", "b") == pytest.approx(k * 0.6 / OWN, rel=1e-5)
    assert expected(kernel, BOTH, "w", "a") == 0  # an item that nobody met twice does not speak of itself
    assert expected(kernel, BOTH, "none", "a") == 0


def test_what_two_outcomes_say_of_a_third_item_is_not_counted_twice() -> None:
    met: Met = {**BOTH, "u": [*BOTH["u"], ("c", 0.3)], "x": [("c", 0.1), ("a", 0.2)]}
    kernel = learned(met)
    ab = agreement([0.5, 0.4], [0.5, -0.2])
    ac, bc = agreement([0.5, 0.2], [0.3, 0.1]), agreement([0.5], [0.3])
    dual = np.linalg.solve([[OWN, ab], [ab, OWN]], [0.4, -0.2])
    assert expected(kernel, met, "v", "c") == pytest.approx(float(dual @ [ac, bc]), rel=1e-5)


def test_what_is_taken_in_bit_by_bit_is_what_is_taken_in_at_once() -> None:
    draw = np.random.default_rng(0)
    met = {f"u{k}": [(f"i{draw.integers(9)}", float(draw.normal())) for _ in range(8)] for k in range(6)}
    at_once, by_bits = learned(met), ItemKernel({})
    by_bits.track(at_once.slots)
    for end in (3, 4, 8):
        new = end - {3: 0, 4: 3, 8: 4}[end]
        so_far = histories(by_bits, {user: outcomes[:end] for user, outcomes in met.items()})
        by_bits.learn(so_far, np.full(len(met), new))
    np.testing.assert_allclose(by_bits.kept(), at_once.kept(), atol=1e-5)
    assert at_once.kept().any()


def test_each_prefix_is_answered_as_if_it_were_all() -> None:
    """Several users and questions at once, each after another number of outcomes, with histories of 1 to 90."""
    draw = np.random.default_rng(1)
    items = [f"i{k}" for k in range(40)]
    categories = {item: (("x", "y", "z")[k % 3],) for k, item in enumerate([*items, "new"])}
    met = {
        f"u{n}": [(str(draw.choice(items)), float(draw.normal())) for _ in range(n)] for n in (1, 3, 30, 90)
    }
    kernel = learned(met, categories)
    of_all = histories(kernel, met)
    number, known, names = [], [], []
    for user, outcomes in enumerate(met.values()):
        for _ in range(5):
            number.append(user)
            known.append(int(draw.integers(0, len(outcomes) + 1)))
            names.append(str(draw.choice([*items, "new"])))
    asked = ItemQuestions(
        np.array(number), np.array(known), kernel.slots_of(names), kernel.contents_of(names)
    )
    together = kernel.expected(of_all, asked)
    for answer, user, seen, item in zip(together, number, known, names, strict=True):
        outcomes = met[list(met)[user]][:seen]
        slots = kernel.slots_of([i for i, _ in outcomes])
        system = kernel.kernel[np.ix_(slots, slots)].astype(float)
        np.fill_diagonal(system, OWN)
        right = kernel.kernel[slots, kernel.slots_of([item])[0]].astype(float)
        if item == "new":
            right = CONTENT * (kernel.contents[slots] @ kernel.contents_of([item]).toarray()[0])
        wanted = right @ np.linalg.solve(system, [r for _, r in outcomes]) if seen else 0.0
        assert answer == pytest.approx(wanted, abs=1e-9)


def test_categories_reach_an_item_that_nobody_met() -> None:
    categories = {"a": ("x",), "new": ("x",), "half": ("x", "y"), "other": ("y",), "bare": ()}
    met: Met = {"u": [("a", 0.5)]}
    kernel = learned(met, categories)
    full = CONTENT * 0.5 / OWN
    assert expected(kernel, met, "u", "new") == pytest.approx(full)
    assert 0 < expected(kernel, met, "u", "half") < full
    for item in ("other", "bare", "nowhere"):
        assert expected(kernel, met, "u", item) == 0
    later = {**met, "u": [("a", 0.5), ("new", 0.1)]}
    kernel.track(["new"])  # with a slot its categories still speak
    kernel.refresh()
    assert expected(kernel, later, "u", "new", known=1) == pytest.approx(full)


def test_items_beyond_those_tracked_say_nothing() -> None:
    met: Met = {"u": [("a", 0.5), ("b", 0.5)], "v": [("b", 0.5)]}
    kernel = learned(met, tracked=1)
    assert list(kernel.slots) == ["a"]
    assert expected(kernel, met, "v", "a") == 0


def test_a_state_that_was_kept_is_the_one_in_memory() -> None:
    one, two = learned(BOTH, {"a": ("x",), "b": ("x",)}), ItemKernel({"a": ("x",), "b": ("x",)})
    two.restore(list(one.slots), one.kept())
    np.testing.assert_array_equal(one.kernel, two.kernel)
    np.testing.assert_array_equal(one.contents, two.contents)


def test_correlations_that_do_not_fit_together_leave_an_outcome_out() -> None:
    """No three residuals can each be the others' opposite, however strongly: the third one that says so is left out,
    and so it changes nothing of what was answered after the first two."""
    met: Met = {"u": [("a", 0.5), ("b", 0.3), ("c", 0.9)]}
    kernel = learned(met)
    kernel.kernel[:3, :3] = -0.8 * OWN
    assert np.linalg.eigvalsh(kernel.kernel[:3, :3] + 1.8 * OWN * np.eye(3)).min() < 0
    two, three = (expected(kernel, met, "u", "a", known) for known in (2, 3))
    assert two == three != 0


def test_a_window_loses_its_oldest_half_when_it_is_full() -> None:
    counts = np.array([0, 1, MET, 2 * MET - 1, 2 * MET, 3 * MET - 1, 3 * MET])
    assert window_start(counts).tolist() == [0, 0, 0, 0, MET, MET, 2 * MET]
