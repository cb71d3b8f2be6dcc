"""The catalog as a trie of token ids: which tokens may come next, and which items lie below."""

from collections.abc import Iterator, Mapping, Sequence

Ids = Sequence[int]

# Paths of a trie that a search for the best items extends at most, where nobody says otherwise (serve/search.py). The
# exact ten of an adapter that had learned took 79 at most over MovieLens (docs/probabilities.md). One that has hardly
# learned is unsure everywhere, and an exact search would extend most of the catalog.
NODES = 200


class Node:
    """A prefix of titles. children: by the token that continues it. count: items at or below. items: those that end
    here."""

    __slots__ = ("children", "count", "items")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.count = 0
        self.items: list[str] = []


class Trie:
    """Items by their token ids, end token included (Layout.item), so that no item is a prefix of another.

    Items of the same ids (titles cut at the same length) share a leaf; the language model cannot tell them apart.
    """

    def __init__(self, items: Mapping[str, Ids] | None = None) -> None:
        self.root = Node()
        self._ids: dict[str, tuple[int, ...]] = {}
        for item_id, ids in (items or {}).items():
            self.insert(item_id, ids)

    def __len__(self) -> int:
        return self.root.count

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def ids(self, item_id: str) -> tuple[int, ...]:
        """An item's token ids; KeyError where it is not in the catalog."""
        return self._ids[item_id]

    def insert(self, item_id: str, ids: Ids) -> None:
        """Add an item, or give it new ids. ValueError where one item's ids begin another's."""
        ids = tuple(ids)
        if not ids:
            raise ValueError(f"item {item_id!r} has no tokens")
        self.remove(item_id)
        node: Node | None = self.root
        for n, token in enumerate(ids, start=1):
            node = node.children.get(token) if node else None
            if node and (node.items if n < len(ids) else node.children):
                raise ValueError(
                    f"the ids of {item_id!r} begin another item's, or it theirs: the end token is missing"
                )
        at = self.root
        at.count += 1
        for token in ids:
            at = at.children.setdefault(token, Node())
            at.count += 1
        at.items.append(item_id)
        self._ids[item_id] = ids

    def remove(self, item_id: str) -> None:
        """Take an item out; nothing happens where it is not in."""
        ids = self._ids.pop(item_id, None)
        if ids is None:
            return
        path = self.path(ids)
        path[-1].items.remove(item_id)
        for node in path:
            node.count -= 1
        for parent, token, node in zip(path, ids, path[1:], strict=False):
            if node.count == 0:
                del parent.children[token]
                break

    def path(self, ids: Ids) -> list[Node]:
        """The nodes from the root along ids; KeyError where no item begins so."""
        nodes = [self.root]
        for token in ids:
            nodes.append(nodes[-1].children[token])
        return nodes
