"""The share of similar askings: by hand on a handful, and nothing known too late."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec import alike
from genrec.alike import PRIOR, share_of_alike

VISITS = {
    "return_count": 0.0, "return_chances": 0.0, "recent_sessions": 1.0, "days_since_first": 8.0, "days_since_last": 0.5,
    "session_events": 3.0,
}  # fmt: skip
Asking = tuple[int, int, int, float]  # ts, known_at, label, recent_sessions


def shares(askings: list[Asking], freeze_at: int | None = None) -> np.ndarray:
    frame = pd.DataFrame(askings, columns=["ts", "known_at", "label", "recent_sessions"])
    asked = frame[["ts", "known_at", "label"]].assign(horizon_days=7.0, gap_days=np.nan)
    visits = pd.DataFrame([VISITS] * len(askings)).assign(recent_sessions=frame.recent_sessions)
    return share_of_alike(asked, visits, freeze_at)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "FEWEST", 1)


def test_a_handful_by_hand() -> None:
    first, second, third, fourth, last = shares(
        [(0, 10, 1, 1.0), (10, 20, 0, 3.0), (11, 30, 1, 1.0), (21, 40, 1, 1.0), (22, 99, 0, 4.0)]
    )
    assert np.isnan([first, second]).all()  # at 10 nothing is known strictly before
    assert third == (1 + 1) / (1 + 2)  # all that are known are as she is: no level says more than all of them
    of_all = (1 + 1) / (2 + 2)
    assert fourth == pytest.approx(
        (1 + PRIOR * of_all) / (1 + PRIOR)
    )  # one of the two has come once lately, as she
    assert last == of_all  # nobody who came four times lately is known


def test_recency_is_a_share_of_age_and_a_new_horizon_finds_those_who_are_alike() -> None:
    """Away for half of her time or more: never back. Ages and horizons differ."""
    n = 60
    visits = pd.DataFrame([VISITS] * (n + 2)).assign(
        days_since_first=[*range(10, 10 + n), 100, 100],
        days_since_last=[(0.1 if k % 2 else 0.8) * (10 + k) for k in range(n)] + [12.0, 81.0],
    )
    asked = pd.DataFrame(
        {
            "ts": range(n + 2), "known_at": range(1, n + 3), "label": [k % 2 for k in range(n)] + [0, 0],
            "horizon_days": [7.0 + k % 3 for k in range(n)] + [181.0] * 2, "gap_days": [np.nan] * n + [92.0] * 2,
        }
    )  # fmt: skip
    *_, there, away = share_of_alike(asked, visits)
    assert there > 0.75
    assert away < 0.25


def test_little_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "FEWEST", 3)
    found = shares([(k, k, 1, 1.0) for k in range(5)])
    assert np.isnan(found).tolist() == [True, True, True, False, False]


ASKINGS = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 12), st.integers(0, 1), st.sampled_from([1.0, 2.0, 5.0])
    ).map(lambda a: (a[0], a[0] + a[1], a[2], a[3])),
    min_size=1,
    max_size=12,
)


def with_late_labels_turned(askings: list[Asking], moment: int) -> list[Asking]:
    return [(ts, known, 1 - y if known >= moment else y, k) for ts, known, y, k in askings]


@settings(max_examples=60)
@given(askings=ASKINGS)
def test_a_label_known_at_or_after_an_askings_time_changes_nothing(askings: list[Asking]) -> None:
    found = shares(askings)
    for k, (ts, *_) in enumerate(askings):
        np.testing.assert_equal(shares(with_late_labels_turned(askings, ts))[k], found[k])


@settings(max_examples=60)
@given(askings=ASKINGS, freeze_at=st.integers(0, 20))
def test_frozen_shares_hold_the_labels_known_before(askings: list[Asking], freeze_at: int) -> None:
    frozen = shares(askings, freeze_at)
    np.testing.assert_array_equal(frozen, shares(with_late_labels_turned(askings, freeze_at), freeze_at))
    early = np.array([ts <= freeze_at for ts, *_ in askings])
    np.testing.assert_array_equal(frozen[early], shares(askings)[early])
