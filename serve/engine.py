"""What an engine is: prompts in, log-probabilities, texts and embeddings out. Everything above knows only this."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from genrec.errors import UserError
from prompts.layout import Question


class Request(NamedTuple):
    """One context and the questions that branch off it: each sees the context and itself, never another question."""

    context: Sequence[int]
    questions: Sequence[Question]


def check_length(tokens: int, limit: int) -> None:
    """Raises as Engine.score does, for a prompt of so many tokens; limit: those that the model reads."""
    if tokens == 0:
        raise ValueError("an empty prompt: there is no token to read at")
    if tokens > limit:
        raise UserError(
            f"A prompt of {tokens} tokens; the model reads {limit}",
            cure="train and serve with a smaller history_tokens, or choose another model",
        )


class Engine(Protocol):
    """A language model that answers in numbers. Every implementation passes tests/engine_contract.py.

    The same ids give the same answer, whatever else is asked with them or was asked before: log-odds differ by 1e-3 at
    most in float32. An engine is not safe to call from two threads at once.
    """

    @property
    def name(self) -> str:
        """Kind, device and number format, for reports."""
        ...

    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        """For each request, one (len(answers),) float64 array of log-probabilities a question, in its answers' order.

        Contexts that begin alike are computed once, also where they come in different requests or calls. Raises
        UserError for a prompt longer than the model can read, ValueError for an empty one.
        """
        ...

    def generate(self, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]) -> list[int]:
        """The most likely continuation, token by token; ends before a token of `stop` or after max_tokens."""
        ...

    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """(n, width) float32, of length 1: the last hidden state of each prompt's last token."""
        ...
