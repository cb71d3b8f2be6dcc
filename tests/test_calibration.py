"""Calibration: recovers a known distortion, keeps the order, keeps ctcvr <= ctr, and says when it did nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit

from genrec.calibration import Calibration, ChainCalibration, fit_chain
from genrec.metrics import auc, log_loss, pcoc
from genrec.metrics.inputs import Floats

probabilities = arrays(np.float64, 20, elements=st.floats(0, 1))
lines = st.builds(Calibration, slope=st.floats(0.05, 20), intercept=st.floats(-30, 30))


def clicks(n: int = 20_000, seed: int = 0, middle: float = -1.0) -> tuple[Floats, Floats]:
    """Labels and their true probabilities."""
    random = np.random.default_rng(seed)
    p = expit(random.normal(middle, 1.2, size=n))
    return (random.random(n) < p) * 1.0, p


def funnel(n: int = 40_000, seed: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
    """click labels, convert labels (-1 without a click), true P(click), true P(convert | click)."""
    clicked, p_click = clicks(n, seed)
    bought, p_convert = clicks(n, seed + 1, middle=-0.5)
    return clicked, np.where(clicked == 1, bought, -1), p_click, p_convert


def test_a_distortion_in_log_odds_is_undone() -> None:
    labels, p = clicks()
    crooked = expit(2 * logit(p) + 1)  # undone by slope .5, intercept -.5
    found = Calibration.fit(labels, crooked)
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.intercept == pytest.approx(-0.5, abs=0.05)
    assert found.examples == labels.size
    assert found.note == ""


def test_no_other_line_has_less_log_loss_and_the_total_is_right() -> None:
    labels, p = clicks(3000)
    found = Calibration.fit(labels, p**2)
    best = log_loss(labels, found.apply(p**2))
    for slope, intercept in [(0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)]:
        near = Calibration(found.slope + slope, found.intercept + intercept)
        assert best < log_loss(labels, near.apply(p**2))
    assert pcoc(labels, found.apply(p**2)) == pytest.approx(1, abs=1e-4)


def test_weights_count_as_copies() -> None:
    labels, p = clicks(400)
    times = np.random.default_rng(1).integers(0, 4, labels.size)
    weighted = Calibration.fit(labels, p, weights=times)
    copied = Calibration.fit(np.repeat(labels, times), np.repeat(p, times))
    assert weighted.slope == pytest.approx(copied.slope, abs=1e-5)
    assert weighted.intercept == pytest.approx(copied.intercept, abs=1e-5)


def test_the_order_stays_and_so_does_auc() -> None:
    labels, p = clicks(2000)
    assert auc(labels, Calibration.fit(labels, p**3).apply(p)) == pytest.approx(auc(labels, p), abs=1e-12)


@given(lines, probabilities)
def test_what_comes_out_is_a_probability_in_the_same_order(line: Calibration, p: Floats) -> None:
    out = line.apply(np.sort(p))
    assert ((out >= 0) & (out <= 1)).all()
    assert (np.diff(out) >= 0).all()


def test_unscored_stays_unscored_and_is_never_fitted_on() -> None:
    assert np.isnan(Calibration(slope=2.0).apply([0.5, np.nan])).tolist() == [False, True]
    with pytest.raises(ValueError, match="unscored"):
        Calibration.fit([0, 1], [0.5, np.nan])


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ([0, 1] * 10, "not calibrated: 20 examples, fewer than 50"),
        ([1] * 80, "not calibrated: 80 yes of 80 examples, fewer than 5 of one answer"),
        ([1] * 3 + [0] * 77, "not calibrated: 3 yes of 80 examples, fewer than 5 of one answer"),
    ],
)
def test_with_too_little_to_go_on_nothing_changes_and_the_note_says_so(labels: list[int], note: str) -> None:
    p = np.linspace(0, 1, len(labels))
    found = Calibration.fit(labels, p)
    assert found == Calibration(examples=len(labels), note=note)
    assert (found.apply(p) == p).all()


def test_predictions_that_separate_or_mislead_validation_are_noted() -> None:
    p = np.linspace(0.01, 0.99, 100)
    assert "separate" in Calibration.fit(p > 0.5, p).note
    backwards = Calibration.fit(p < 0.5, p)
    assert backwards.slope > 0
    assert "do not rank" in backwards.note


def test_a_slope_that_would_turn_the_order_around_is_refused() -> None:
    for slope in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="slope > 0"):
            Calibration(slope=slope)


def test_both_kinds_survive_json() -> None:
    found = fit_chain(*funnel(2000))
    assert Calibration.from_json(json.loads(json.dumps(found.click.to_json()))) == found.click


# the chain


@given(lines, lines, probabilities, probabilities)
def test_ctcvr_never_exceeds_ctr(click: Calibration, convert: Calibration, p: Floats, q: Floats) -> None:
    chained = ChainCalibration(click, convert).apply(p, q)
    assert (chained.ctcvr <= chained.ctr).all()
    assert (chained.ctcvr <= chained.cvr).all()


def test_the_chain_undoes_both_distortions() -> None:
    clicked, bought, p_click, p_convert = funnel()
    found = fit_chain(clicked, bought, expit(logit(p_click) + 1), expit(0.5 * logit(p_convert) - 1))
    assert (found.click.slope, found.click.intercept) == pytest.approx((1, -1), abs=0.05)
    assert (found.convert.slope, found.convert.intercept) == pytest.approx((2, 2), abs=0.2)


def test_the_conversion_line_has_the_least_ctcvr_loss_over_all_impressions() -> None:
    clicked, bought, p_click, p_convert = funnel(5000)
    crooked = p_click**2 * 0.8  # no line in log-odds makes this right, so that the two losses differ
    found = fit_chain(clicked, bought, crooked, p_convert**2)
    both = (bought == 1) * 1.0
    best = log_loss(both, found.apply(crooked, p_convert**2).ctcvr)
    for slope, intercept in [(0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)]:
        near = Calibration(found.convert.slope + slope, found.convert.intercept + intercept)
        assert best < log_loss(both, ChainCalibration(found.click, near).apply(crooked, p_convert**2).ctcvr)
    assert best < log_loss(both, ChainCalibration(found.click).apply(crooked, p_convert**2).ctcvr)


def test_few_clicks_leave_the_conversion_as_it_is() -> None:
    clicked = np.array([1.0] * 20 + [0.0] * 100)
    found = fit_chain(clicked, clicked, np.linspace(0.9, 0.1, 120), np.full(120, 0.5))
    assert found.click.note != "" or found.click.slope != 1
    assert found.convert.note == "not calibrated: 20 clicks, fewer than 50"
    assert found.convert.slope == 1


def test_a_click_whose_conversion_has_not_matured_is_refused() -> None:
    clicked, bought, p_click, p_convert = funnel(500)
    bought[np.flatnonzero(clicked)[0]] = -1
    with pytest.raises(ValueError, match="have not matured"):
        fit_chain(clicked, bought, p_click, p_convert)
