"""No recommender sees the future: every baseline of the line-up, ours behind the mock, torch and vLLM."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
from kinds import NEEDS_VLLM
from no_future_contract import (
    KEY,
    SeesNoFuture,
    another_future,
    kept_users,
    moment,
    other_users_do_otherwise,
    rows_of_test,
    shop,
)
from random_engine import RandomEngine
from training_fixtures import save_tiny_model

from eval.harness import tasks
from eval.lineup import lineup
from eval.ours import Genrec
from eval.recommender import Recommender
from genrec.dataset import REGIMES, Prepared
from prompts.adapter import histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from serve.engine import Engine
from serve.engines import open_engine


def test_the_contract_is_of_every_task() -> None:
    assert set(tasks(shop())) == set(SeesNoFuture.tasks)


def statistics(data: Prepared, regime: str, rows: np.ndarray) -> list[list[str]]:
    """As text, in which an unknown number equals another."""
    return data.stats[regime].iloc[rows].astype(str).to_numpy().tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("task", ["click", "convert", "return", "next"])
def test_statistics_are_of_what_was_known_before_the_question(task: str) -> None:
    one, other = (rows_of_test(data, task) for data in (shop(), another_future()))
    early = one[one.ts < moment()].merge(other, on=KEY, suffixes=("", "_other"))
    assert len(early) >= 10
    for regime in REGIMES:
        found = statistics(shop(), regime, early.row.to_numpy())
        assert found == statistics(another_future(), regime, early.row_other.to_numpy())


@pytest.mark.parametrize("task", ["click", "convert", "return", "next"])
def test_frozen_statistics_are_of_what_was_known_before_training_ended(task: str) -> None:
    """Of what users did later each user's own alone is known, and no outcome that anything is learned from."""
    one, other = (rows_of_test(data, task) for data in (shop(), other_users_do_otherwise()))
    theirs = one[one.user_id.isin(set(kept_users()))].merge(other, on=KEY, suffixes=("", "_other"))
    assert len(theirs) >= 10
    found = statistics(shop(), "frozen", theirs.row.to_numpy())
    assert found == statistics(other_users_do_otherwise(), "frozen", theirs.row_other.to_numpy())
    assert statistics(shop(), "running", theirs.row.to_numpy()) != statistics(
        other_users_do_otherwise(), "running", theirs.row_other.to_numpy()
    )
    if task == "return":  # the labels known when training ended are counted, and none of a later session's
        stats, asked = shop().stats["frozen"], shop().examples
        known = asked[(asked.task == "return") & (asked.known_at < shop().train_end)]
        for row in theirs.row:
            assert stats.return_chances[row] == (known.user_id == asked.user_id[row]).sum()


class TestBaselines(SeesNoFuture):
    reads_no_statistics = frozenset({"prior", "two-tower of ids", "BG/NBD", "item-kNN", "popularity"})

    def recommenders(self, data: Prepared, task: str, regime: str) -> Iterator[Recommender]:
        for make in lineup(data, task, quick=True):
            yield make()


class Ours(SeesNoFuture):
    engine: ClassVar[Engine]

    def recommenders(self, data: Prepared, task: str, regime: str) -> Iterator[Recommender]:
        layout = layout_of(data, load_tokenizer(BUILT_IN))
        yield Genrec("genrec", layout, histories_of(data, layout, 160, regime), self.engine, "of no weights")


class TestOurs(Ours):
    """Behind the mock engine any other token of a prompt gives another answer."""

    most, lists = 60, 6
    engine = RandomEngine(vocabulary=49_152)


class OnATinyModel(Ours):
    """Answers that differ by some nats from one question to another."""

    most, lists, tolerance, kind = 12, 2, 1e-4, ""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _engine(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        base = save_tiny_model(tmp_path_factory.mktemp(cls.kind), head_dim=32, spread=0.2)
        cls.engine = open_engine(cls.kind, str(base), "float32")


class TestOursOnTorch(OnATinyModel):
    kind = "torch"


@NEEDS_VLLM
class TestOursOnVllm(OnATinyModel):
    kind = "vllm"
