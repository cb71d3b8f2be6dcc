"""The statistic that prompts state, as a baseline: it stands where a prompt states one, at its word, never 0 or 1."""

from dataclasses import replace

import numpy as np
import pytest
from small_shop import shop
from test_baselines import RankerContract, ScorerContract

from eval.baselines.stated import Stated
from eval.lineup import lineup
from eval.recommender import Recommender
from genrec.stated import stated


class TestStatedShares(ScorerContract):
    tasks = ("click", "convert", "return")

    def make(self) -> Recommender:
        return Stated()

    @pytest.mark.parametrize("regime", ["running", "frozen"])
    @pytest.mark.parametrize(
        ("task", "column"),
        [("click", "match_share"), ("convert", "match_convert_share"), ("return", "return_share")],
    )
    def test_says_what_the_prompt_says(self, task: str, column: str, regime: str) -> None:
        rows = shop().rows(task, "test")
        stated = shop().stats[regime][column].iloc[rows]
        np.testing.assert_allclose(self.predict(shop(), rows, regime), stated, atol=1e-6)

    def test_is_never_certain(self) -> None:
        data = shop()
        rows = data.rows("click", "test")[:2]
        stats = data.stats["running"].copy()
        stats.loc[rows, "match_share"] = [0.0, 1.0]
        certain = replace(data, stats={**data.stats, "running": stats})
        assert self.predict(certain, rows).tolist() == [1e-6, 1 - 1e-6]


class TestStatedCandidates(RankerContract):
    def make(self) -> Recommender:
        return Stated()


@pytest.mark.parametrize("task", ["click", "convert", "ctcvr", "return", "next"])
def test_stands_in_every_line_up(task: str) -> None:
    assert Stated.name in [make().name for make in lineup(shop(), task)]


def test_a_conversion_that_follows_no_click_has_no_number_of_its_own() -> None:
    convert = shop().tasks["convert"]
    assert stated(convert) == "match_convert_share"
    assert stated(replace(convert, given=None)) is None
