"""Metrics of answers, each with its interval by bootstrap over users; differences of two recommenders, paired."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eval.answers import K, scored
from genrec import bootstrap, metrics
from genrec.bootstrap import STATISTICS, Interval
from genrec.dataset import Prepared

Measured = dict[str, dict[str, float]]
BINARY = ("auc", "log_loss", "brier", "accuracy", "recall", "ece", "pcoc")
LIST = ("hit_rate", "ndcg", "mrr")
PAIRED = {"binary": ("auc", "log_loss"), "choice": ("accuracy", "log_loss"), "item": ("hit_rate", "ndcg")}


def kind_of(answers: pd.DataFrame) -> str:
    """binary | choice | item, read off the answers' columns."""
    if "rank" in answers:
        return "item"
    return "choice" if answers.p.dtype == object else "binary"


def binary(answers: pd.DataFrame, threshold: float | None, repeats: int, seed: int) -> Measured:
    """threshold: the one that accuracy was best at on the valid split, if there was one."""
    found, weights = scored(answers), scored(answers).weight.to_numpy()
    users, columns = found.user_id.to_numpy(), (found.label.to_numpy(), found.p.to_numpy())
    statistics = {name: STATISTICS[name] for name in BINARY}
    if threshold is not None:
        statistics["accuracy_at_valid_threshold"] = STATISTICS["accuracy"].at(threshold=threshold)
    measured = {
        name: _plain(
            bootstrap.interval(statistic, users, columns, weights=weights, repeats=repeats, seed=seed)
        )
        for name, statistic in statistics.items()
    }
    inside = metrics.user_auc(*columns, users, weights)
    for name, shares in {"gauc": inside.impressions, "uauc": None}.items():
        measured[name] = _plain(
            bootstrap.interval(
                "mean", inside.users, (inside.auc,), weights=shares, repeats=repeats, seed=seed
            )
        ) | {"users_left_out": inside.users_left_out}
    return measured


def choice(answers: pd.DataFrame, repeats: int, seed: int) -> Measured:
    """Accuracy of the likeliest answer and log loss over all answers."""
    return {
        name: _plain(
            bootstrap.interval(
                "mean", frame.user_id, (frame.value,), weights=frame.weight, repeats=repeats, seed=seed
            )
        )
        for name, frame in _choice_values(scored(answers)).items()
    }


def _choice_values(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    p = np.array(found.p.tolist(), dtype=np.float64)  # (n, answers)
    labels = found.label.to_numpy()
    hit = (p.argmax(1) == labels).astype(np.float64)
    loss = -np.log(np.clip(p[np.arange(len(p)), labels], 1e-15, 1.0))
    return {"accuracy": found.assign(value=hit), "log_loss": found.assign(value=loss)}


def item(
    answers: pd.DataFrame, data: Prepared, repeats: int, seed: int, ks: Sequence[int] = (K,)
) -> Measured:
    """Of the whole catalog, seen items masked; each metric at every k, all of which the lists must hold."""
    found = scored(answers)
    shown = [list(items) for items in found["items"]]
    catalog = data.tables.items["item_id"].to_pylist()
    measured: Measured = {}
    for k in ks:
        for name in LIST:
            measured[f"{name}@{k}"] = _plain(
                bootstrap.interval(
                    STATISTICS[name].at(k=k), found.user_id, (found["rank"],), weights=found.weight,
                    repeats=repeats, seed=seed,
                )
            )  # fmt: skip
        measured[f"coverage@{k}"] = {"value": metrics.coverage(shown, catalog, k=k)}
    return measured


def _plain(found: Interval) -> dict[str, float]:
    """plain: of what is corrected for its noise (ECE), the value before."""
    corrected = found.plain != found.value and not np.isnan(found.plain)
    plain = {"plain": found.plain} if corrected else {}
    return {"value": found.value, "low": found.low, "high": found.high, **plain}


def compare(
    a: pd.DataFrame, b: pd.DataFrame, repeats: int = 1000, seed: int = 0, k: int = K
) -> list[dict[str, Any]]:
    """a minus b on the examples that both answered: a row a metric, with the paired interval and whether a wins.

    k: of the metrics of lists.

    Raises ValueError if the two were not asked the same: another task, data set or label.
    """
    both = scored(a).merge(scored(b), on="row", suffixes=("", "_b"), validate="one_to_one").sort_values("row")
    for column in ("task", "user_id", "item_id", "ts", "label"):
        if not both[column].equals(both[f"{column}_b"].rename(column)):
            raise ValueError(f"the two answered different examples: {column} is not the same in all rows")
    kind = kind_of(a)
    out = []
    for name in PAIRED[kind]:
        statistic, labels, mine, theirs = _sides(kind, name, both, k)
        found = bootstrap.paired(
            statistic, both.user_id, labels, mine, theirs, weights=both.weight, repeats=repeats, seed=seed
        )
        shown = f"{name}@{k}" if kind == "item" else name
        out.append(
            {
                "metric": shown,
                "n": len(both),
                **{k: v for k, v in found._asdict().items() if k != "undefined"},
            }
        )
    return out


def _sides(kind: str, name: str, both: pd.DataFrame, k: int) -> tuple[Any, Any, Any, Any]:
    """The statistic, the labels it takes if any, and the two columns to compare."""
    if kind == "binary":
        return STATISTICS[name], both.label, both.p, both.p_b
    if kind == "item":
        return STATISTICS[name].at(k=k), None, both["rank"], both.rank_b
    mine = _choice_values(both)[name].value
    theirs = _choice_values(both.assign(p=both.p_b))[name].value
    better = bootstrap.Statistic(metrics.mean, "higher" if name == "accuracy" else "lower")
    return better, None, mine, theirs


def curves(answers: pd.DataFrame) -> Mapping[str, list[list[float]]]:
    """Reliability (mean p, rate, examples) and ROC (false, true positive rate) of a binary task."""
    found = scored(answers)
    columns, weights = (found.label.to_numpy(), found.p.to_numpy()), found.weight.to_numpy()
    return {
        "reliability": [list(point) for point in metrics.reliability(*columns, weights=weights)],
        "roc": [list(point) for point in metrics.roc(*columns, points=100, weights=weights)],
    }
