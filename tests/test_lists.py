"""The instrument that measures lists: made-up titles, beams held to a trie, and what is counted, on tiny models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import VOCABULARY, save_model

from eval.lists.measure import counted, our_lists, rival_lists, trie_costs, with_scores
from eval.lists.rivals import AllowedTokens, transformers_beams
from eval.lists.titles import titles
from eval.parity.catalog import every_item
from prompts.language_model import load_model
from prompts.trie import Trie
from serve.search import ListRequest
from serve.torch_engine import TorchEngine, load

END = VOCABULARY - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


def catalog(n: int) -> list[tuple[str, tuple[int, ...]]]:
    rng = np.random.default_rng(0)
    return [(str(k), (*rng.integers(1, 20, rng.integers(1, 5)).tolist(), END)) for k in range(n)]


def test_titles_are_different_and_a_longer_list_begins_with_a_shorter_one() -> None:
    many = list(titles(6_000, seed=3))
    assert len(set(many)) == 6_000
    assert many[:500] == list(titles(500, seed=3))
    assert many[:500] != list(titles(500, seed=4))
    assert list(titles(0, seed=3)) == []


def test_beams_as_wide_as_the_catalog_list_what_the_search_lists(folder: Path) -> None:
    engine, model = load(str(folder), "float32"), load_model(str(folder), "float32", "sdpa")
    trie = Trie(catalog(12))
    context = (5, 6, 7, 8)
    beams = transformers_beams(model, context, trie, END, 12)
    wanted = every_item(engine, context, trie, ())
    assert beams.invalid == 0
    assert beams.tokens is not None
    assert beams.tokens >= 12 * len(context)
    by_item = dict(beams.items)
    assert by_item.keys() == set(trie)
    for item, value in wanted:
        assert by_item[item] == pytest.approx(value, abs=1e-3)


def test_what_may_follow_is_what_the_trie_says() -> None:
    import torch

    allowed = AllowedTokens(Trie({"a": (1, 2, END), "b": (1, END), "c": (1, END)}), 2)
    after: Any = lambda *ids: allowed(0, torch.tensor([9, 9, *ids]))  # noqa: E731
    assert after() == [1]
    assert after(1) == [2, END]
    assert allowed.items((1, END)) == ["b", "c"]
    assert allowed.items((1, 2)) == []
    assert allowed.items((7, END)) == []


def test_costs_are_counted_for_each_list(folder: Path) -> None:
    engine = load(str(folder), "float32")
    assert isinstance(engine, TorchEngine)
    backbone = counted(engine)
    trie, memory = trie_costs(catalog(300))
    assert (memory["items"], memory["bytes"]) == (300, trie.nbytes)
    lists = [ListRequest(tuple(range(1, n)), 5, [str(n)], node_budget=20) for n in (11, 16)]
    ours = our_lists(engine, backbone, trie, lists)
    assert ours["lists"] == ours["same_items_together"] == 2
    assert ours["context"]["tokens"] >= 12.5  # 10 and 15 tokens
    assert 0 < ours["search"]["tokens"] < 20 * 6
    assert ours["together"]["tokens"] > ours["search"]["tokens"]
    assert ours["nodes"] >= 20 or ours["exact"]
    scored = with_scores(trie, lists, seed=0)
    (scores,) = {id(one.scores): one.scores for one in scored}.values()
    assert scores is not None
    assert len(set(scores)) == 30  # a tenth of the items have their own, the rest the least of these
    model = load_model(str(folder), "float32", "sdpa")
    theirs = rival_lists(lambda c, t, k: transformers_beams(model, c, t, END, k), trie, lists)
    assert (theirs["lists"], theirs["invalid"]) == (2, 0)
    assert theirs["items"] >= 5  # of each beam one, or several that share its tokens
