"""A prepared data set: which numbers its lines say."""

import numpy as np
import pandas as pd
from small_logs import prepared, row

from genrec.dataset import Prepared
from genrec.statistics import COLUMNS


def sought() -> Prepared:
    """Ten users, one every half hour, are shown a and click it."""
    shown = [(f"u{k}", "a", 30 * k, e) for k in range(10) for e in ("impression", "click")]
    return prepared([row(*r) for r in shown], fractions=[0.5, 0.2, 0.3], by="time")


def test_running_lines_say_running_numbers_and_frozen_lines_frozen_ones() -> None:
    data = sought()
    assert data.lines_in("running") is data.lines
    running, frozen = data.lines, data.lines_in("frozen")
    assert running.item_count.tolist() == list(range(10))
    trained = int((data.lines.known_at < data.train_end).sum())
    assert 2 < trained < 8
    assert frozen.item_count.tolist() == [min(k, trained) for k in range(10)]
    for name in COLUMNS:
        np.testing.assert_array_equal(frozen[name], data.lines[f"frozen_{name}"])
    others = [c for c in data.lines if c not in COLUMNS]
    pd.testing.assert_frame_equal(frozen[others], data.lines[others])
