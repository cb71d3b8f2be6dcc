"""How vLLM is asked, in process and in its server alike."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=10_000)
def reading(tokens: tuple[int, ...]) -> Any:
    """One step, and the log-probabilities of these tokens."""
    from vllm import SamplingParams

    return SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=list(tokens), detokenize=False)


def writing(max_tokens: int, stop: Sequence[int]) -> Any:
    """The most likely continuation, up to a token of `stop`."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=0, max_tokens=max_tokens, stop_token_ids=list(stop), ignore_eos=True, detokenize=False
    )


def without_stop(ids: Sequence[int], stop: Collection[int]) -> list[int]:
    """vLLM tells the token that ended a text too."""
    return list(ids[:-1] if ids and ids[-1] in stop else ids)
