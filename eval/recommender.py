"""What the harness asks of anything that it measures: ours, a baseline, a file of predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from genrec.chain import CHAIN, CTCVR
from genrec.dataset import Prepared

Rows = NDArray[np.int64]  # row numbers of data.examples
Floats = NDArray[np.float64]


class Recommender(Protocol):
    """fit may learn from the train split and choose by the valid split; it never reads a test label.

    When it answers for a row it may look at: `data.stats[regime]` of that row, the item and user tables, and the
    user's lines with an index below the row's `point`. Nothing later.
    """

    name: str

    def fit(self, data: Prepared, regime: str) -> None: ...


@runtime_checkable
class Scorer(Recommender, Protocol):
    """Answers binary and choice tasks."""

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        """P(yes) (n,) of the examples of one task; (n, answers) for a choice. NaN = could not score."""


@runtime_checkable
class Ranker(Recommender, Protocol):
    """Answers item tasks."""

    def rank(self, data: Prepared, rows: Rows, k: int) -> Sequence[Sequence[str] | None]:
        """For each row at most k item ids, best first, none that the user has touched; None = could not rank."""


class ChainAnswer(NamedTuple):
    """P(click) and P(convert | click), each (n,)."""

    click: Floats
    convert: Floats


@runtime_checkable
class ChainScorer(Scorer, Protocol):
    """A scorer that answers both steps of the chain in one pass; others are asked twice."""

    def predict_chain(self, data: Prepared, rows: Rows) -> ChainAnswer:
        """rows are impressions: examples of the click task."""


class Searches(NamedTuple):
    """Searches of the catalog: how many were exact, how many a budget ended, and the sum of the latter's gaps, in
    nats."""

    exact: int = 0
    bounded: int = 0
    gaps: float = 0.0

    def and_one(self, gap: float) -> "Searches":
        return Searches(self.exact + (gap == 0), self.bounded + (gap > 0), self.gaps + gap)


class Work(NamedTuple):
    """questions: asked of the model so far. remembered: examples answered from memory, by the pass that asked them.
    searches: those that made its lists."""

    questions: int
    remembered: Mapping[str, int]
    searches: Searches = Searches()


@runtime_checkable
class Counting(Protocol):
    """A recommender one pass of which may answer more than was asked, so that its time says little by itself."""

    @property
    def work(self) -> Work: ...


@runtime_checkable
class Searched(Protocol):
    """A baseline whose settings the valid split chose, by task or once for all."""

    @property
    def chosen(self) -> Any: ...


def chosen_settings(recommender: Recommender, task: str) -> Any:
    """What the search chose for a task, as dicts and plain values, of the chain for each step; None of a recommender
    that searches nothing."""
    if not isinstance(recommender, Searched):
        return None
    chosen = recommender.chosen
    if not isinstance(chosen, dict):
        return _plain(chosen)
    steps = {step: chosen[step] for step in CHAIN if step in chosen}
    return _plain(steps or None) if task == CTCVR else _plain(chosen.get(task))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


@runtime_checkable
class Fingerprinted(Protocol):
    """A recommender whose predictions may be stored and found again."""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes an answer: weights, prompts, history policy, numeric type."""
