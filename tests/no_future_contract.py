"""What every recommender that eval measures promises: nothing that happens later changes what it answers.

Everything from a moment on is replaced by other events, the log is prepared again, the recommender fitted again: every
question of before that moment has the same answer. With frozen statistics nothing that other users do after training
changes an answer at any time.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eval.answers import answer, asked
from eval.recommender import Recommender
from genrec.dataset import REGIMES, Prepared, prepare
from genrec.reading import Loaded
from genrec.sources import simulator
from genrec.tables import Tables
from genrec.tasks import load_tasks
from prompts.pack import TASKS

Make = Callable[[], Recommender]
MINUTE, HOUR = 60_000_000, 3_600_000_000
SPLIT = {"by": "time", "fractions": [0.4, 0.2, 0.4]}  # windows of a week close in each part
CHANGING = ["user_id", "item_id", "ts"]
KEY = ["user_id", "item_id", "ts", "number"]
ANSWERS = ("p", "p_click", "p_convert", "items")


@cache
def log() -> Loaded:
    """40 users, 25 items, 46 days of a simulated shop."""
    loaded = simulator.load(users=40, items=25, days=46)
    return loaded._replace(reading=replace(loaded.reading, split=SPLIT))


@cache
def shop() -> Prepared:
    return _prepared(log())


@cache
def moment() -> int:
    """Some days after the first question of the test split."""
    times = shop().examples.ts.to_numpy()[shop().rows("click", "test")]
    return int(np.quantile(times, 0.4))


@cache
def another_future() -> Prepared:
    """The same log up to `moment`."""
    return _prepared(redrawn(log(), moment(), ()))


@cache
def kept_users() -> tuple[str, ...]:
    return tuple(sorted(shop().tables.users["user_id"].to_pylist())[::2])


@cache
def other_users_do_otherwise() -> Prepared:
    """The same log up to the test split's first moment, by which it is cut; after that only half of the users do what
    they did."""
    first = int(shop().examples.ts.to_numpy()[shop().rows("click", "test")].min())
    return _prepared(redrawn(log(), first + 1, kept_users()))


def _prepared(loaded: Loaded) -> Prepared:
    return prepare(loaded, load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels))


def redrawn(loaded: Loaded, start: int, keep: Collection[str]) -> Loaded:
    """The log with as many impressions, clicks, conversions and visits, but other ones from `start` on, of all but the
    users to keep. The log's last moment stays."""
    frame = loaded.tables.events.to_pandas()
    frame["ts"] = loaded.tables.events["ts"].cast(pa.int64()).to_numpy()
    gone = (frame.ts >= start) & ~frame.user_id.isin(set(keep))
    counts, end = frame[gone].event.value_counts(), int(frame.ts.max())
    random = np.random.default_rng(0)
    users = [user for user in frame.user_id.unique() if user not in set(keep)]
    items = loaded.tables.items["item_id"].to_pylist()

    def drawn(event: str, n: int, **columns: object) -> pd.DataFrame:
        rows = pd.DataFrame({"event": event, **columns}, index=range(n))
        return rows.assign(event_id=[f"{event}-{k}" for k in range(n)], ts=rows.ts.clip(upper=end))

    n = int(counts["impression"])
    shown = drawn(
        "impression", n, user_id=random.choice(users, n), item_id=random.choice(items, n),
        ts=random.integers(start, end, n), request_id=[f"new-{k}" for k in range(n)],
    )  # fmt: skip
    clicked = shown.iloc[random.choice(n, counts["click"], replace=False)][CHANGING].reset_index(drop=True)
    clicks = drawn("click", len(clicked), **{**clicked, "ts": clicked.ts + MINUTE})
    bought = clicks.iloc[random.choice(len(clicks), counts["convert"])][CHANGING].reset_index(drop=True)
    converts = drawn("convert", len(bought), **{**bought, "ts": bought.ts + HOUR})
    n = int(counts["visit"])
    visits = drawn("visit", n, user_id=random.choice(users, n), ts=random.integers(start, end, n))
    visits.loc[0, "ts"] = end
    whole = pd.concat([frame[~gone], shown, clicks, converts, visits], ignore_index=True)
    schema = loaded.tables.events.schema
    events = pa.Table.from_pandas(whole.assign(ts=whole.ts.astype(np.int64)), preserve_index=False)
    events = pa.table({field.name: events[field.name].cast(field.type) for field in schema}, schema=schema)
    return loaded._replace(tables=Tables(events, loaded.tables.items, loaded.tables.users))


def rows_of_test(data: Prepared, task: str) -> pd.DataFrame:
    """KEY and row of the test split's questions."""
    rows = asked(data, task, "test").rows
    found = data.examples.iloc[rows][CHANGING].assign(row=rows)
    return found.assign(number=found.groupby(CHANGING).cumcount())


def answered(made: Recommender, data: Prepared, task: str, rows: np.ndarray) -> list[list[Any]]:
    """By answer column."""
    frame = answer(made, data, task, rows)
    return [frame[column].tolist() for column in ANSWERS if column in frame]


class SeesNoFuture:
    """A subclass gives the recommenders of a task. tolerance: between probabilities. most, lists: questions of a task
    with answers, and of items."""

    tasks: ClassVar[tuple[str, ...]] = ("click", "convert", "ctcvr", "return", "next")
    tolerance: ClassVar[float] = 0.0
    most: ClassVar[int] = 400
    lists: ClassVar[int] = 400
    reads_no_statistics: ClassVar[frozenset[str]] = frozenset()
    _fitted: ClassVar[dict[tuple[str, int, str, str], Recommender]] = {}  # each fits all of its tasks at once

    def recommenders(self, data: Prepared, task: str, regime: str) -> Iterator[Recommender]:
        """Anew at each call."""
        raise NotImplementedError

    def fitted(self, data: Prepared, task: str, regime: str) -> dict[str, Recommender]:
        found = {}
        for made in self.recommenders(data, task, regime):
            key = (type(self).__name__, id(data), regime, made.name)
            if key not in self._fitted:
                made.fit(data, regime)
                self._fitted[key] = made
            found[made.name] = self._fitted[key]
        return found

    def agree(self, task: str, regime: str, one: Prepared, other: Prepared, rows: pd.DataFrame) -> None:
        """rows: KEY, row and row_other. The latest are asked: what came of them was not known when all else changed."""
        assert len(rows) >= 10
        rows = rows.sort_values("ts", kind="stable").tail(self.lists if task == "next" else self.most)
        first, second = self.fitted(one, task, regime), self.fitted(other, task, regime)
        assert first.keys() == second.keys()
        for name, made in first.items():
            left = answered(made, one, task, rows.row.to_numpy())
            right = answered(second[name], other, task, rows.row_other.to_numpy())
            for mine, theirs in zip(left, right, strict=True):
                if self.tolerance and task != "next":
                    np.testing.assert_allclose(mine, theirs, atol=self.tolerance, rtol=0, err_msg=name)
                else:
                    np.testing.assert_equal(mine, theirs, err_msg=name)

    @pytest.mark.parametrize("regime", REGIMES)
    @pytest.mark.parametrize("task", tasks)
    def test_no_later_event_changes_an_answer(self, task: str, regime: str) -> None:
        assert another_future().train_end == shop().train_end
        one, other = (rows_of_test(data, task) for data in (shop(), another_future()))
        early = one[one.ts < moment()].merge(other, on=KEY, suffixes=("", "_other"))
        if task in ("click", "next"):  # the others exist only once something else has happened, or has not
            assert len(early) == (one.ts < moment()).sum()
            assert len(one.merge(other, on=KEY)) < 1.1 * len(early)  # the future is another one
        self.agree(task, regime, shop(), another_future(), early)

    @pytest.mark.parametrize("task", tasks)
    def test_frozen_is_what_other_users_did_until_training_ended(self, task: str) -> None:
        one, other = (rows_of_test(data, task) for data in (shop(), other_users_do_otherwise()))
        theirs = one[one.user_id.isin(set(kept_users()))].merge(other, on=KEY, suffixes=("", "_other"))
        self.agree(task, "frozen", shop(), other_users_do_otherwise(), theirs)

    @pytest.mark.parametrize("regime", REGIMES)
    @pytest.mark.parametrize("task", tasks)
    def test_reads_the_statistics_of_its_own_regime(self, task: str, regime: str) -> None:
        rows = asked(shop(), task, "test").rows
        rows = rows[: self.lists if task == "next" else self.most]
        (another,) = set(REGIMES) - {regime}
        data = {name: with_other_statistics(name) for name in REGIMES}
        plain, own, not_own = (
            {name: answered(made, on, task, rows) for name, made in self.fitted(on, task, regime).items()}
            for on in (shop(), data[regime], data[another])
        )
        for name, found in plain.items():
            assert found == not_own[name], name
            assert (found == own[name]) == (name in self.reads_no_statistics), name


@cache
def with_other_statistics(regime: str) -> Prepared:
    """The shop with each statistic of one regime taken from another row."""
    data, random = shop(), np.random.default_rng(0)
    shuffled = data.stats[regime].copy()
    for rows in data.examples.groupby(["task", "split"]).indices.values():
        shuffled.iloc[rows] = data.stats[regime].iloc[random.permutation(rows)].to_numpy()
    lines = data.lines.copy()
    columns = [name for name in lines if name in shuffled or f"{name}".removeprefix("frozen_") in shuffled]
    columns = [name for name in columns if name.startswith("frozen_") == (regime == "frozen")]
    lines[columns] = lines[columns].to_numpy()[random.permutation(len(lines))]
    return replace(
        data, stats={**data.stats, regime: shuffled.astype(data.stats[regime].dtypes)}, lines=lines
    )
