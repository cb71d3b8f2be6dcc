"""Every metric against numbers worked out by hand, scikit-learn where it has the same metric, and its invariants."""

import doctest
import importlib
import math
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, brier_score_loss, recall_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

import genrec.metrics
from genrec.metrics import (
    accuracy,
    auc,
    best_threshold,
    brier,
    coverage,
    ece,
    gauc,
    hit_rate,
    log_loss,
    mean,
    mrr,
    ndcg,
    pcoc,
    ranks,
    recall,
    reliability,
    roc,
    uauc,
    user_auc,
)
from genrec.metrics.inputs import Floats

NEVER = math.inf


@st.composite
def scored(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Labels with both classes and probabilities with many ties."""
    n = draw(st.integers(2, 40))
    labels = draw(arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])))
    labels[:2] = (0, 1)
    grid = draw(arrays(np.int64, n, elements=st.integers(0, 20)))
    return labels, grid / 20


def random_examples(n: int = 500) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(3)
    p = random.random(n).round(2)  # rounding makes ties
    return (
        (random.random(n) < p).astype(np.float64),
        np.clip(p, 0.01, 0.99),
        random.integers(0, 4, n).astype(np.float64),
    )


# AUC and its relatives


def test_auc_counts_the_pairs_in_order() -> None:
    # yes .8, .5, .3 against no .5, .4: right 2 + 1.5 + 0 of 6 pairs
    assert auc([1, 1, 1, 0, 0], [0.8, 0.5, 0.3, 0.5, 0.4]) == pytest.approx(3.5 / 6)
    assert auc([0, 1], [-3.0, 12.0]) == 1.0  # scores need not be probabilities
    assert math.isnan(auc([1, 1], [0.2, 0.3]))
    assert math.isnan(auc([], []))


@given(scored())
def test_auc_depends_on_the_order_of_scores_alone(examples: tuple[Floats, Floats]) -> None:
    labels, p = examples
    assert auc(labels, np.exp(3 * p) - 7) == pytest.approx(auc(labels, p), abs=1e-12)
    assert auc(labels, -p) == pytest.approx(1 - auc(labels, p), abs=1e-12)
    assert auc(labels[::-1], p[::-1]) == pytest.approx(auc(labels, p), abs=1e-12)


def test_gauc_weighs_users_by_impressions_and_counts_those_left_out() -> None:
    labels = [1, 0, 0, 1, 1, 0, 1, 1]
    p = [0.9, 0.1, 0.6, 0.4, 0.5, 0.3, 0.7, 0.8]
    users = ["a", "a", "b", "b", "b", "b", "c", "c"]
    # a: 1 of 1 pair, 2 impressions. b: yes .4, .5 against no .6, .3: 2 of 4, 4 impressions. c has no "no".
    assert uauc(labels, p, users) == (0.75, 2, 1)
    assert gauc(labels, p, users) == pytest.approx(((2 * 1 + 4 * 0.5) / 6, 2, 1))
    each = user_auc(labels, p, users)
    assert each.users.tolist() == ["a", "b"]
    assert each.impressions.tolist() == [2, 4]
    weights = [1, 1, 2, 1, 3, 1, 1, 1]  # as if b's first example stood there twice and its third three times
    twice = [k for k, weight in enumerate(weights) for _ in range(weight)]
    weighted = user_auc(labels, p, users, weights)
    repeated = user_auc(*(np.array(column)[twice] for column in (labels, p, users)))
    assert weighted.auc == pytest.approx(repeated.auc)
    assert weighted.auc != pytest.approx(each.auc)
    assert weighted.impressions.tolist() == repeated.impressions.tolist() == [2, 7]
    assert user_auc([], [], []).users_left_out == 0
    nobody = uauc([1, 1], [0.1, 0.2], ["a", "b"])
    assert math.isnan(nobody.value)
    assert nobody[1:] == (0, 2)


def test_roc_goes_from_corner_to_corner_through_every_threshold() -> None:
    curve = roc([1, 1, 0, 1, 0], [0.9, 0.8, 0.8, 0.3, 0.1])
    assert np.allclose(curve, [(0, 0), (0, 1 / 3), (0.5, 2 / 3), (0.5, 1), (1, 1)])
    assert roc([1, 1], [0.1, 0.2]) == []


def test_a_long_roc_is_thinned_without_losing_its_shape() -> None:
    random = np.random.default_rng(0)
    p = random.random(5000)
    labels = random.random(5000) < p**3
    curve = np.array(roc(labels, p))
    assert 100 < len(curve) <= 200
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    assert (np.diff(curve, axis=0) >= 0).all()
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(auc(labels, p), abs=1e-3)


# probabilities


def test_log_loss_and_brier_by_hand() -> None:
    assert log_loss([1, 0, 1], [0.5, 0.75, 0.25]) == pytest.approx((math.log(2) + 2 * math.log(4)) / 3)
    assert brier([1, 0, 1], [0.5, 0.75, 0.25]) == pytest.approx((0.25 + 0.5625 + 0.5625) / 3)
    assert log_loss([1, 0], [0.0, 1.0]) == pytest.approx(15 * math.log(10), rel=1e-3)  # dear, never infinite


def test_pcoc_is_the_ratio_of_totals() -> None:
    assert pcoc([1, 0, 0, 0], [0.5, 0.5, 0.25, 0.25]) == pytest.approx(1.5)
    assert math.isnan(pcoc([0, 0], [0.5, 0.5]))


def test_reliability_and_ece_by_hand() -> None:
    labels, p = [0, 1, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.7, 0.9]
    bins = reliability(labels, p, bins=3)
    assert np.allclose(bins, [(0.15, 0.5, 2), (0.45, 0.5, 2), (0.8, 1.0, 2)])
    assert ece(labels, p, bins=3) == pytest.approx((0.35 + 0.05 + 0.2) / 3)
    wide = reliability(labels, p, bins=2, by="width")
    assert np.allclose(wide, [(0.2, 1 / 3, 3), (2.2 / 3, 1.0, 3)])
    assert ece(labels, p, bins=2, by="width") == pytest.approx((0.4 / 3 + 0.8 / 3) / 2)
    assert math.isnan(ece([], []))


def test_one_prediction_for_all_makes_one_bin() -> None:
    assert [tuple(b) for b in reliability([1, 0, 0, 0], [0.5] * 4)] == [(0.5, 0.25, 4)]
    assert ece([1, 0, 0, 0], [0.5] * 4) == 0.25


@given(scored())
def test_bins_hold_every_example_once_and_order_never_matters(examples: tuple[Floats, Floats]) -> None:
    labels, p = examples
    bins = reliability(labels, p, bins=7)
    assert sum(b.n for b in bins) == len(labels)
    assert sum(b.n * b.rate for b in bins) == pytest.approx(labels.sum())
    assert ece(labels[::-1], p[::-1]) == pytest.approx(ece(labels, p), abs=1e-12)


def test_accuracy_and_recall_at_a_threshold() -> None:
    labels, p = [1, 1, 0, 0, 1], [0.9, 0.4, 0.5, 0.1, 0.5]
    assert accuracy(labels, p) == pytest.approx(3 / 5)  # .5 says yes
    assert accuracy(labels, p, threshold=0.4) == pytest.approx(4 / 5)
    assert recall(labels, p) == pytest.approx(2 / 3)
    assert recall(labels, p, threshold=0.6) == pytest.approx(1 / 3)
    assert math.isnan(recall([0, 0], [0.5, 0.5]))


@given(scored())
def test_no_threshold_beats_the_best_one(examples: tuple[Floats, Floats]) -> None:
    labels, p = examples
    best = accuracy(labels, p, threshold=best_threshold(labels, p))
    assert best >= max(accuracy(labels, p, threshold=t) for t in np.linspace(0, 1.05, 43)) - 1e-12


def test_the_best_threshold_may_be_never_to_say_yes() -> None:
    assert best_threshold([0, 0, 0, 1], [0.1, 0.9, 1.0, 0.2]) > 1
    assert best_threshold([], []) == 0.5


def test_scikit_learn_agrees() -> None:
    labels, p, weights = random_examples()
    assert auc(labels, p) == pytest.approx(roc_auc_score(labels, p), abs=1e-12)
    assert log_loss(labels, p) == pytest.approx(sklearn_log_loss(labels, p), abs=1e-12)
    assert brier(labels, p) == pytest.approx(brier_score_loss(labels, p), abs=1e-12)
    yes = p >= 0.4
    for w in (None, weights):
        shared = {"sample_weight": w}
        assert auc(labels, p, weights=w) == pytest.approx(roc_auc_score(labels, p, **shared), abs=1e-12)
        assert log_loss(labels, p, weights=w) == pytest.approx(
            sklearn_log_loss(labels, p, **shared), abs=1e-12
        )
        assert brier(labels, p, weights=w) == pytest.approx(brier_score_loss(labels, p, **shared), abs=1e-12)
        assert accuracy(labels, p, 0.4, w) == pytest.approx(accuracy_score(labels, yes, **shared), abs=1e-12)
        assert recall(labels, p, 0.4, w) == pytest.approx(recall_score(labels, yes, **shared), abs=1e-12)


@pytest.mark.parametrize("metric", [auc, log_loss, brier, accuracy, recall, ece, pcoc])
def test_a_whole_weight_is_the_example_that_many_times(metric: object) -> None:
    assert callable(metric)
    labels, p, weights = random_examples()
    times = weights.astype(int)
    repeated = metric(np.repeat(labels, times), np.repeat(p, times))
    assert metric(labels, p, weights=weights) == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize("metric", [auc, log_loss, brier, accuracy, recall, ece, pcoc, reliability, roc])
def test_an_unscored_example_is_an_error_and_never_a_zero(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=r"1 of 3 predictions are NaN \(unscored\)"):
        metric([1, 0, 1], [0.5, np.nan, 0.2])
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        metric([1, -1, 1], [0.5, 0.1, 0.2])
    with pytest.raises(ValueError, match="3 labels but 2 predictions"):
        metric([1, 0, 1], [0.5, 0.1])


def test_probabilities_outside_0_and_1_and_negative_weights_are_errors() -> None:
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]"):
        log_loss([1, 0], [1.5, 0.2])
    with pytest.raises(ValueError, match="must not be negative"):
        auc([1, 0], [0.5, 0.2], weights=[1, -1])
    with pytest.raises(ValueError, match="one dimension"):
        brier([[1, 0]], [[0.5, 0.2]])


# lists


def test_ranks_are_places_in_the_list() -> None:
    assert ranks([["x", "y"], ["y", "z", "x"], []], ["x", "x", "x"]).tolist() == [1, 3, NEVER]
    with pytest.raises(ValueError, match="2 targets but 1 lists"):
        ranks([["x"]], ["x", "y"])


def test_list_metrics_by_hand() -> None:
    places = [1, 2, 4, NEVER]
    assert hit_rate(places, k=3) == 0.5
    assert hit_rate(places, k=4) == 0.75
    assert ndcg(places, k=3) == pytest.approx((1 + 1 / math.log2(3)) / 4)
    assert mrr(places, k=3) == pytest.approx((1 + 1 / 2) / 4)
    assert mrr(places, k=10) == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    assert mrr(places, k=10, weights=[1, 0, 0, 1]) == 0.5


@pytest.mark.parametrize("metric", [hit_rate, ndcg, mrr])
def test_a_list_that_was_never_made_is_an_error_and_never_a_miss(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="ranks are NaN"):
        metric([1, np.nan])
    with pytest.raises(ValueError, match="count from 1"):
        metric([0, 1])
    with pytest.raises(ValueError, match="k must be"):
        metric([1], k=0)
    assert math.isnan(metric([]))


@given(st.lists(st.one_of(st.integers(1, 30), st.just(NEVER)), min_size=1), st.integers(1, 30))
def test_a_hit_counts_most_for_hr_and_least_for_mrr(places: list[float], k: int) -> None:
    assert mrr(places, k) <= ndcg(places, k) + 1e-12
    assert ndcg(places, k) <= hit_rate(places, k) + 1e-12
    assert hit_rate(places, k) <= hit_rate(places, k + 1)


def test_coverage_is_a_share_of_the_whole_catalog() -> None:
    shown = [["a", "b", "c"], ["b", "a"], []]
    assert coverage(shown, ["a", "b", "c", "d", "e"], k=2) == pytest.approx(2 / 5)
    assert coverage(shown, ["a", "b", "c", "d", "e"], k=3) == pytest.approx(3 / 5)
    assert coverage(np.array([[1, 2], [2, 3]]), [1, 2, 3, 4], k=2) == 0.75
    with pytest.raises(ValueError, match="1 recommended items are not in the catalog, such as 'c'"):
        coverage(shown, ["a", "b"], k=3)


def test_mean_of_nothing_is_not_a_number() -> None:
    assert math.isnan(mean([]))
    assert math.isnan(mean([1.0], weights=[0]))
    assert mean([2.0, 4.0], weights=[1, 3]) == 3.5


# documentation


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(genrec.metrics.__path__)])
def test_the_example_in_each_docstring_runs(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"genrec.metrics.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_everything_named_in_the_room_is_there() -> None:
    assert all(hasattr(genrec.metrics, name) for name in genrec.metrics.__all__)
    assert genrec.metrics.__all__ == sorted(genrec.metrics.__all__)
