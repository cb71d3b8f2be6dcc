"""The figures of a result by hand where two ways of computing them differ: users and impressions, weights, bins."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from eval.measures import binary, choice, curves
from genrec.bootstrap import STATISTICS
from genrec.metrics import accuracy, best_threshold, ece


def answers(rows: Sequence[tuple[str, int, float, float]]) -> pd.DataFrame:
    """From (user, label, p, weight)."""
    users, labels, p, weights = zip(*rows, strict=True)
    return pd.DataFrame({"user_id": users, "label": labels, "p": p, "weight": weights})


# Ann's two are in order; of bob's four pairs two are; cyd has no "no".
THREE = [
    ("ann", 1, 0.9, 1), ("ann", 0, 0.1, 1),
    ("bob", 0, 0.6, 1), ("bob", 1, 0.4, 1), ("bob", 1, 0.5, 1), ("bob", 0, 0.3, 1),
    ("cyd", 1, 0.7, 1), ("cyd", 1, 0.8, 1),
]  # fmt: skip


def test_uauc_counts_users_and_gauc_their_impressions() -> None:
    found = binary(answers(THREE), None, 20, 0)
    assert found["uauc"]["value"] == pytest.approx((1 + 0.5) / 2)
    assert found["gauc"]["value"] == pytest.approx((2 * 1 + 4 * 0.5) / 6)
    assert found["uauc"]["users_left_out"] == found["gauc"]["users_left_out"] == 1


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier", "accuracy", "recall", "pcoc"])
def test_a_weight_of_three_is_three_rows(name: str) -> None:
    heavy = [(user, label, p, 3 if label else 1) for user, label, p, _ in THREE]
    often = [row for row in THREE for _ in range(3 if row[1] else 1)]
    found, wanted, plain = (binary(answers(rows), None, 20, 0)[name] for rows in (heavy, often, THREE))
    assert found["value"] == pytest.approx(wanted["value"])
    assert [found["low"], found["high"]] == pytest.approx([wanted["low"], wanted["high"]], nan_ok=True)
    if name not in ("auc", "recall"):
        assert found["value"] != pytest.approx(plain["value"])


def test_a_choice_weighs_too() -> None:
    frame = answers([("ann", 0, 0.0, 3), ("bob", 1, 0.0, 1)]).assign(p=[[0.9, 0.1], [0.8, 0.2]])
    found = choice(frame, 10, 0)
    assert found["accuracy"]["value"] == pytest.approx(3 / 4)
    assert found["log_loss"]["value"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.2)) / 4)


def test_ece_is_of_fifteen_bins_of_equal_mass() -> None:
    """Thirty predictions, the higher the further apart: each two of them are a bin."""
    labels, p = np.array([0, 1, 1, 0, 0, 1, 0, 0, 1, 1] * 3), np.linspace(0.1, 0.98, 30) ** 2
    wanted = float(np.abs(p.reshape(15, 2).mean(1) - labels.reshape(15, 2).mean(1)).mean())
    assert STATISTICS["ece"].compute(labels, p) == pytest.approx(wanted)
    others = [ece(labels, p, bins=bins) for bins in (10, 14, 16, 20)] + [ece(labels, p, by="width")]
    assert wanted not in [pytest.approx(other) for other in others]


def test_the_points_of_a_reliability_diagram_are_the_bins_of_ece() -> None:
    rows = [(f"u{n}", n % 3 == 0, n / 60, 1 + n % 2) for n in range(60)]
    frame = answers([(user, int(label), p, weight) for user, label, p, weight in rows])
    points = np.array(curves(frame)["reliability"])
    assert len(points) == 15
    assert points[:, 2].sum() == pytest.approx(frame.weight.sum())
    error = (points[:, 2] * np.abs(points[:, 0] - points[:, 1])).sum() / points[:, 2].sum()
    assert ece(frame.label, frame.p, weights=frame.weight) == pytest.approx(error)


def test_of_thresholds_that_are_equally_good_the_one_nearest_to_one_half_is_chosen() -> None:
    labels, p = [0, 1, 0, 1], [0.01, 0.02, 0.6, 0.7]
    assert accuracy(labels, p, threshold=0.02) == accuracy(labels, p, threshold=0.7) == 0.75
    assert best_threshold(labels, p) == 0.7
