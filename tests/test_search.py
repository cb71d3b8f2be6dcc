"""Best-first search against scoring every item: the same items in the same order, for random tables and real models."""

from dataclasses import replace
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
from serve.engine import Engine
from serve.frontier import Frontier
from serve.frontier import Path as OpenPath
from serve.search import ListRequest, all_top_items, top_items
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


@st.composite
def list_requests(draw: st.DrawFn, catalog: dict[str, tuple[int, ...]]) -> ListRequest:
    items = st.sampled_from([*sorted(catalog), "unknown"])
    scores = st.lists(
        st.sampled_from([-np.inf, -3.0, -0.5, 0.0, 2.0]), min_size=len(catalog), max_size=len(catalog)
    )
    return ListRequest(
        (5, 6, draw(st.integers(1, 4))),
        draw(st.integers(0, 12)),
        draw(st.sets(items)),
        draw(st.lists(items, max_size=6)),
        scores=draw(st.none() | scores.map(np.array)),
    )


def every_sum(engine: Engine, trie: Trie, one: ListRequest) -> list[Scored]:
    """Items to be listed with log-probability plus score, best first."""
    if not set(trie) - set(one.exclude):
        return []
    scores = dict(zip(trie, np.zeros(len(trie)) if one.scores is None else one.scores, strict=True))
    sums = [(i, p + scores[i]) for i, p in every_item(engine, one.context, trie, one.exclude)]
    return sorted((pair for pair in sums if pair[1] > -np.inf), key=lambda pair: -pair[1])


@given(catalogs, st.integers(0, 100), st.sampled_from([0.3, 2.0, 6.0]), st.data())
def test_the_search_is_exact(
    catalog: dict[str, tuple[int, ...]], seed: int, sharp: float, data: st.DataObject
) -> None:
    """Several lists at once, each with its own context, length, exclusions, likely items and item scores."""
    engine, trie = RandomEngine(seed, sharp), Trie(catalog)
    lists = data.draw(st.lists(list_requests(catalog), min_size=1, max_size=4))
    results = dict(all_top_items(engine, trie, lists))
    assert sorted(results) == list(range(len(lists)))
    for number, one in enumerate(lists):
        assert results[number].exact
        assert results[number].gap == 0
        assert not {item for item, _ in results[number].items} & set(one.exclude)
        same(results[number].items, every_sum(engine, trie, one)[: one.k], 1e-9)
        alone = top_items(engine, trie, one)
        assert alone == results[number]


@given(catalogs, st.integers(0, 100), st.integers(0, 30), st.data())
def test_a_budget_is_kept_the_list_is_full_and_the_gap_is_a_bound(
    catalog: dict[str, tuple[int, ...]], seed: int, budget: int, data: st.DataObject
) -> None:
    engine, trie = RandomEngine(seed, 2.0), Trie(catalog)
    lists = [replace(data.draw(list_requests(catalog)), node_budget=budget) for _ in range(2)]
    deepest = max(map(len, catalog.values()), default=0)
    for number, result in all_top_items(engine, trie, lists):
        one = lists[number]
        truth = every_sum(engine, trie, one)
        assert result.nodes <= budget + result.completed * deepest
        assert len(result.items) == min(one.k, len(truth))
        for item, value in result.items:
            assert value == pytest.approx(dict(truth)[item])
        if result.exact:
            same(result.items, truth[: one.k], 1e-9)
            continue
        assert 0 < result.gap < np.inf
        # The k-th best of all, and whatever is missing, is no more than the gap above the last that is listed.
        assert truth[one.k - 1][1] <= result.items[-1][1] + result.gap + 1e-9
        missed = [value for item, value in truth[: one.k] if item not in dict(result.items)]
        assert all(value <= result.items[-1][1] + result.gap + 1e-9 for value in missed)


def test_equal_items_are_listed_in_the_order_of_the_catalog() -> None:
    alike = Trie({"c": (1, 2, END), "a": (1, 2, END), "b": (1, 2, END), "d": (3, END)})
    found = top_items(RandomEngine(), alike, ListRequest(CONTEXT, 4, exclude=["a"]))
    assert [item for item, _ in found.items if item != "d"] == ["c", "b"]
    two = top_items(RandomEngine(), alike, ListRequest(CONTEXT, 3, exclude=["d"]))
    assert [item for item, _ in two.items] == ["c", "a", "b"]
    assert len({value for _, value in two.items}) == 1


def test_many_searches_share_the_calls_of_an_engine() -> None:
    """As many calls as the longest search alone, and never more contexts in one than the engine keeps."""
    trie = Trie({str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(3)), END) for n in range(125)})
    lists = [ListRequest((5, 6, n), 5) for n in range(searching.TOGETHER)]
    alone = list[int]()
    for one in lists:
        engine = RandomEngine(seed=1, sharp=2.0)
        top_items(engine, trie, one)
        alone.append(len(engine.calls))
    engine = RandomEngine(seed=1, sharp=2.0)
    assert len(list(all_top_items(engine, trie, lists))) == len(lists)
    assert len(engine.calls) == max(alone) < sum(alone) / 4
    engine = RandomEngine(seed=1, sharp=2.0)
    assert len(list(all_top_items(engine, trie, lists * 3))) == 3 * len(lists)
    assert max(map(len, engine.calls)) == searching.TOGETHER


def test_scores_of_another_catalog_are_refused() -> None:
    with pytest.raises(ValueError, match="catalog of 1 item"):
        top_items(RandomEngine(), Trie({"a": (1, END)}), ListRequest(CONTEXT, 1, scores=np.zeros(2)))


def test_great_scores_lead_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds the greatest score below a prefix: one item far above all others is all that is read."""
    trie = Trie({str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)})
    monkeypatch.setattr(searching, "WIDTH", 1)
    found = top_items(
        RandomEngine(sharp=0.5), trie, ListRequest(CONTEXT, 1, scores=trie.by_row({"77": 50.0}, 0.0))
    )
    assert found.items[0][0] == "77"
    assert found.exact
    assert found.nodes == len(trie.ids("77"))


def test_a_path_without_a_choice_is_one_node_and_is_read_in_ever_longer_parts() -> None:
    title = (*[1] * 12, END)
    engine = RandomEngine(seed=1, sharp=0.1)
    found = top_items(engine, Trie({"long": title, "short": (2, END)}), ListRequest(CONTEXT, 2))
    assert {item for item, _ in found.items} == {"long", "short"}
    assert found.nodes == 3  # the root, and one for each title
    read = [sum(len(request.questions) for request in call) for call in engine.calls]
    assert read == [
        1,
        3,
        4,
        6,
    ]  # the root; 2 tokens of the long one, the end of the short one; 4; what is left
    within = top_items(
        engine, Trie({"long": title, "short": (2, END)}), ListRequest(CONTEXT, 2, node_budget=3)
    )
    assert within == found  # what was begun is read to the next choice


def test_likely_items_count_as_paths_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = list[int]()
    pop = Frontier.pop

    def counted(frontier: Frontier, most: int) -> list[OpenPath]:
        paths = pop(frontier, most)
        taken.append(len(paths))
        return paths

    monkeypatch.setattr(Frontier, "pop", counted)
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(3)), END) for n in range(125)}
    for likely in ([], ["3", "60"]):
        taken.clear()
        result = top_items(
            RandomEngine(seed=1, sharp=2.0), Trie(catalog), ListRequest(CONTEXT, 3, likely=likely)
        )
        assert result.exact
        assert result.nodes == sum(taken) + len(likely)


def test_an_unsure_model_completes_its_list_greedily_and_what_the_question_names_comes_first() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    engine = RandomEngine(seed=1, sharp=0.01)
    found = top_items(engine, Trie(catalog), ListRequest(CONTEXT, 10, likely=["3", "600"], node_budget=20))
    assert len(found.items) == 10
    assert {"3", "600"} < {item for item, _ in found.items}
    assert found.completed == 8
    assert not found.exact


def test_what_stops_a_search_stops_its_completion() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    engine, left = RandomEngine(seed=1, sharp=0.01), [False, False, True]
    one = ListRequest(CONTEXT, 10, node_budget=1)
    found = top_items(engine, Trie(catalog), one, lambda: left.pop(0) if left else True)
    assert not found.items
    assert found.gap == np.inf
    assert len(engine.calls) <= 2


def test_a_sure_model_looks_at_few_paths() -> None:
    catalog = {str(n): (*map(int, np.base_repr(n, 5).zfill(4)), 5) for n in range(625)}
    shifted = {item: (*(t + 1 for t in ids[:-1]), END) for item, ids in catalog.items()}
    engine = RandomEngine(seed=1, sharp=8.0)
    found = top_items(engine, Trie(shifted), ListRequest(CONTEXT, 5))
    assert found.exact
    assert found.nodes < 200
    assert len(engine.calls) <= 8


def test_likely_items_make_a_search_short() -> None:
    catalog = {str(n): (*(int(d) + 1 for d in np.base_repr(n, 5).zfill(4)), END) for n in range(625)}
    trie = Trie(catalog)
    engine = RandomEngine(seed=1, sharp=4.0)
    found = top_items(engine, trie, ListRequest(CONTEXT, 5))
    again = top_items(engine, trie, ListRequest(CONTEXT, 5, likely=[item for item, _ in found.items]))
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
        found = top_items(engine, trie, ListRequest(context, 10, left_out))
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
        found = top_items(engine, trie, ListRequest(context, 10, set(seen)))
        assert found.exact
        print(
            f"{found.nodes} paths",
            [(films["title"][films["item_id"].index(i)], round(p, 2)) for i, p in found.items],
        )
        same(found.items, every_item(engine, context, trie, set(seen))[:10], 1e-3)
