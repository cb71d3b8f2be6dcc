"""The catalog as a trie: it holds exactly the items put in, whatever was put in and taken out before."""

from collections.abc import Collection, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.trie import Node, Trie

END = 9
Ids = tuple[int, ...]
titles = st.lists(st.integers(1, 3), max_size=4).map(lambda ids: (*ids, END))
catalogs = st.dictionaries(st.sampled_from("abcdefgh"), titles)


def nodes(trie: Trie) -> dict[Ids, tuple[list[int], list[str]]]:
    """What may follow each prefix, and the items below it, as a search sees them."""
    seen, waiting = dict[Ids, tuple[list[int], list[str]]](), [trie.root] if len(trie) else []
    for node in waiting:
        items = [trie.item(row) for row in range(node.start, node.stop)]
        if trie.length(node.start) == node.depth:
            seen[trie.prefix(node)] = ([], items)
            continue
        children = trie.children(node)
        seen[trie.prefix(node)] = (children.tokens.tolist(), items)
        pairs = zip(children.start.tolist(), children.stop.tolist(), strict=True)
        waiting += [Node(start, stop, node.depth + 1) for start, stop in pairs]
    return seen


def expected(catalog: Mapping[str, Ids]) -> dict[Ids, tuple[list[int], list[str]]]:
    """The same from the items alone; those of equal ids in their own order."""
    order = sorted(catalog, key=lambda item: catalog[item])
    prefixes = {ids[:n] for ids in catalog.values() for n in range(len(ids) + 1)}
    return {
        prefix: (
            sorted({ids[len(prefix)] for ids in catalog.values() if ids[: len(prefix)] == prefix < ids}),
            [item for item in order if catalog[item][: len(prefix)] == prefix],
        )
        for prefix in prefixes
    }


def test_a_node_holds_the_tokens_that_may_follow() -> None:
    trie = Trie({"a": (1, 2, END), "b": (1, END), "c": (3, END)})
    assert nodes(trie)[()] == ([1, 3], ["a", "b", "c"])
    assert nodes(trie)[(1,)] == ([2, END], ["a", "b"])
    assert (len(trie), "b" in trie, "d" in trie, list(trie)) == (3, True, False, ["a", "b", "c"])
    assert trie.ids("b") == (1, END)
    with pytest.raises(KeyError):
        trie.ids("d")
    assert trie.rows(["c", "d", "a", "c"]).tolist() == [0, 2]
    assert trie.by_row({"b": 2.0, "d": 5.0}, -1.0).tolist() == [-1, 2, -1]


@given(catalogs)
def test_a_trie_holds_its_items(catalog: dict[str, Ids]) -> None:
    trie = Trie(iter(catalog.items()))
    assert nodes(trie) == expected(catalog)
    assert {item: trie.ids(item) for item in trie} == catalog
    assert [int(trie.rows([item])[0]) for item in trie] == list(range(len(trie)))


@given(catalogs, st.lists(st.tuples(catalogs, st.sets(st.sampled_from("abcdefghi"))), max_size=4))
def test_a_changed_trie_is_what_its_items_make_it(
    catalog: dict[str, Ids], changes: list[tuple[dict[str, Ids], Collection[str]]]
) -> None:
    trie = Trie(catalog)
    for put, gone in changes:
        before, trie = trie, trie.changed(put, gone)
        assert nodes(before) == nodes(Trie(catalog))  # it stays as it was
        # What is put anew stands behind what was there.
        catalog = {item: ids for item, ids in catalog.items() if item not in {*put, *gone}} | put
        assert nodes(trie) == expected(catalog)
        assert {item: trie.ids(item) for item in trie} == catalog
        assert "i" not in trie


def test_wide_tokens_and_many_items_are_held_in_few_bytes() -> None:
    rng = np.random.default_rng(0)
    catalog = {str(n): (*rng.integers(1, 40_000, 6).tolist(), 0) for n in range(2_000)}
    trie = Trie(catalog)
    assert trie.nbytes < 35 * len(trie)
    wide = trie.changed({"wide": (100_000, 3, 0)})
    assert wide.ids("wide") == (100_000, 3, 0)
    assert all(wide.ids(item) == ids for item, ids in catalog.items())


@pytest.mark.parametrize("second", [(1, 2), (1, 2, 3, 4), ()])
def test_ids_without_an_end_are_refused_and_leave_the_catalog_whole(second: Ids) -> None:
    trie = Trie({"a": (1, 2, 3)})
    with pytest.raises(ValueError, match="'b'"):
        trie.changed({"b": second})
    with pytest.raises(ValueError, match="'b'"):
        Trie({"a": (1, 2, 3), "b": second})
    assert nodes(trie) == expected({"a": (1, 2, 3)})
