"""The share of similar askings: by hand on a handful, and nothing known too late."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.alike import PRIOR, share_of_alike

VISITS = {
    "return_count": 0.0, "return_chances": 0.0, "recent_sessions": 1.0, "days_since_last": 0.5, "session_events": 3.0,
}  # fmt: skip
Asking = tuple[int, int, int, float]  # ts, known_at, label, recent_sessions


def shares(askings: list[Asking], freeze_at: int | None = None) -> np.ndarray:
    frame = pd.DataFrame(askings, columns=["ts", "known_at", "label", "recent_sessions"])
    asked = frame[["ts", "known_at", "label"]].assign(horizon_days=7.0, gap_days=np.nan)
    visits = pd.DataFrame([VISITS] * len(askings)).assign(recent_sessions=frame.recent_sessions)
    return share_of_alike(asked, visits, freeze_at)


def test_a_handful_by_hand() -> None:
    first, second, third, last = shares(
        [(0, 10, 1, 1.0), (10, 20, 0, 1.0), (11, 30, 1, 1.0), (12, 99, 0, 3.0)]
    )
    assert first == second == 0.5  # at 10 nothing is known strictly before
    of_all = (1 + 2 * 0.5) / (1 + 2)
    levels = [of_all]
    for _ in range(6):  # horizon, gap and the rest, each shrunk towards the level above
        levels.append((1 + PRIOR * levels[-1]) / (1 + PRIOR))
    assert third == pytest.approx(levels[6])
    assert last == pytest.approx(levels[2])  # as long a horizon, but more visits: nothing more alike is known
    assert of_all < last < third


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
        assert shares(with_late_labels_turned(askings, ts))[k] == found[k]


@settings(max_examples=60)
@given(askings=ASKINGS, freeze_at=st.integers(0, 20))
def test_frozen_shares_hold_the_labels_known_before(askings: list[Asking], freeze_at: int) -> None:
    frozen = shares(askings, freeze_at)
    np.testing.assert_array_equal(frozen, shares(with_late_labels_turned(askings, freeze_at), freeze_at))
    early = np.array([ts <= freeze_at for ts, *_ in askings])
    np.testing.assert_array_equal(frozen[early], shares(askings)[early])
