"""Intervals and paired tests count users, not rows: more rows of the same users, all alike, make nothing surer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_shop import shop

from eval.baselines.prior import Prior
from eval.harness import Ask, compare, evaluate
from eval.measures import binary, choice, item
from genrec.bootstrap import interval, paired

USERS = np.repeat([f"u{n}" for n in range(12)], 5)
RANDOM = np.random.default_rng(3)
LABELS = RANDOM.integers(0, 2, USERS.size)
GOOD, FAIR = (
    np.clip(0.5 + s * (LABELS - 0.5) + RANDOM.normal(0, 0.2, USERS.size), 0.01, 0.99) for s in (0.4, 0.2)
)
COPIES = 4


def copied(values: np.ndarray) -> np.ndarray:
    return np.tile(values, COPIES)


@pytest.mark.parametrize("name", ["auc", "log_loss", "accuracy", "pcoc"])
def test_an_interval_is_as_wide_with_every_row_four_times(name: str) -> None:
    once = interval(name, USERS, (LABELS, GOOD), repeats=60)
    assert interval(name, copied(USERS), (copied(LABELS), copied(GOOD)), repeats=60) == pytest.approx(once)
    assert once.low < once.value < once.high


@pytest.mark.parametrize("name", ["auc", "log_loss", "brier"])
def test_a_paired_interval_is_as_wide_with_every_row_four_times(name: str) -> None:
    once = paired(name, USERS, LABELS, GOOD, FAIR, repeats=60)
    often = paired(name, copied(USERS), copied(LABELS), copied(GOOD), copied(FAIR), repeats=60)
    assert often == pytest.approx(once)
    assert once.low < once.high


def answers(p: np.ndarray, times: int = 1) -> pd.DataFrame:
    """Of a binary task, as eval.answers has them."""
    n = USERS.size * times
    return pd.DataFrame(
        {
            "row": np.arange(n), "task": "click", "user_id": np.tile(USERS, times), "item_id": "i", "ts": np.arange(n),
            "label": np.tile(LABELS, times), "weight": 1.0, "p": np.tile(p, times),
        }
    )  # fmt: skip


def test_a_comparison_of_two_models_resamples_users() -> None:
    once, often = (compare(answers(GOOD, n), answers(FAIR, n), repeats=60) for n in (1, COPIES))
    for few, many in zip(once, often, strict=True):
        for end in ("difference", "low", "high"):
            assert many[end] == pytest.approx(few[end])
        assert many["n"] == COPIES * few["n"]


def ends(measured: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    return {name: [m["low"], m["value"], m["high"]] for name, m in measured.items() if "low" in m}


@pytest.mark.parametrize("kind", ["binary", "choice", "item"])
def test_the_figures_of_a_result_resample_users(kind: str) -> None:
    found = []
    for times in (1, COPIES):
        frame: Any = answers(GOOD, times)
        if kind == "binary":
            measured = binary(frame, 0.5, 60, 0)
            del measured["ece"]  # equal predictions of more rows are bound together
        elif kind == "choice":
            measured = choice(frame.assign(p=[[1 - p, p] for p in frame.p]), 60, 0)
        else:
            measured = item(
                frame.assign(rank=1 + (20 * frame.p).round(), items=[[]] * len(frame)), shop(), 60, 0
            )
        found.append(ends(measured))
    assert found[0].keys() == found[1].keys() != set()
    for name, once in found[0].items():
        assert found[1][name] == pytest.approx(once), name
        assert once[0] < once[2], name


def test_an_evaluation_weighs_examples_by_the_inverse_of_their_sampling_rate() -> None:
    """A row of weight three is three rows, in what is reported and in what is compared."""
    data = shop()
    rows = data.rows("click", "test")
    weights = data.examples.weight.copy()
    weights.iloc[rows] = np.where(data.examples.label.iloc[rows] == 1, 3.0, 1.0)
    heavy = replace(data, examples=data.examples.assign(weight=weights))
    model = Prior()
    model.fit(data, "running")
    done = evaluate(model, heavy, Ask("click", repeats=5))
    labels = data.examples.label.iloc[rows].to_numpy()
    share = 3 * labels.sum() / (3 * labels.sum() + (labels == 0).sum())
    p = model.predict(data, rows)[0]
    wanted = -(share * np.log(p) + (1 - share) * np.log(1 - p))
    assert done.result["metrics"]["log_loss"]["value"] == pytest.approx(wanted)
    half = done.answers.assign(p=0.5)
    (_, loss) = compare(done.answers, half, repeats=5)
    assert loss["difference"] == pytest.approx(wanted - np.log(2))
