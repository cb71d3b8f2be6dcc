"""One harness for every recommender: ask, measure with intervals, calibrate on valid, compare in pairs.

    model = Gbdt(); model.fit(data, "running")
    done = evaluate(model, data, Ask("click"))           done.result: a dict for eval/results_file.py
    compare(done.answers, other.answers)                 paired intervals of any two recommenders

Every choice (threshold, calibration) is made on the valid split; the test split is read once, by `evaluate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from eval import measures
from eval.answers import K, asked, scored
from eval.calibrated import Line, apply_line, fit_chain_line, fit_line
from eval.cost import cost
from eval.measures import compare
from eval.protocols import protocol_of
from eval.recommender import Recommender, chosen_settings
from eval.sampling import Sample, draw
from eval.store import Store
from genrec import metrics
from genrec.calibration import Calibration
from genrec.chain import CHAIN, CTCVR, chained
from genrec.dataset import Prepared
from genrec.errors import UserError

__all__ = ["Ask", "Evaluation", "compare", "evaluate"]


@dataclass(frozen=True)
class Ask:
    """What is measured. rows: examples to sample (eval/sampling.py), None for all; valid_rows: the same of valid;
    users: how many users they are of, None where it does not matter.

    ks: of the metrics of lists; lists are as long as the greatest of them. repeats: of the bootstrap. seed: of sample
    and bootstrap; the model's own seed is the model's affair.
    """

    task: str
    split: str = "test"
    regime: str = "running"
    rows: int | None = None
    valid_rows: int | None = None
    users: int | None = None
    ks: tuple[int, ...] = (K,)
    seed: int = 0
    repeats: int = 1000


class Evaluation(NamedTuple):
    """result: figures alone, JSON-ready; answers: example by example (eval/answers.py), for paired tests; lines: by
    task the calibrations that were fitted, to be kept: those of click and convert always together."""

    result: dict[str, Any]
    answers: pd.DataFrame
    lines: Mapping[str, Calibration] = MappingProxyType({})


def tasks(data: Prepared) -> list[str]:
    """What can be measured on a data set: its tasks but for free text, and ctcvr where there is the chain."""
    own = [task.name for task in data.tasks.values() if task.kind != "text"]
    return own + [CTCVR] * chained(data.tasks)


def evaluate(recommender: Recommender, data: Prepared, ask: Ask, store: Store | None = None) -> Evaluation:
    """Measure a fitted recommender on one task and split.

    Binary tasks and ctcvr are reported raw and, on the test split, calibrated on valid. Examples that it could not
    score are counted in `unscored` and left out of the metrics. Raises UserError for an unknown task, or a split
    without examples.
    """
    if ask.task not in tasks(data):
        raise UserError(f"No task {ask.task!r}", cure=f"use one of: {', '.join(tasks(data))}")
    store = store or Store(None)
    answers, drawn, left_out = _answers(recommender, data, ask, ask.split, store)
    if answers.empty:
        raise UserError(
            f"Task {ask.task!r} has no examples in the {ask.split} split",
            where=data.name,
            cure="use another split, or a longer log",
        )
    result = _about(recommender, data, ask, answers, drawn, left_out)
    kind = measures.kind_of(answers)
    if kind == "binary":
        valid, fitted = (None, None) if ask.split == "valid" else _fitted(recommender, data, ask, store)
        result |= _binary(answers, valid, fitted, ask)
        return Evaluation(result, answers, fitted.kept if fitted else {})
    if kind == "choice":
        result["metrics"] = measures.choice(answers, ask.repeats, ask.seed)
    else:
        result["metrics"] = measures.item(answers, data, ask.repeats, ask.seed, ask.ks)
    return Evaluation(result, answers)


def calibrations(
    recommender: Recommender, data: Prepared, ask: Ask, store: Store | None = None
) -> Mapping[str, Calibration]:
    """By task the lines that the valid split gives a binary task, to be kept; none for other tasks.

    On the test split `evaluate` has reported what they do there. On the valid split it reports none of it, since a line
    is no judge of the examples that it was fitted on.
    """
    if ask.task != CTCVR and data.tasks[ask.task].kind != "binary":
        return {}
    bound = ask.rows if ask.split == "valid" else ask.valid_rows
    fitted = _fitted(recommender, data, replace(ask, split="valid", rows=bound), store or Store(None))[1]
    return fitted.kept if fitted else {}


class _Fitted(NamedTuple):
    """line: of the task at hand; on: the task whose answers it was fitted on; kept: as Evaluation.lines."""

    line: Line
    on: str
    kept: Mapping[str, Calibration]


def _fitted(
    recommender: Recommender, data: Prepared, ask: Ask, store: Store
) -> tuple[pd.DataFrame, _Fitted | None]:
    """The answers to the valid split, and the line from them; None where nothing was answered."""
    valid = _answers(recommender, data, ask, "valid", store)[0]
    if scored(valid).empty:
        return valid, None
    if chained(data.tasks) and ask.task in (*CHAIN, CTCVR):
        whole = replace(ask, task=CTCVR)
        answers = valid if ask.task == CTCVR else _answers(recommender, data, whole, "valid", store)[0]
        if chain := fit_chain_line(answers):
            kept = {name: getattr(chain, name) for name in CHAIN}
            return valid, _Fitted(kept.get(ask.task, chain), CTCVR, kept)
    line = fit_line(ask.task, valid)
    return valid, _Fitted(line, ask.task, {ask.task: line} if isinstance(line, Calibration) else {})


def _answers(
    recommender: Recommender, data: Prepared, ask: Ask, split: str, store: Store
) -> tuple[pd.DataFrame, Sample, int]:
    rows, left_out = asked(data, ask.task, split)
    wanted = ask.valid_rows if split == "valid" and ask.split != "valid" else ask.rows
    lists = ask.task != CTCVR and data.tasks[ask.task].kind == "item"
    drawn = draw(data, rows, wanted, ask.seed, lists, ask.users)
    answers = store.answers(recommender, data, ask.task, ask.regime, drawn.rows, max(ask.ks))
    return answers, drawn, left_out


def _about(
    recommender: Recommender, data: Prepared, ask: Ask, answers: pd.DataFrame, drawn: Sample, left_out: int
) -> dict[str, Any]:
    judged, kind = scored(answers), measures.kind_of(answers)
    return {
        "task": ask.task,
        "data": data.name,
        "split": ask.split,
        "split_by": dict(data.reading.split),
        "protocol": protocol_of(data),
        "regime": ask.regime,
        "model": recommender.name,
        "settings": chosen_settings(recommender, ask.task),
        "seed": ask.seed,
        "n": len(answers),
        "n_users": int(answers.user_id.nunique()),
        "sampled": bool(drawn.by),
        "sampled_by": drawn.by,
        "sampled_of": drawn.of,
        "sampled_per_user": drawn.most,
        "positives": int((judged.label == 1).sum()) if kind == "binary" else None,
        "unscored": len(answers) - len(judged),
        "left_out": left_out,
        "cost": cost(answers.attrs, ask.task, len(answers), lists=kind == "item"),
        "paired": [],
    }


def _binary(
    answers: pd.DataFrame, valid: pd.DataFrame | None, fitted: _Fitted | None, ask: Ask
) -> dict[str, Any]:
    if valid is None or fitted is None:
        return {
            "metrics": measures.binary(answers, None, ask.repeats, ask.seed),
            "curves": measures.curves(answers),
        }
    calibrated = apply_line(fitted.line, answers)
    threshold = _threshold(valid)
    return {
        "metrics": measures.binary(answers, threshold, ask.repeats, ask.seed),
        "curves": measures.curves(answers),
        "threshold": threshold,
        "calibrated": _calibrated(fitted, calibrated, _threshold(apply_line(fitted.line, valid)), ask),
    }


def _calibrated(fitted: _Fitted, answers: pd.DataFrame, threshold: float, ask: Ask) -> dict[str, Any]:
    return {
        "line": fitted.line.to_json(),
        "fitted_on": fitted.on,
        "threshold": threshold,
        "metrics": measures.binary(answers, threshold, ask.repeats, ask.seed),
        "curves": {"reliability": measures.curves(answers)["reliability"]},
    }


def _threshold(valid: pd.DataFrame) -> float:
    found = scored(valid)
    return metrics.best_threshold(found.label, found.p, weights=found.weight)
