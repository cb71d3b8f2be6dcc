"""The catalog as a trie of token ids: which tokens may come next, and which items lie below.

The trie has no nodes. Items are rows in the order of their token ids, so all items that begin alike are neighbours, and
a prefix of titles is a range of rows. How many leading tokens each row shares with the row before it says where the
children of a prefix begin. Arrays of numbers hold all of it: some 40 bytes an item beside its id (docs/benchmarks.md).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Ids = Sequence[int]


class Node(NamedTuple):
    """A prefix of titles: the rows [start, stop), which are alike in their first `depth` tokens."""

    start: int
    stop: int
    depth: int


class Children(NamedTuple):
    """What may follow a prefix. tokens: (n,), ascending; start, stop: (n,), the rows below each."""

    tokens: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class Trie:
    """Items by their token ids, end token included (Layout.item), so that no item is a prefix of another.

    Items of the same ids (titles cut at the same length) share a leaf; the language model cannot tell them apart. A
    trie never changes: `changed` makes another, so a search goes on in the one that it began with.
    """

    def __init__(self, items: Mapping[str, Ids] | Iterable[tuple[str, Ids]] = ()) -> None:
        """items: ids by item, or pairs, which need not be in memory at once; of an item that comes twice the last ids
        count. Raises ValueError where an item has no ids, or where one item's ids begin another's."""
        names, starts, tokens = list[str](), array("Q", [0]), array("I")
        for item, ids in items.items() if isinstance(items, Mapping) else items:
            names.append(item)
            tokens.extend(ids)
            starts.append(len(tokens))
        flat = np.frombuffer(tokens, np.uint32) if tokens else np.zeros(0, np.uint32)
        keys = flat.astype(">u4").tobytes()  # bytes of big-endian numbers compare as the numbers do
        last = list({item: n for n, item in enumerate(names)}.values())
        order = np.array(sorted(last, key=lambda n: keys[4 * starts[n] : 4 * starts[n + 1]]), np.int64)
        self._take(flat, np.asarray(starts, np.int64), np.array(names, object), order)
        self._shared = np.zeros(len(order), np.uint16)
        self._compare(np.arange(len(order)))
        by_name = sorted(range(len(order)), key=self._items.__getitem__)
        self._by_name = np.array(by_name, np.int32)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: str) -> bool:
        return self._row(item_id) is not None

    def __iter__(self) -> Iterator[str]:
        """The items, row by row."""
        return iter(self._items)

    @property
    def root(self) -> Node:
        return Node(0, len(self), 0)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays. The strings of the items' ids are the catalog's own and not counted."""
        arrays = (self._tokens, self._starts, self._shared, self._items, self._by_name)
        return sum(part.nbytes for part in arrays)

    def item(self, row: int) -> str:
        return str(self._items[row])

    def ids(self, item_id: str) -> tuple[int, ...]:
        """An item's token ids; KeyError where it is not in the catalog."""
        row = self._row(item_id)
        if row is None:
            raise KeyError(item_id)
        return self.prefix(Node(row, row + 1, self.length(row)))

    def length(self, row: int) -> int:
        """How many tokens a row's items have."""
        return int(self._starts[row + 1] - self._starts[row])

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """How many tokens the items of each row have."""
        return np.asarray(self._starts[rows + 1] - self._starts[rows], dtype=np.int64)

    def prefix(self, node: Node) -> tuple[int, ...]:
        """The token ids from the root to a node."""
        start = int(self._starts[node.start])
        return tuple(self._tokens[start : start + node.depth].tolist())

    def rows(self, item_ids: Iterable[str]) -> np.ndarray:
        """The rows of those items that are in the catalog, ascending, (n,) int64."""
        rows = {row for row in map(self._row, item_ids) if row is not None}
        return np.array(sorted(rows), dtype=np.int64)

    def by_row(self, scores: Mapping[str, float], floor: float) -> np.ndarray:
        """(items,) float64: an item's score in its row, `floor` for items without one; unknown items are left out."""
        found = np.full(len(self), floor)
        for item, score in scores.items():
            if (row := self._row(item)) is not None:
                found[row] = score
        return found

    def children(self, node: Node) -> Children:
        """What may follow a prefix that is not a whole item."""
        first = np.flatnonzero(self._shared[node.start + 1 : node.stop] == node.depth) + node.start + 1
        start = np.concatenate(([node.start], first))
        stop = np.concatenate((first, [node.stop]))
        return Children(self._tokens[self._starts[start] + node.depth].astype(np.int64), start, stop)

    def changed(self, put: Mapping[str, Ids], gone: Collection[str] = ()) -> "Trie":
        """The trie with the items of `put` added, or given new ids, and those of `gone`, as far as it holds them, taken
        out. The arrays are copied once, however many changes there are. Raises ValueError as the constructor does."""
        new, out = Trie(put), self.rows({*put, *gone})
        kept = np.delete(np.arange(len(self)), out)
        at = [bisect_right(kept, new._key(row), key=self._key) for row in range(len(new))]
        order = np.insert(kept, at, np.arange(len(new)) + len(self))
        both = Trie.__new__(Trie)
        both._take(
            np.concatenate((self._tokens, new._tokens)),
            np.concatenate(
                (self._starts[:-1].astype(np.int64), new._starts.astype(np.int64) + len(self._tokens))
            ),
            np.concatenate((self._items, new._items)),
            order,
        )
        both._shared = np.concatenate((self._shared, new._shared))[order]
        neighbours = order + (order >= len(self))  # consecutive where two rows were neighbours before
        both._compare(np.flatnonzero(np.diff(neighbours, prepend=-1) != 1))
        rows = np.empty(len(self) + len(new), np.int32)
        rows[order] = np.arange(len(order))
        by_name = np.delete(self._by_name, np.flatnonzero(np.isin(self._by_name, out)))
        names = new._by_name
        at = [bisect_left(by_name, new._items[row], key=self._items.__getitem__) for row in names]
        both._by_name = rows[np.insert(by_name, at, names + len(self))]
        return both

    # ---- how it is held ---------------------------------------------------------------------------------

    def _take(self, tokens: np.ndarray, starts: np.ndarray, items: np.ndarray, order: np.ndarray) -> None:
        """Hold rows of ragged ids in the given order."""
        lengths = np.diff(starts)[order]
        if len(lengths) and not lengths.min():
            raise ValueError(f"item {items[order[lengths.argmin()]]!r} has no tokens")
        self._starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.uint32)
        places = np.arange(lengths.sum()) + np.repeat(starts[:-1][order] - self._starts[:-1], lengths)
        self._tokens = tokens[places].astype(
            np.uint16 if not len(tokens) or tokens.max() < 2**16 else np.uint32
        )
        self._items = items[order]

    def _compare(self, rows: np.ndarray) -> None:
        """Count what these rows share with the row before each; ValueError where one's ids begin the other's."""
        rows = rows[rows > 0]
        self._shared[:1] = 0
        lengths = self.lengths(rows)
        least, shared = np.minimum(lengths, self.lengths(rows - 1)), np.zeros(len(rows), np.int64)
        going = np.arange(len(rows))
        while len(going):
            going = going[shared[going] < least[going]]
            at = self._starts[rows[going]], self._starts[rows[going] - 1]
            going = going[self._tokens[at[0] + shared[going]] == self._tokens[at[1] + shared[going]]]
            shared[going] += 1
        wrong = (shared == least) & (lengths != self.lengths(rows - 1))
        if wrong.any():
            row = rows[wrong.argmax()]
            one, other = self._items[row], self._items[row - 1]
            raise ValueError(
                f"the ids of {one!r} begin those of {other!r}, or theirs its: the end token is missing"
            )
        self._shared[rows] = shared

    def _key(self, row: int) -> bytes:
        """The ids of a row as bytes that compare as the ids do."""
        return bytes(self._tokens[self._starts[row] : self._starts[row + 1]].astype(">u4").tobytes())

    def _row(self, item_id: str) -> int | None:
        at = bisect_left(self._by_name, item_id, key=self._items.__getitem__)
        if at == len(self._by_name) or self._items[self._by_name[at]] != item_id:
            return None
        return int(self._by_name[at])
