"""What a recommender answered on one split of one task, example by example: what every metric and test is made from.

Columns: row (of data.examples), task, user_id, item_id, ts, label, weight, and p (NaN: not scored); a choice task has
p as a list; ctcvr also click, convert, p_click and p_convert; an item task has rank (inf: not in the list, NaN: no
list) and items, the list itself.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from eval.recommender import ChainAnswer, ChainScorer, Floats, Ranker, Recommender, Rows, Scorer
from genrec.chain import CTCVR
from genrec.dataset import Prepared
from genrec.metrics import ranks

K = 10  # length of a list, where none is chosen


class Asked(NamedTuple):
    """rows (n,) of data.examples; left_out: examples of the split whose outcome had not matured."""

    rows: Rows
    left_out: int = 0


def asked(data: Prepared, task: str, split: str) -> Asked:
    """The rows that a task is judged on; for ctcvr those of the click task whose whole period has matured."""
    if task != CTCVR:
        return Asked(data.rows(task, split))
    rows = data.rows("click", split)
    examples = data.examples.iloc[rows]
    outcome = _conversions(data)
    clicked = (examples.label == 1).to_numpy()
    matured = (examples.impression.map(outcome.split).fillna("censored") == split).to_numpy()
    late = clicked & ~matured
    kept = ~late
    if data.reading.split.get("by", "time") == "last":  # the conversion's own last example may be another one
        kept &= ~examples.user_id.isin(set(examples.user_id[late])).to_numpy()
    elif late.any():  # leaving out clicks alone would make conversions look rarer than they are
        kept &= (examples.ts < examples.ts[late].min()).to_numpy()
    return Asked(rows[kept], int((~kept).sum()))


def _conversions(data: Prepared) -> pd.DataFrame:
    """The convert task's examples by impression."""
    examples = data.examples
    return examples[examples.task == "convert"].set_index("impression")


def as_task(data: Prepared, rows: Rows, task: str) -> Prepared:
    """The same moments asked of another task: its examples are these rows in their order, labels unknown (-1).

    P(convert | click) is asked of impressions that nobody clicked too, and there is no example of that.
    """
    examples = data.examples.iloc[rows].assign(task=task, label=-1).reset_index(drop=True)
    stats = {regime: frame.iloc[rows].reset_index(drop=True) for regime, frame in data.stats.items()}
    return replace(data, examples=examples, stats=stats)


def blank(data: Prepared, task: str, rows: Rows) -> pd.DataFrame:
    """The answers' columns but for the answers."""
    columns = ["user_id", "item_id", "ts", "label", "weight"]
    frame = data.examples.iloc[rows][columns].reset_index(drop=True)
    frame.insert(0, "row", rows)
    frame.insert(1, "task", task)
    if task == CTCVR:
        bought = (
            data.examples.iloc[rows].impression.map(_conversions(data).label).fillna(0).to_numpy(np.int64)
        )
        frame["click"] = frame.label
        frame["convert"] = frame.click * bought
        frame["label"] = frame.convert
    return frame


def answer(recommender: Recommender, data: Prepared, task: str, rows: Rows, k: int = K) -> pd.DataFrame:
    """Ask a fitted recommender. k: the length of its lists, in an item task.

    Raises TypeError if it does not answer this kind of task."""
    frame = blank(data, task, rows)
    if not len(rows):
        return frame.assign(p=np.zeros(0))
    if task == CTCVR:
        assert isinstance(recommender, Scorer)
        click, convert = _chain(recommender, data, rows)
        return frame.assign(p_click=click, p_convert=convert, p=click * convert)
    if data.tasks[task].kind == "item":
        if not isinstance(recommender, Ranker):
            raise TypeError(f"{recommender.name} ranks no items")
        lists = recommender.rank(data, rows, k)
        place = ranks([items or () for items in lists], frame.item_id.tolist())
        place[[items is None for items in lists]] = np.nan
        return frame.assign(rank=place, items=[None if items is None else list(items) for items in lists])
    if not isinstance(recommender, Scorer):
        raise TypeError(f"{recommender.name} gives no probabilities")
    p = np.asarray(recommender.predict(data, rows), dtype=np.float64)
    return frame.assign(p=list(p) if p.ndim == 2 else p)


def _chain(scorer: Scorer, data: Prepared, rows: Rows) -> tuple[Floats, Floats]:
    if isinstance(scorer, ChainScorer):
        return ChainAnswer(*scorer.predict_chain(data, rows))
    given_click = as_task(data, rows, "convert")
    return scorer.predict(data, rows), scorer.predict(given_click, np.arange(len(rows)))


def scored(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows that were answered."""
    if "rank" in answers:
        return answers[answers["rank"].notna()]
    missing = answers.p.map(lambda p: bool(np.isnan(p).any()))
    return answers[~missing.astype(bool)]
