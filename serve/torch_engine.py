"""The embedded engine, in PyTorch: a context is computed once and kept, its questions are packed behind it.

Two kinds of pass, each with a cache object of its own: the context's new tokens behind the keys and values at hand,
then its questions as branches (serve/branches.py), some thousand tokens a time. Only the tokens that are read meet the
head, which is float32, because a bfloat16 one rounds log-odds to 1/16 and candidates tie.

On CUDA the same code runs, with longer passes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prompts.attention import NAME, Packing
from prompts.base_files import locate
from prompts.dtypes import DTYPES, runnable
from prompts.layout import Question
from prompts.packing import common_prefix
from serve.backbone import Backbone, Layers
from serve.branches import branches, passes, trunks
from serve.context_cache import Context, ContextCache
from serve.decoder import read
from serve.engine import Request, check_length

# Of branches a pass. On a CPU longer ones gain nothing; on CUDA see docs/gpu.md.
PASS_TOKENS, PASS_TOKENS_ON_CUDA = 2_048, 8_192
CACHE_TOKENS = 16_384  # of contexts kept: 23 KB each for SmolLM2-135M in bfloat16
HEAD_ROWS = 256  # hidden states a time where the whole vocabulary is wanted


class TorchEngine:
    """Scores, generates and embeds. backbone: see `load`."""

    def __init__(self, backbone: Backbone, cache_tokens: int = CACHE_TOKENS) -> None:
        self.backbone = backbone
        self.cache = ContextCache(cache_tokens)
        self._dtype, self._head, self._limit = backbone.dtype, backbone.head, backbone.limit

    @property
    def name(self) -> str:
        return f"torch {self._head.device.type} {str(self._dtype).removeprefix('torch.')}"

    @torch.inference_mode()
    def score(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        questions = [q for request in requests for q in request.questions]
        asked = [(tuple(r.context), [q.ids for q in r.questions]) for r in requests]
        found = iter(self._log_probabilities(self._read(asked), questions))
        return [[next(found) for _ in request.questions] for request in requests]

    def generate(
        self,
        prompt: Sequence[int],
        max_tokens: int,
        stop: Sequence[int],
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[int]:
        """As Engine.generate; temperature > 0 draws instead of taking the most likely, the same for the same seed."""
        written = list[int]()
        for token, _ in self.steps(prompt, max_tokens, temperature, seed=seed):
            if token in stop:
                break
            written.append(token)
        return written

    def steps(
        self,
        prompt: Sequence[int],
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Token by token: each with the (vocabulary,) float32 log-probabilities it was taken from. It ends after
        max_tokens, or where the model's context is full. top_p: draw among the likeliest that make up this share."""
        ids = np.asarray(prompt, dtype=np.int64)
        self.check_length(len(ids))
        max_tokens = min(max_tokens, self._limit - len(ids))
        dice = torch.Generator(self._head.device).manual_seed(seed)
        with torch.inference_mode():
            layers, token = self._context(ids[:-1]).first(len(ids) - 1), int(ids[-1])
        for place in range(len(ids) - 1, len(ids) - 1 + max_tokens):
            with torch.inference_mode():
                hidden, layers = self._forward(*_trunk([token], place), layers)
                logits = hidden[0] @ self._head.T
                token = _drawn(logits, temperature, top_p, dice) if temperature > 0 else int(logits.argmax())
                logprobs = logits.log_softmax(-1).cpu().numpy()
            yield token, logprobs

    @torch.inference_mode()
    def read_through(self, prompt: Sequence[int]) -> Iterator[np.ndarray]:
        """The log-probabilities of what follows each of a prompt's tokens, (HEAD_ROWS or less, vocabulary) float32 a
        time."""
        ids = np.asarray(prompt, dtype=np.int64)
        self.check_length(len(ids))
        hidden, _ = self._forward(*_trunk(ids, 0), [])
        for rows in hidden.split(HEAD_ROWS):
            yield (rows @ self._head.T).log_softmax(-1).cpu().numpy()

    @torch.inference_mode()
    def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        if not prompts:
            return np.zeros((0, self._head.shape[1]), np.float32)
        least, most = min(map(tuple, prompts)), max(map(tuple, prompts))
        shared = common_prefix(
            np.asarray(least), np.asarray(most)
        )  # the two ends of the order share what all share
        hidden = self._read([(least[:shared], [tuple(p[shared:]) for p in prompts])])
        return np.asarray(torch.nn.functional.normalize(hidden, dim=-1).cpu(), dtype=np.float32)

    # ---- from prompts to hidden states ------------------------------------------------------------------

    def _read(self, asked: Sequence[tuple[tuple[int, ...], Sequence[tuple[int, ...]]]]) -> torch.Tensor:
        """(n, width) float32 hidden states of the last token of each context + ids, in the order given."""
        prompts = [context + tuple(ids) for context, questions in asked for ids in questions]
        for prompt in prompts:
            self.check_length(len(prompt))
        for context, _ in asked:
            self.check_length(max(len(context), 1))
        hidden = torch.empty(len(prompts), self._head.shape[1], device=self._head.device)
        at_most = PASS_TOKENS_ON_CUDA if self._head.is_cuda else PASS_TOKENS
        ends = np.cumsum([len(questions) for _, questions in asked])
        for trunk, members in trunks([context for context, _ in asked]):
            numbers = [n for m in members for n in range(ends[m] - len(asked[m][1]), ends[m])]
            ids = np.asarray(trunk, dtype=np.int64)
            layers = self._context(ids).layers
            for p in passes(branches(ids, [prompts[n] for n in numbers]), at_most):
                states, _ = self._forward(p.input_ids, p.position_ids, p.segment, p.fork, layers)
                hidden[[numbers[k] for k in p.prompts]] = states[torch.as_tensor(p.places)]
        return hidden

    def _context(self, ids: np.ndarray) -> Context:
        """Keys and values of ids, from the cache as far as it has them; they may go on beyond ids."""
        known, shared = self.cache.longest(ids)
        if known is not None and shared == len(ids):
            return known
        if not len(ids):
            return Context(ids, [])
        past = known.first(shared) if known is not None else []
        _, layers = self._forward(*_trunk(ids[shared:], shared), past)
        context = Context(ids, [(keys.to(self._dtype), values.to(self._dtype)) for keys, values in layers])
        self.cache.add(context)
        return context

    def _forward(
        self, ids: Any, positions: np.ndarray, segment: np.ndarray, fork: np.ndarray, past: Layers
    ) -> tuple[torch.Tensor, Layers]:
        """(L, width) last hidden states of one pass behind the tokens of `past`, and the keys and values of both."""
        device = self._head.device
        cached = past[0][0].shape[2] if past else 0
        return self.backbone(
            torch.as_tensor(ids, device=device),
            torch.as_tensor(positions, device=device),
            Packing(segment, fork, cached, self._dtype, device),
            past,
        )

    # ---- from hidden states to log-probabilities --------------------------------------------------------

    def _log_probabilities(self, hidden: torch.Tensor, questions: Sequence[Question]) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.empty(0)] * len(questions)
        alike: dict[tuple[int, ...] | None, list[int]] = {}
        for n, question in enumerate(questions):
            alike.setdefault(question.answers if question.over == "answers" else None, []).append(n)
        for answers, numbers in alike.items():
            if answers is not None:
                logits = hidden[numbers] @ self._head[list(answers)].T
                for n, row in zip(numbers, _log_softmax(logits), strict=True):
                    found[n] = row
            else:
                self._over_vocabulary(hidden, questions, numbers, found)
        return found

    def _over_vocabulary(
        self, hidden: torch.Tensor, questions: Sequence[Question], numbers: list[int], found: list[np.ndarray]
    ) -> None:
        for start in range(0, len(numbers), HEAD_ROWS):
            part = numbers[start : start + HEAD_ROWS]
            logits = hidden[part] @ self._head.T
            total = logits.logsumexp(-1)
            for k, n in enumerate(part):
                picked = logits[k, list(questions[n].answers)] - total[k]
                found[n] = picked.cpu().numpy().astype(np.float64)

    # ---- what is refused --------------------------------------------------------------------------------

    def check_length(self, tokens: int) -> None:
        check_length(tokens, self._limit)


def load(base: str, dtype: str, adapter: Path | None = None, merge: bool = True) -> TorchEngine:
    """The engine of a base model (prompts.language_model names it), with an adapter folder's weights if given.

    dtype: float32 is taken where bfloat16 cannot run. merge: see serve.weights.adapted.
    """
    dtype = runnable(dtype)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = Path(locate(base))
    if merge and folder.is_dir() and (decoder := read(folder, DTYPES[dtype], device, adapter)) is not None:
        return TorchEngine(decoder)
    # Not at the top: what most models do without takes seconds to import.
    from prompts.language_model import load_model
    from serve.transformers_backbone import TransformersBackbone
    from serve.weights import adapted

    model: Any = load_model(base, dtype, NAME) if adapter is None else adapted(base, dtype, adapter, merge)
    return TorchEngine(TransformersBackbone(model.to(device)))


def _trunk(ids: Any, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """ids, position_ids, segment, fork of tokens that continue a trunk of `start` tokens."""
    positions = np.arange(start, start + len(ids))
    return np.asarray(ids), positions, np.zeros(len(ids), np.int32), (positions + 1).astype(np.int32)


def _drawn(logits: torch.Tensor, temperature: float, top_p: float, dice: torch.Generator) -> int:
    # From the best down: a very low temperature then leaves zeros and -inf, and no infinities to divide.
    p, order = ((logits - logits.max()).double() / temperature).softmax(-1).sort(descending=True)
    p[p.cumsum(-1) - p > top_p] = 0
    return int(order[torch.multinomial(p, 1, generator=dice)])


def _log_softmax(logits: torch.Tensor) -> np.ndarray:
    """(n, answers) float64."""
    return logits.double().log_softmax(-1).cpu().numpy()
