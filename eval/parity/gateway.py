"""The whole way of a client: `genrec serve` in a process of its own, asked through its OpenAI route."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import numpy as np
from tqdm import tqdm

from eval.parity.drawn import DrawnPrompt
from prompts.adapter import AdapterCard
from serve.bench import processes


def gateway_answers(
    kind: str, adapter: Path, dtype: str, data: Path, prompts: Sequence[DrawnPrompt]
) -> np.ndarray:
    """(n,) log-odds through the gateway. kind: of engine. data: the prepared folder."""
    with TemporaryDirectory() as place, TemporaryDirectory() as private:
        copy = in_dtype(adapter, dtype, Path(place))
        with processes.gateway(copy, data, kind, Path(private), scopes=("openai",)) as at:
            headers = {"Authorization": f"Bearer {at.key}"}
            with httpx2.Client(base_url=at.url, headers=headers, timeout=600) as client:
                asked = tqdm(prompts, desc="gateway", leave=False, disable=None)
                return np.array([prompt.log_odds(echoed(client, prompt)) for prompt in asked])


def echoed(client: httpx2.Client, prompt: DrawnPrompt) -> list[np.ndarray]:
    """Each question's log-probabilities of its answers, over the vocabulary: the prompt is sent with each answer of the
    last question behind it, and comes back with every token's."""
    last = prompt.questions[-1]
    body = {
        "model": "genrec", "prompt": [[*prompt.ids, answer] for answer in last.answers], "max_tokens": 1,
        "echo": True, "logprobs": 1, "temperature": 0,
    }  # fmt: skip
    reply = client.post("/v1/completions", json=body).raise_for_status().json()
    choices = sorted(reply["choices"], key=lambda choice: choice["index"])
    told: list[list[Any]] = [choice["logprobs"]["token_logprobs"] for choice in choices]
    places = [len(prompt.context) + len(question.ids) for question in prompt.questions]
    return [np.array([tokens[place] for tokens in told], np.float64) for place in places]


def in_dtype(adapter: Path, dtype: str, place: Path) -> Path:
    """A copy of an adapter that is served in another number format."""
    copy = place / "runs" / "copy" / "adapter"
    shutil.copytree(adapter, copy, ignore=shutil.ignore_patterns("merged-*"))
    dataclasses.replace(AdapterCard.load(adapter), dtype=dtype).save(copy)
    return copy
