"""Questions as the single prompts that a prefix-caching server takes: one a question, in two waves.

Such a server keeps whole blocks of a prompt it has read. Of each context one question goes first and brings it into the
cache; the others follow together and find it there. What stands in a context's last, partial block travels with each
question: that is the server's own affair, the ids are those of the one layout.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from serve.branches import trunks
from serve.engine import Request, check_length

MOST_TOKENS = 128  # whose log-probabilities one prompt may ask for: vLLM's MAX_LOGPROB_TOKEN_IDS


class SinglePrompt(NamedTuple):
    """ids to read; tokens (MOST_TOKENS at most): whose log-probabilities, of the whole vocabulary, are wanted behind
    them; request, question, start: where they belong."""

    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    request: int
    question: int
    start: int


def prompts(requests: Sequence[Request], limit: int) -> list[SinglePrompt]:
    """limit: tokens that the model reads. Raises as Engine.score does."""
    found: list[SinglePrompt] = []
    for r, request in enumerate(requests):
        check_length(max(len(request.context), 1), limit)
        for q, question in enumerate(request.questions):
            ids, tokens = (*request.context, *question.ids), question.answers
            check_length(len(ids), limit)
            starts = range(0, len(tokens), MOST_TOKENS)
            found.extend(SinglePrompt(ids, tokens[k : k + MOST_TOKENS], r, q, k) for k in starts)
    return found


def waves(requests: Sequence[Request], asked: Sequence[SinglePrompt]) -> Iterator[list[SinglePrompt]]:
    """One prompt for each context that no other continues, then all the rest; neither wave is empty."""
    by_request: dict[int, list[SinglePrompt]] = {}
    for prompt in asked:
        by_request.setdefault(prompt.request, []).append(prompt)
    first = []
    for _, members in trunks([tuple(request.context) for request in requests]):
        # The members come in order of length; one without questions brings nothing.
        for member in reversed(members):
            if by_request.get(member):
                first.append(by_request[member][0])
                break
    early = {id(prompt) for prompt in first}
    for wave in (first, [prompt for prompt in asked if id(prompt) not in early]):
        if wave:
            yield wave


class Answers:
    """Gathers log-probabilities as they come in, and gives them as Engine.score returns them."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._found = [[np.full(len(q.answers), np.nan) for q in request.questions] for request in requests]

    def put(self, prompt: SinglePrompt, logprob_of: Callable[[int], float]) -> None:
        """logprob_of: a token's natural log-probability, of the whole vocabulary."""
        row = self._found[prompt.request][prompt.question]
        row[prompt.start : prompt.start + len(prompt.tokens)] = [logprob_of(t) for t in prompt.tokens]

    def all(self) -> list[list[np.ndarray]]:
        """Raises RuntimeError where one is missing."""
        for request, found in zip(self._requests, self._found, strict=True):
            for n, (question, row) in enumerate(zip(request.questions, found, strict=True)):
                if np.isnan(row).any():
                    raise RuntimeError(
                        f"question {n} of a context of {len(request.context)} tokens: no answer"
                    )
                if question.over == "answers":
                    found[n] = row - np.logaddexp.reduce(row)
        return self._found
