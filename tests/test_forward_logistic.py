"""Logistic regression that goes forward: fitted at each refresh, with weights of each user's own in between."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from genrec.statistics.match import ForwardLogistic, Posterior, nth_of_each, probability

TRUE = np.array([-0.5, 1.0, -2.0])


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(n), draw.normal(size=(n, 2))])
    return x, (draw.random(n) < 1 / (1 + np.exp(-x @ TRUE))).astype(float)


def learned(x: np.ndarray, y: np.ndarray, at_once: int) -> ForwardLogistic:
    """With a refresh after so many outcomes."""
    model = ForwardLogistic([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0])
    for start in range(0, len(y), at_once):
        part = slice(start, start + at_once)
        model.wait(x[part], np.zeros(len(y[part])), y[part], np.ones(len(y[part])))
        model.refresh()
    return model


def own(spread: float = 1.0, drift: float = 0.0, users: int = 1) -> ForwardLogistic:
    """A regression with a level of each user's own, and next to none that all share."""
    model = ForwardLogistic([0.0], [1e-6], [spread], drift)
    model.make_room(users)
    return model


def follow(model: ForwardLogistic, users: list[int], y: list[int], weight: float = 1.0) -> np.ndarray:
    """Outcomes that nothing shared says anything of; (n,) the own log-odds before each."""
    n = len(y)
    return model.follow(
        np.array(users), np.ones((n, 1)), np.zeros(n), np.array(y, float), np.full(n, weight)
    )[0]


def test_one_fit_is_the_most_likely_weights_under_the_prior() -> None:
    x, y = outcomes(4_000)
    model = learned(x, y, at_once=4_000)
    whole = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(model.shared.mean, whole.coef_[0], atol=1e-4)
    p = probability(x @ model.shared.mean)
    curvature = (x * (p * (1 - p))[:, None]).T @ x + np.eye(3)
    np.testing.assert_allclose(model.shared.precision, curvature, rtol=1e-6)


def test_block_by_block_it_says_what_a_fit_to_all_says() -> None:
    x, y = outcomes(4_000)
    np.testing.assert_allclose(learned(x, y, 100).shared.mean, learned(x, y, 4_000).shared.mean, atol=0.03)


def test_a_weight_of_three_is_three_outcomes_and_an_offset_is_no_weights() -> None:
    prior = Posterior(np.zeros(1), np.eye(1))
    one, three = np.ones((1, 1)), np.ones((3, 1))
    weighed = prior.learned(one, np.zeros(1), np.ones(1), np.full(1, 3.0))
    np.testing.assert_allclose(weighed.mean, prior.learned(three, np.zeros(3), np.ones(3), np.ones(3)).mean)
    assert abs(prior.learned(one, np.full(1, 20.0), np.ones(1), np.ones(1)).mean[0]) < 1e-6  # it was known


def test_nothing_is_learned_before_a_refresh() -> None:
    x, y = outcomes(50)
    model = ForwardLogistic([1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0])
    model.wait(x, np.zeros(50), y, np.ones(50))
    assert model.shared.mean.tolist() == [1.0, 0.0, 0.0]
    model.refresh()
    assert model.shared.mean[0] != 1.0
    moved = model.shared.mean.copy()
    model.refresh()  # once only
    np.testing.assert_array_equal(model.shared.mean, moved)


def test_one_outcome_of_a_user_by_hand() -> None:
    """The mean moves by the covariance that stands after the outcome: 4 - 16 x .25 / (1 + .25 x 4) = 2, times .5."""
    model = own(spread=2.0)
    before, after = model.follow(np.zeros(1, int), np.ones((1, 1)), np.zeros(1), np.ones(1), np.ones(1))
    assert (before.tolist(), after.tolist()) == ([0.0], [[1.0]])
    assert (model.stranger + model.changes.values[0]).tolist() == [[2.0]]


def test_users_beside_one_another_are_users_one_after_the_other() -> None:
    draw = np.random.default_rng(2)
    users, z = draw.integers(0, 7, 200), draw.normal(size=(200, 2))
    odds, y, weight = draw.normal(size=200), draw.integers(0, 2, 200).astype(float), draw.random(200) + 0.5
    together, apart = (ForwardLogistic([0.0], [1.0], [1.0, 0.5], 0.01) for _ in range(2))
    for model in (together, apart):
        model.make_room(7)
    before, after = together.follow(users, z, odds, y, weight)
    for k in range(200):
        one = slice(k, k + 1)
        single = apart.follow(users[one], z[one], odds[one], y[one], weight[one])
        np.testing.assert_allclose(np.r_[single[0], single[1][0]], np.r_[before[k], after[k]], rtol=1e-9)
    np.testing.assert_allclose(together.changes.values, apart.changes.values, rtol=1e-9)


def test_a_user_who_differs_from_the_others_is_told_apart() -> None:
    model = own(users=2)
    follow(model, [0, 1] * 20, [0, 1] * 20)
    users = np.array([0, 1, -1])
    assert (probability(model.own_odds(users, np.ones((3, 1)))).round(1)).tolist() == [0.1, 0.9, 0.5]


def test_drift_lets_the_latest_outcomes_of_a_user_count_for_more() -> None:
    steady, drifting = own(drift=0.0), own(drift=0.1)
    for model in (steady, drifting):
        follow(model, [0] * 80, [int(k >= 60) for k in range(80)])
    said = [float(model.means.values[0, 0]) for model in (steady, drifting)]
    assert said[0] < 0 < said[1]


def test_on_a_view_nobody_is_known_and_nothing_is_moved() -> None:
    model = own(users=2)
    follow(model, [0, 1], [1, 0])
    kept, view = model.means.values.copy(), model.aside()
    view.make_room(1)
    assert follow(view, [0, 0], [1, 1])[0] == 0
    assert view.means.values[0, 0] > 0
    np.testing.assert_array_equal(model.means.values, kept)
    assert view.shared is model.shared


def test_no_overflow_far_from_zero() -> None:
    assert 0 < probability(np.array([-1e9]))[0] < 1e-12


def test_the_nth_of_each() -> None:
    assert [rows.tolist() for rows in nth_of_each(np.array([5, 3, 5, 5, 3]))] == [[0, 1], [2, 4], [3]]
    assert nth_of_each(np.array([], int)) == []


def test_what_waits_in_parts_is_learned_as_one() -> None:
    x, y = outcomes(60)
    whole, parts = (ForwardLogistic([0.0] * 3, [1.0] * 3, [1.0]) for _ in range(2))
    whole.wait(x, np.zeros(60), y, np.ones(60))
    parts.wait(x[:20], np.zeros(20), y[:20], np.ones(20))
    parts.wait(x[20:], np.zeros(40), y[20:], np.ones(40))
    whole.refresh()
    parts.refresh()
    assert parts.shared.mean == pytest.approx(whole.shared.mean)
