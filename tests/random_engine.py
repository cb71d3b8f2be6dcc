"""A mock engine: random log-probabilities that depend on the token ids alone, so that packing cannot matter."""

import zlib
from collections.abc import Sequence

import numpy as np

from prompts.layout import Question
from serve.engine import Request

WIDTH = 8  # of embeddings


class RandomEngine:
    """sharp: how unequal the probabilities are. vocabulary: tokens that share them where all are asked about."""

    name = "random"

    def __init__(self, seed: int = 0, sharp: float = 1.0, vocabulary: int = 6) -> None:
        self.seed, self.sharp, self.vocabulary = seed, sharp, vocabulary
        self.calls: list[list[Request]] = []
        self.embedded: list[int] = []  # prompts, call by call

    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        self.calls.append(list(requests))
        return [[self.answer((*r.context, *q.ids), q) for q in r.questions] for r in requests]

    def answer(self, ids: tuple[int, ...], question: Question) -> np.ndarray:
        everything = question.over == "vocabulary"
        random = np.random.default_rng([self.seed, zlib.crc32(np.array(ids, np.int64).tobytes())])
        logits = random.normal(0, self.sharp, self.vocabulary if everything else len(question.answers))
        logits = logits - np.logaddexp.reduce(logits)
        return np.asarray(logits[list(question.answers)] if everything else logits)

    def generate(self, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]) -> list[int]:
        raise NotImplementedError

    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        self.embedded.append(len(prompts))
        found = np.zeros((len(prompts), WIDTH), np.float32)
        for n, ids in enumerate(prompts):
            found[n] = np.random.default_rng([self.seed, *ids]).normal(size=WIDTH)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))
