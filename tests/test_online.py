"""Logistic regression, one outcome at a time."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from genrec.online import OnlineLogistic

TRUE = np.array([-0.5, 1.0, -2.0])
NOTHING = np.zeros(0)
LEVEL = np.ones(1)


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(n), draw.normal(size=(n, 2))])
    return x, (draw.random(n) < 1 / (1 + np.exp(-x @ TRUE))).astype(int)


def learned(x: np.ndarray, y: np.ndarray) -> OnlineLogistic:
    model = OnlineLogistic([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    for row, outcome in zip(x, y, strict=True):
        model.learn("u", row, NOTHING, int(outcome))
    return model


def test_one_outcome_by_hand() -> None:
    """The mean moves by the covariance that stands after the outcome: 4 - 16 x .25 / (1 + .25 x 4) = 2, times .5."""
    model = OnlineLogistic([0.0], [2.0])
    model.learn("u", np.ones(1), NOTHING, 1)
    assert model.shared.covariance.tolist() == [[2.0]]
    assert model.shared.mean.tolist() == [1.0]


def test_it_learns_a_relation_that_is_known() -> None:
    x, y = outcomes(4000)
    model = learned(x, y)
    np.testing.assert_allclose(model.shared.mean, TRUE, atol=0.2)
    assert np.sqrt(np.diag(model.shared.covariance)).max() < 0.1  # and how sure it is of it
    # One pass says what a fit to all outcomes at once says, with the same prior.
    at_once = LogisticRegression(C=1.0, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(model.shared.mean, at_once.coef_[0], atol=0.05)


def test_the_same_outcomes_in_the_same_order_give_the_same_weights() -> None:
    one, other = learned(*outcomes(200)), learned(*outcomes(200))
    np.testing.assert_array_equal(one.shared.mean, other.shared.mean)
    np.testing.assert_array_equal(one.shared.covariance, other.shared.covariance)


def test_before_any_outcome_the_start_speaks() -> None:
    model = OnlineLogistic([1.0, 0.0], [0.5, 0.5], [0.4])
    assert model.probability("u", np.array([0.0, 3.0]), LEVEL) == 0.5
    assert model.probability("u", np.array([2.0, 3.0]), LEVEL) == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert 0 < model.probability("u", np.array([-1e9, 0.0]), LEVEL) < 1e-12  # no overflow


def test_a_weight_of_three_is_worth_three_outcomes_to_first_order() -> None:
    x = np.array([1.0, 0.1])
    once, thrice = (OnlineLogistic([0.0, 0.0], [0.1, 0.1], [0.1]) for _ in range(2))
    once.learn("u", x, LEVEL, 1, weight=3.0)
    for _ in range(3):
        thrice.learn("u", x, LEVEL, 1)
    for one, three in ((once.shared, thrice.shared), (once.own["u"], thrice.own["u"])):
        np.testing.assert_allclose(one.mean, three.mean, rtol=0.03)
        np.testing.assert_allclose(one.covariance, three.covariance, rtol=0.001)


def test_a_user_who_differs_from_the_others_is_told_apart() -> None:
    """Half of the users always click what the others never do: nothing is shared, all of it is their own."""
    model = OnlineLogistic([0.0], [0.5], [1.0])
    for k in range(400):
        model.learn(f"u{k % 20}", np.ones(1), LEVEL, k % 2)
    assert model.probability("u1", np.ones(1), LEVEL) > 0.8
    assert model.probability("u2", np.ones(1), LEVEL) < 0.2
    assert model.probability("stranger", np.ones(1), LEVEL) == pytest.approx(0.5, abs=0.05)


def test_drift_lets_the_latest_outcomes_of_a_user_count_for_more() -> None:
    steady, drifting = (OnlineLogistic([0.0], [1e-6], [1.0], drift) for drift in (0.0, 0.1))
    for model in (steady, drifting):
        for k in range(80):
            model.learn("u", np.ones(1), LEVEL, int(k >= 60))
    said = [model.probability("u", np.ones(1), LEVEL) for model in (steady, drifting)]
    assert said[0] < 0.5 < said[1]


def test_on_a_view_only_that_users_own_weights_move() -> None:
    model = OnlineLogistic([0.0], [0.5], [1.0])
    for k in range(10):
        model.learn("u", np.ones(1), LEVEL, k % 2)
    before, view = model.probability("u", np.ones(1), LEVEL), model.aside()
    view.meet("guest", np.ones(1), LEVEL, 1)
    view.meet("u", np.ones(1), LEVEL, 1)
    assert view.probability("guest", np.ones(1), LEVEL) > model.probability("guest", np.ones(1), LEVEL)
    assert view.probability("u", np.ones(1), LEVEL) > before == model.probability("u", np.ones(1), LEVEL)
    assert view.shared is model.shared
    assert set(model.own) == {"u"}
