"""The catalog as a trie: it holds exactly the items put in, whatever was put in and taken out before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.trie import Node, Trie

END = 9
titles = st.lists(st.integers(1, 3), max_size=4).map(lambda ids: (*ids, END))


def shape(node: Node) -> tuple[int, list[str], dict[int, object]]:
    return node.count, sorted(node.items), {token: shape(child) for token, child in node.children.items()}


def test_a_node_holds_the_tokens_that_may_follow() -> None:
    trie = Trie({"a": (1, 2, END), "b": (1, END), "c": (3, END)})
    assert [sorted(node.children) for node in trie.path((1, END))] == [[1, 3], [2, END], []]
    with pytest.raises(KeyError):
        trie.path((2,))
    assert (len(trie), "b" in trie, "d" in trie, sorted(trie)) == (3, True, False, ["a", "b", "c"])
    assert trie.ids("a") == (1, 2, END)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | titles), max_size=20))
def test_a_trie_is_what_its_items_make_it(changes: list[tuple[str, tuple[int, ...] | None]]) -> None:
    trie, kept = Trie(), dict[str, tuple[int, ...]]()
    for item, ids in changes:
        if ids is None:
            trie.remove(item)
            kept.pop(item, None)
        else:
            trie.insert(item, ids)
            kept[item] = ids
    assert {item: trie.ids(item) for item in trie} == kept
    assert shape(trie.root) == shape(Trie(kept).root)
    for node in (trie.path(ids)[n] for ids in kept.values() for n in range(len(ids) + 1)):
        assert node.count == sum(child.count for child in node.children.values()) + len(node.items) > 0


@pytest.mark.parametrize("second", [(1, 2), (1, 2, 3, 4), ()])
def test_ids_without_an_end_are_refused_and_leave_the_catalog_whole(second: tuple[int, ...]) -> None:
    trie = Trie({"a": (1, 2, 3)})
    with pytest.raises(ValueError, match="'b'"):
        trie.insert("b", second)
    assert shape(trie.root) == shape(Trie({"a": (1, 2, 3)}).root)
