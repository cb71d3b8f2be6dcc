"""Best-first search against scoring every item: the same items in the same order, for random tables and real models."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_engine import RandomEngine
from tiny import VOCABULARY, save_model

from eval.parity.catalog import Scored, differ, every_item
from genrec.sources import movielens
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer
from prompts.tokens import Tokens
from prompts.trie import Trie
from serve import search as searching
from serve.search import Search, top_items
from serve.torch_engine import load

END = 0
CONTEXT = (5, 6, 7)


def same(found: list[Scored], wanted: list[Scored], tolerance: float) -> None:
    """Items within the tolerance of one another may change places."""
    assert not differ(found, wanted, dict(found) | dict(wanted), tolerance)


catalogs = st.dictionaries(
    st.integers(0, 60).map(str),
    st.lists(st.integers(1, 5), max_size=5).map(lambda ids: (*ids, END)),
    max_size=40,
)


@given(catalogs, st.integers(0, 100), st.sampled_from([0.3, 2.0, 6.0]), st.integers(0, 12), st.data())
def test_the_search_is_exact(
    catalog: dict[str, tuple[int, ...]], seed: int, sharp: float, k: int, data: st.DataObject
) -> None:
    engine, trie = RandomEngine(seed, sharp), Trie(catalog)
    left_out = data.draw(st.sets(st.sampled_from(sorted(catalog)))) if catalog else {"unknown"}
    likely = data.draw(st.lists(st.sampled_from([*sorted(catalog), "unknown"]), max_size=6))
    found = top_items(engine, CONTEXT, trie, k, left_out, likely=likely)
    assert found.exact
    assert found.gap == 0
    assert not {item for item, _ in found.items} & left_out
    wanted = every_item(engine, CONTEXT, trie, left_out)[:k] if set(catalog) - left_out else []
    same(found.items, wanted, 1e-9)


@given(catalogs, st.integers(0, 100), st.integers(1, 8), st.integers(0, 30), st.integers(0, 12))
def test_a_budget_is_kept_the_list_is_full_and_the_gap_is_a_bound(
    catalog: dict[str, tuple[int, ...]], seed: int, k: int, budget: int, hints: int
) -> None:
    engine, trie = RandomEngine(seed, 2.0), Trie(catalog)
    found = top_items(engine, CONTEXT, trie, k, node_budget=budget, likely=sorted(catalog)[:hints])
    deepest = max(map(len, catalog.values()), default=0)
    assert found.nodes <= budget + found.completed * deepest
    assert len(found.items) == min(k, len(catalog))
    wanted = every_item(engine, CONTEXT, trie, set()) if catalog else []
    for item, logprob in found.items:
        assert logprob == pytest.approx(dict(wanted)[item])
    if found.exact:
        same(found.items, wanted[:k], 1e-9)
        return
    assert 0 < found.gap < np.inf
    missed = [logprob for item, logprob in wanted[:k] if item not in dict(found.items)]
    assert all(logprob <= found.items[-1][1] + found.gap + 1e-9 for logprob in missed)


def test_likely_items_count_as_paths_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = list[int]()
    next_paths = Search.next_paths

    def counted(search: Search, most: int) -> list[searching.Path]:
        paths = next_paths(search, most)
        taken.append(len(paths))
        return paths

    monkeypatch.setattr(Search, "next_paths", counted)
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(3)), END) for n in range(125)}
    for likely in ([], ["3", "60"]):
        taken.clear()
        result = top_items(RandomEngine(seed=1, sharp=2.0), CONTEXT, Trie(catalog), 3, likely=likely)
        assert result.exact
        assert result.nodes == sum(taken) + len(likely)


def test_an_unsure_model_completes_its_list_greedily_and_what_the_question_names_comes_first() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    engine = RandomEngine(seed=1, sharp=0.01)
    found = top_items(engine, CONTEXT, Trie(catalog), 10, node_budget=20, likely=["3", "600"])
    assert len(found.items) == 10
    assert {"3", "600"} < {item for item, _ in found.items}
    assert found.completed == 8
    assert not found.exact


def test_what_stops_a_search_stops_its_completion() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    engine, left = RandomEngine(seed=1, sharp=0.01), [False, False, True]
    found = top_items(
        engine, CONTEXT, Trie(catalog), 10, node_budget=1, stop=lambda: left.pop(0) if left else True
    )
    assert not found.items
    assert found.gap == np.inf
    assert len(engine.calls) <= 2


def test_a_sure_model_looks_at_few_paths() -> None:
    catalog = {str(n): (*map(int, np.base_repr(n, 5).zfill(4)), 5) for n in range(625)}
    shifted = {item: (*(t + 1 for t in ids[:-1]), END) for item, ids in catalog.items()}
    engine = RandomEngine(seed=1, sharp=8.0)
    found = top_items(engine, CONTEXT, Trie(shifted), 5)
    assert found.exact
    assert found.nodes < 200
    assert len(engine.calls) <= 8


def test_likely_items_make_a_search_short() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    trie = Trie(catalog)
    engine = RandomEngine(seed=1, sharp=4.0)
    found = top_items(engine, CONTEXT, trie, 5)
    again = top_items(engine, CONTEXT, trie, 5, likely=[item for item, _ in found.items])
    same(again.items, found.items, 1e-9)
    assert again.exact
    assert again.nodes < found.nodes / 2


def test_a_tiny_model_over_a_random_catalog(tmp_path: Path) -> None:
    engine = load(str(save_model(tmp_path)), "float32")
    rng = np.random.default_rng(0)
    trie = Trie({str(n): (*rng.integers(1, 20, rng.integers(1, 6)), VOCABULARY - 1) for n in range(300)})
    for _ in range(5):
        context = rng.integers(1, VOCABULARY - 1, 30).tolist()
        left_out = set(rng.choice(300, 60, replace=False).astype(str))
        found = top_items(engine, context, trie, 10, left_out)
        assert found.exact
        same(found.items, every_item(engine, context, trie, left_out)[:10], 1e-4)


@pytest.mark.slow
def test_the_real_model_over_all_films_of_movielens() -> None:
    tokens = Tokens(load_tokenizer(BUILT_IN))
    films = movielens.load_100k().tables.items.to_pydict()
    end = tokens.literal("\t")
    trie = Trie({i: tokens.data(t) + end for i, t in zip(films["item_id"], films["title"], strict=True)})
    assert len(trie) == 1_682
    engine = load(BUILT_IN, "float32")
    for seen in (["1", "50", "172"], ["98", "56", "182", "234"]):
        context = sum((trie.ids(i) + tokens.literal("78 yes\n") for i in seen), tokens.literal("Films:\n"))
        found = top_items(engine, context, trie, 10, set(seen))
        assert found.exact
        print(
            f"{found.nodes} paths",
            [(films["title"][films["item_id"].index(i)], round(p, 2)) for i, p in found.items],
        )
        same(found.items, every_item(engine, context, trie, set(seen))[:10], 1e-3)
