"""Keys and values of contexts lately read, so that a user's second request computes only what is new."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from prompts.packing import common_prefix
from serve.backbone import Layers


@dataclass(frozen=True)
class Context:
    """n tokens and their keys and values in tensors of their own; never written to again."""

    ids: np.ndarray  # (n,) int64
    layers: Layers

    def first(self, n: int) -> Layers:
        """Views of the first n tokens' keys and values."""
        return [(keys[:, :, :n], values[:, :, :n]) for keys, values in self.layers]


class ContextCache:
    """The contexts used last, `tokens` of them at most in all (the newest stays whatever its length).

    A longer context replaces the one it continues; one that merely begins alike stands beside it.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._contexts: OrderedDict[int, Context] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        """Tokens held."""
        return sum(len(context.ids) for context in self._contexts.values())

    def longest(self, ids: np.ndarray) -> tuple[Context | None, int]:
        """The context that shares the most leading tokens with ids, and how many."""
        best, shared = None, 0
        for number, context in self._contexts.items():
            if (common := common_prefix(context.ids, ids)) > shared:
                best, shared = number, common
        if best is None:
            return None, 0
        self._contexts.move_to_end(best)
        return self._contexts[best], shared

    def add(self, context: Context) -> None:
        for number, old in list(self._contexts.items()):
            if common_prefix(old.ids, context.ids) == len(old.ids):
                del self._contexts[number]
        self._number += 1
        self._contexts[self._number] = context
        while len(self._contexts) > 1 and len(self) > self.tokens:
            self._contexts.popitem(last=False)

    def clear(self) -> None:
        self._contexts.clear()
