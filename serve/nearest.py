"""The items whose embeddings lie nearest a user's, by inner product with every one of them."""

import threading
from collections.abc import Callable, Collection, Sequence

import numpy as np

from prompts.layout import Layout
from serve.engine import Engine
from serve.search import Found

BATCH = 64  # items embedded at once: the engine answers others between two batches


def never() -> bool:
    return False


def embedded(engine: Engine, layout: Layout, item_ids: Sequence[str]) -> np.ndarray:
    """(n, width) float32, of length 1: each item as a prompt of its own tokens and its end token, as they stand behind
    the next-item question. A batch at a time; new items too."""
    starts = range(0, max(len(item_ids), 1), BATCH)
    return np.concatenate([engine.embed([layout.item(i) for i in item_ids[k : k + BATCH]]) for k in starts])


class ItemVectors:
    """The catalog's embeddings, each computed once and kept until `forget`.

    Safe to call from several threads: they share the work, a batch at a time.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.items = list(layout.items)
        self.weights = 0  # how often other weights have taken over
        self._parts: list[np.ndarray] = []
        self._embedding, self._keeping = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        """How many are known, in the catalog's order."""
        with self._keeping:
            return sum(map(len, self._parts))

    def forget(self) -> None:
        """The engine runs other weights now. A batch that is on its way from the old ones is dropped."""
        with self._keeping:
            self._parts, self.weights = [], self.weights + 1

    def all(self, engine: Engine, stop: Callable[[], bool] = never) -> np.ndarray | None:
        """(items, width) float32; None where `stop`, asked before each batch, ended the work. What is done is kept."""
        while (start := len(self)) < len(self.items):
            if stop():
                return None
            with self._embedding:
                weights = self.weights
                if len(self) == start:  # else another thread has done this one
                    rows = embedded(engine, self._layout, self.items[start : start + BATCH])
                    with self._keeping:
                        self._parts += [rows] if weights == self.weights else []
        with self._keeping:
            if len(self._parts) > 1:
                self._parts = [np.concatenate(self._parts)]
            return self._parts[0] if self._parts else embedded(engine, self._layout, [])


def nearest(
    engine: Engine,
    prompt: Sequence[int],
    vectors: ItemVectors,
    k: int,
    exclude: Collection[str] = (),
    stop: Callable[[], bool] = never,
) -> Found:
    """The k items, `exclude` left out, with the greatest inner product with the prompt's embedding, ties in the
    catalog's order. Found's numbers are these products, not log-probabilities, and its nodes the items compared.

    Exact, or nothing at all: where `stop` came before all items were embedded, a list of those that happened to be
    would be no better than none.
    """
    while True:
        weights, rows = vectors.weights, vectors.all(engine, stop)
        if rows is None or stop():
            return Found([], False, np.inf, 0)
        user = engine.embed([prompt])[0]
        if weights == vectors.weights:  # else the two sides are of different weights
            break
    products, gone = rows @ user, frozenset(exclude)
    left = (n for n in np.argsort(-products, kind="stable") if vectors.items[n] not in gone)
    best = [(vectors.items[n], float(products[n])) for n, _ in zip(left, range(k), strict=False)]
    return Found(best, True, 0.0, len(rows))
