"""Logistic regression, one outcome at a time."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from genrec.online import OnlineLogistic

TRUE = np.array([-0.5, 1.0, -2.0])


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(n), draw.normal(size=(n, 2))])
    return x, (draw.random(n) < 1 / (1 + np.exp(-x @ TRUE))).astype(int)


def learned(x: np.ndarray, y: np.ndarray) -> OnlineLogistic:
    model = OnlineLogistic([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    for row, outcome in zip(x, y, strict=True):
        model.learn(row, int(outcome))
    return model


def test_it_learns_a_relation_that_is_known() -> None:
    x, y = outcomes(4000)
    model = learned(x, y)
    np.testing.assert_allclose(model.mean, TRUE, atol=0.2)
    assert np.sqrt(np.diag(model.covariance)).max() < 0.1  # and how sure it is of it
    # One pass says what a fit to all outcomes at once says, with the same prior.
    at_once = LogisticRegression(C=1.0, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(model.mean, at_once.coef_[0], atol=0.05)


def test_the_same_outcomes_in_the_same_order_give_the_same_weights() -> None:
    one, other = learned(*outcomes(200)), learned(*outcomes(200))
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.covariance, other.covariance)


def test_before_any_outcome_the_start_speaks() -> None:
    model = OnlineLogistic([1.0, 0.0], [0.5, 0.5])
    assert model.probability(np.array([0.0, 3.0])) == 0.5
    assert model.probability(np.array([2.0, 3.0])) == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert 0 < model.probability(np.array([-1e9, 0.0])) < 1e-12  # no overflow


def test_a_weight_of_three_is_worth_three_outcomes_to_first_order() -> None:
    x = np.array([1.0, 0.1])
    once, thrice = OnlineLogistic([0.0, 0.0], [0.1, 0.1]), OnlineLogistic([0.0, 0.0], [0.1, 0.1])
    once.learn(x, 1, weight=3.0)
    for _ in range(3):
        thrice.learn(x, 1)
    np.testing.assert_allclose(once.mean, thrice.mean, rtol=0.02)
    np.testing.assert_allclose(once.covariance, thrice.covariance, rtol=0.001)
