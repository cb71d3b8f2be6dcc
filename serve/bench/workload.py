"""What is scored: candidates of a few tokens behind one context, the same ids for every contestant."""

from typing import NamedTuple

import numpy as np

from prompts.layout import Question
from serve.engine import Request

CANDIDATE_TOKENS = 11  # of a question about an item, in the shipped tasks
FIRST_TOKEN = 300  # above the control tokens; a vocabulary that ends before that is used from 2 on


class Cell(NamedTuple):
    """candidates behind a context of so many tokens."""

    candidates: int
    context: int


class Workload:
    """vocabulary: tokens that the model knows. The same seed gives the same prompts."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self._vocabulary, self._seed = vocabulary, seed
        self._first = FIRST_TOKEN if vocabulary > 2 * FIRST_TOKEN else 2
        self._answers = tuple(int(n) for n in self._draw((2,), 0))

    def pair(self, cell: Cell, number: int) -> tuple[Request, Request]:
        """Two requests on one context that no other number has: what is new to an engine, and what it then has read.

        Their candidates differ, because an engine may keep those as well.
        """
        context = tuple(self._draw((cell.context,), 1, number, cell.candidates).tolist())
        ids = self._draw((2, cell.candidates, CANDIDATE_TOKENS), 2, number, cell.candidates)
        cold, warm = ([Question(tuple(row), self._answers) for row in half] for half in ids.tolist())
        return Request(context, cold), Request(context, warm)

    def _draw(self, shape: tuple[int, ...], *what: int) -> np.ndarray:
        dice = np.random.default_rng([self._seed, *what])
        if what == (0,):  # two answers that differ
            return dice.permutation(np.arange(self._first, self._vocabulary))[: shape[0]]
        return dice.integers(self._first, self._vocabulary, shape)
