"""Intervals over users: the same for the same seed, honest about users, never hiding what was undefined."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.bootstrap import STATISTICS, Statistic, interval, paired
from genrec.metrics import auc, ece, user_auc
from genrec.metrics.inputs import Floats


def clicks(
    users: int = 60, each: int = 20, seed: int = 0, spread: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """users, labels and true probabilities; `spread` is how much users differ from one another."""
    random = np.random.default_rng(seed)
    odds = np.repeat(spread * random.normal(size=users), each) + random.normal(size=users * each)
    p = 1 / (1 + np.exp(-odds))
    return np.repeat(np.arange(float(users)), each), (random.random(p.size) < p).astype(np.float64), p


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier", "accuracy", "recall", "pcoc"])
def test_an_interval_surrounds_the_metric_itself_and_repeats(name: str) -> None:
    users, labels, p = clicks()
    found = interval(name, users, (labels, p), repeats=60, seed=4)
    assert found.value == pytest.approx(STATISTICS[name].compute(labels, p), abs=1e-12)
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    assert found == interval(name, users, (labels, p), repeats=60, seed=4)
    assert found != interval(name, users, (labels, p), repeats=60, seed=5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(0, 10_000), st.sampled_from(["auc", "brier", "ece"]))
def test_the_value_is_always_inside(users: int, each: int, seed: int, name: str) -> None:
    ids, labels, p = clicks(users, each, seed)
    found = interval(name, ids, (labels, p), repeats=20, seed=seed)
    if not math.isnan(found.low):
        assert found.low <= found.value <= found.high


def test_row_order_and_the_kind_of_ids_do_not_matter() -> None:
    users, labels, p = clicks()
    shuffled = np.random.default_rng(1).permutation(users.size)
    names = np.array([f"user {u:04.0f}" for u in users], dtype=object)
    found = interval("auc", names[shuffled], (labels[shuffled], p[shuffled]), repeats=30)
    assert found == pytest.approx(interval("auc", users, (labels, p), repeats=30), abs=1e-12)


def coverage_of(name: str, truth: float, sample: Callable[[int], tuple[Floats, ...]], times: int) -> float:
    inside = 0
    for seed in range(times):
        users, *columns = sample(seed)
        found = interval(name, users, columns, repeats=150, seed=seed)
        inside += found.low <= truth <= found.high
    return inside / times


def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    _, labels, p = clicks(users=30_000, seed=99)
    share = coverage_of("auc", auc(labels, p), lambda seed: clicks(seed=seed), times=150)
    assert 0.89 <= share <= 0.99  # the standard error of 150 trials is .018


def test_resampling_rows_instead_of_users_would_promise_too_much() -> None:
    def rates(seed: int) -> tuple[Floats, Floats]:
        users, labels, _ = clicks(seed=seed, spread=2.0)
        return users, labels

    assert coverage_of("mean", 0.5, rates, times=150) >= 0.89

    def as_if_unrelated(seed: int) -> tuple[Floats, Floats]:
        _, labels = rates(seed)
        return np.arange(labels.size, dtype=np.float64), labels

    assert coverage_of("mean", 0.5, as_if_unrelated, times=150) < 0.75


def test_the_interval_of_ece_is_not_fooled_by_its_own_noise() -> None:
    def slightly_off(seed: int, users: int = 60) -> tuple[Floats, Floats, Floats]:
        ids, labels, p = clicks(users, seed=seed)
        return ids, labels, p**1.1

    _, labels, p = slightly_off(99, users=30_000)
    assert coverage_of("ece", ece(labels, p), slightly_off, times=60) >= 0.7


@pytest.mark.parametrize("power", [1.0, 1.1, 1.5])
def test_the_interval_of_ece_holds_its_estimate_well_inside(power: float) -> None:
    for seed in range(5):
        users, labels, p = clicks(seed=seed)
        found = interval("ece", users, (labels, p**power), repeats=200, seed=seed)
        assert found.plain == pytest.approx(ece(labels, p**power), abs=1e-12)
        width = found.high - found.low
        assert found.low == 0.0 or found.value - found.low > width / 5
        assert found.high - found.value > width / 5
        assert 0 <= found.value < 1.02 * found.plain


def test_what_ece_is_corrected_by_is_noise() -> None:
    truth = ece(*clicks(users=30_000, seed=99)[1:])
    found = [
        interval("ece", u, (labels, p), repeats=100) for u, labels, p in (clicks(seed=n) for n in range(10))
    ]
    assert truth < 0.01
    assert np.mean([f.value for f in found]) < 0.8 * np.mean([f.plain for f in found])


def test_weights_of_examples_count_as_copies() -> None:
    users, labels, p = clicks(users=20)
    times = np.random.default_rng(2).integers(1, 4, users.size)
    copies = interval(
        "auc", np.repeat(users, times), (np.repeat(labels, times), np.repeat(p, times)), repeats=20
    )
    assert interval("auc", users, (labels, p), weights=times, repeats=20) == pytest.approx(copies, abs=1e-12)


def test_a_resample_with_one_class_is_left_out_and_counted() -> None:
    # of 4 resamples of 2 users, 2 hold one user only
    found = interval("auc", ["yes", "no"], ([1, 0], [0.7, 0.2]), repeats=400)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert 150 < found.undefined < 250
    nothing = interval("auc", ["a", "b"], ([1, 1], [0.7, 0.2]), repeats=10)
    assert nothing.undefined == 10
    assert all(math.isnan(n) for n in nothing[:3])


def test_one_user_says_nothing_about_others() -> None:
    found = interval("brier", ["a", "a"], ([1, 0], [0.5, 0.5]), repeats=10)
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not paired("brier", ["a", "a"], [1, 0], [0.9, 0.1], [0.5, 0.5], repeats=10).wins


def test_a_better_model_wins_in_the_direction_of_its_metric() -> None:
    users, labels, p = clicks()
    worse = np.clip(p + np.random.default_rng(1).normal(scale=0.3, size=p.size), 0.01, 0.99)
    gain = paired("auc", users, labels, p, worse, repeats=100)
    assert gain.wins
    assert 0 < gain.low <= gain.difference <= gain.high
    saved = paired("log_loss", users, labels, p, worse, repeats=100)
    assert saved.wins
    assert saved.low <= saved.difference <= saved.high < 0
    back = paired("auc", users, labels, worse, p, repeats=100)
    assert not back.wins
    assert back.difference == pytest.approx(-gain.difference)
    assert not paired("auc", users, labels, p, p, repeats=50).wins
    slight = paired(
        "accuracy", list("abcde"), [1] * 5, [0.9, 0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.1, 0.9, 0.9], repeats=200
    )
    assert slight.low < 0 < slight.difference
    assert not slight.wins


def test_pairing_sees_what_two_separate_intervals_hide() -> None:
    users, labels, p = clicks(seed=3)
    nearly = np.clip(p + np.random.default_rng(1).normal(scale=0.1, size=p.size), 0.01, 0.99)
    apart = interval("auc", users, (labels, p), repeats=100)
    together = paired("auc", users, labels, p, nearly, repeats=100)
    assert together.high - together.low < (apart.high - apart.low) / 2


def test_ranks_and_users_own_auc_have_intervals_too() -> None:
    users = np.repeat(np.arange(20), 2)
    near, far = np.tile([1.0, 3.0], 20), np.tile([2.0, math.inf], 20)
    assert paired(STATISTICS["ndcg"].at(k=5), users, None, near, far, repeats=50).wins
    assert interval(STATISTICS["hit_rate"].at(k=2), users, (near,), repeats=50).value == 0.5
    each = user_auc(*clicks()[1:], clicks()[0])
    found = interval("mean", each.users, (each.auc,), weights=each.impressions, repeats=50)
    assert found.low < found.value < found.high


def test_a_statistic_of_your_own() -> None:
    def largest(values: Floats, weights: Floats) -> float:
        return float(values[weights > 0].max())

    found = interval(Statistic(largest), ["a", "b", "c"], ([1.0, 2.0, 3.0],), repeats=50)
    assert (found.value, found.low, found.high) == (3.0, 1.0, 3.0)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="no statistic 'f1': one of auc, log_loss"):
        interval("f1", ["a"], ([1], [0.5]))
    with pytest.raises(ValueError, match="it has no winner"):
        paired("pcoc", ["a", "b"], [1, 0], [0.5, 0.5], [0.4, 0.4])
    with pytest.raises(ValueError, match="2 users but arrays of shape"):
        interval("auc", ["a", "b"], ([1], [0.5]))
    with pytest.raises(ValueError, match="level"):
        interval("mean", ["a", "b"], ([1, 0],), level=95, repeats=2)
    with pytest.raises(ValueError, match="unscored"):
        interval("auc", ["a", "b"], ([1, 0], [0.5, math.nan]))


def test_ten_thousand_examples_and_a_thousand_resamples_take_seconds() -> None:
    users, labels, p = clicks(users=170, each=59)
    start = time.process_time()
    interval("auc", users, (labels, p), repeats=1000)
    assert time.process_time() - start < 5
