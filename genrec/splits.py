"""Which examples train, choose and judge. An example whose window runs past the end of its split is censored."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from genrec.durations import DAY
from genrec.errors import UserError
from genrec.fields import misfit, refuse_unknown
from genrec.labels import hash_share
from genrec.reading import Reading
from genrec.tasks import SPLITS

WAYS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"time": {"fractions": (0.8, 0.1, 0.1)}, "last": {}, "users": {"folds": 10, "fold": 0}}
)  # that any log can be split, with what is meant where a split does not say it


def whole(split: Mapping[str, Any]) -> dict[str, Any]:
    """A split with all that it leaves unsaid. Raises UserError for what cannot be meant."""
    where, by = "reading.yaml, split", split.get("by", "time")
    if by not in {*WAYS, "given"}:
        raise UserError(f"Unknown split {by!r}", where=where, cure="use time, last, users or given")
    refuse_unknown(split, ["by", *WAYS.get(by, ())], where)
    said = {"by": by, **WAYS.get(by, {}), **split}
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in said.items()}
    for key, kind in (("fractions", [float]), ("folds", int), ("fold", int)):
        if key in said and (odd := misfit(said[key], kind, key)):
            cure = "give three numbers that sum to 1" if key == "fractions" else "give a whole number"
            raise UserError(f"split.{odd}", where=where, cure=cure)
    fractions = said.get("fractions", [1])
    if by == "time" and (len(fractions) != 3 or abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0):
        raise UserError(
            f"split.fractions is {fractions}", where=where, cure="give three numbers above 0 that sum to 1"
        )
    return said


def another(reading: Reading, split: Mapping[str, Any]) -> Reading:
    """A reading with another split, and a name that says so, as an adapter belongs to one split; itself if it has that
    split already. Raises UserError where the split was given with the data."""
    now, wanted = whole(reading.split), whole(split)
    if now == wanted:
        return reading
    if now["by"] == "given":
        raise UserError(
            "This data set's split was given with it", where=reading.name, cure="take it as it is"
        )
    way = f"fold-{wanted['fold']}-of-{wanted['folds']}" if wanted["by"] == "users" else wanted["by"]
    return replace(reading, name=f"{reading.name}-{way}", split=wanted)


def assign(
    examples: pd.DataFrame, split: Mapping[str, Any], end: int, stated: bool = False
) -> tuple[np.ndarray, int]:
    """(n,) split names or "censored", and the end of training in microseconds. end: until when the log was observed;
    stated: not only by its last event.

    by: time (fractions of the log, default) | last (each user's last and last but one) | users (k folds) | given
    (the example's own hint, as cut-offs carry it).
    """
    if examples.empty:
        raise UserError(
            "The log answers none of the tasks",
            where="tasks",
            cure="name tasks in the mapping whose events the log has",
        )
    split = whole(split)
    by = split["by"]
    if by == "time":
        return _by_time(examples, split["fractions"], end)
    if by == "last":
        return _by_last(examples, end)
    if by == "users":
        return _by_users(examples, split["folds"], split["fold"], end)
    return _as_given(examples, end + 1 if stated else end + DAY)


def _by_time(examples: pd.DataFrame, fractions: Any, end: int) -> tuple[np.ndarray, int]:
    """Global time: the boundaries are quantiles of the impressions' times (of all examples' where there are none)."""
    shown = (
        examples[examples.impression >= 0].drop_duplicates("impression").ts.to_numpy()
    )  # once, however many ask
    times = np.sort(shown if len(shown) else examples.ts.to_numpy())
    first = times[int(fractions[0] * len(times))]
    second = times[int((fractions[0] + fractions[1]) * len(times))]
    names = np.select([examples.ts < first, examples.ts < second], SPLITS[:2], SPLITS[2]).astype(object)
    closes = np.select([names == "train", names == "valid"], [first, second], end + 1)
    names[examples.known_at.to_numpy() >= closes] = "censored"
    return names, int(first)


def _by_last(examples: pd.DataFrame, end: int) -> tuple[np.ndarray, int]:
    """Leave-last-out, per task and user; other users' later events may train the model, as in the papers."""
    rank = examples.groupby(["task", "user_id"]).ts.rank(method="first", ascending=False)
    names = np.select([rank == 1, rank == 2], ["test", "valid"], "train").astype(object)
    names[examples.known_at.to_numpy() > end] = "censored"
    return names, end + 1


def _by_users(examples: pd.DataFrame, folds: int, fold: int, end: int) -> tuple[np.ndarray, int]:
    """k folds over users: fold `fold` tests, the next one chooses."""
    if folds < 3 or not 0 <= fold < folds:
        raise UserError(
            f"split.folds is {folds} and split.fold {fold}", cure="three folds or more, fold counts from 0"
        )
    bucket = examples.user_id.map(
        {u: int(hash_share(u) * folds) for u in examples.user_id.unique()}
    ).to_numpy()
    names = np.select([bucket == fold, bucket == (fold + 1) % folds], ["test", "valid"], "train").astype(
        object
    )
    names[examples.known_at.to_numpy() > end] = "censored"
    return names, end + 1


def _as_given(examples: pd.DataFrame, end: int) -> tuple[np.ndarray, int]:
    """The split that each example's cut-off names. Censored where its window closes after the first test question
    (for the test itself: after the log's end, which in a log of days is not before its last day's).

    end: the first moment, in microseconds UTC, that was not observed. A cut-off's window is over just before it closes.
    """
    names = np.where(np.isin(examples.hint, SPLITS), examples.hint, "censored").astype(object)
    known, ts = examples.known_at.to_numpy(), examples.ts.to_numpy()
    names[known > end] = "censored"
    if (tested := names == "test").any():
        names[~tested & (known > ts[tested].min())] = "censored"
    trained = known[names == "train"]
    return names, int(trained.max()) if len(trained) else end
