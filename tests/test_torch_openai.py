"""Texts on the torch engine, without a server: what is told of a token and kept of it, and how long a prompt may be."""

import asyncio
import json
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import VOCABULARY, save_model, save_tokenizer

from genrec.errors import UserError
from prompts.language_model import load_tokenizer
from serve import torch_engine
from serve.child.likely import likely
from serve.child.line import OneAtATime
from serve.child.openai_schemas import Chat, Named, Text
from serve.child.torch_openai import OpenAI
from serve.torch_engine import TorchEngine

PROMPT = [5, 6, 7, 8, 9, 10, 11]


@given(st.lists(st.sampled_from([-np.inf, -3.0, -2.0, -1.0]), min_size=5, max_size=30), st.integers(0, 5))
def test_the_most_likely_are_those_of_the_whole_order_ties_by_id(values: list[float], top: int) -> None:
    row = np.array(values, np.float32)
    best = sorted(range(len(values)), key=lambda i: (-values[i], i))[:top]
    assert likely(row, 3, top) == (values[3], tuple((i, values[i]) for i in best))


class Weighed(TorchEngine):
    """Counts the rows of a vocabulary that are alive at once."""

    most = 0

    def _seen(self, found: Any) -> Any:
        self._rows = [row for row in getattr(self, "_rows", []) if row() is not None] + [weakref.ref(found)]
        self.most = max(self.most, len(self._rows))
        return found

    def steps(self, *args: Any, **options: Any) -> Iterator[tuple[int, np.ndarray]]:
        return ((token, self._seen(row)) for token, row in super().steps(*args, **options))

    def read_through(self, prompt: Sequence[int]) -> Iterator[np.ndarray]:
        return map(self._seen, super().read_through(prompt))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(save_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Weighed:
    return Weighed(torch_engine.load(str(folder), "float32").backbone)


@pytest.fixture
def server(engine: Weighed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> OpenAI:
    monkeypatch.setattr(torch_engine, "HEAD_ROWS", 2)
    tokenizer = load_tokenizer(str(folder))
    tokenizer.eos_token = None  # no text ends by itself
    engine.most = 0
    return OpenAI(engine, Named("genrec", tokenizer), OneAtATime())


def test_no_row_of_a_vocabulary_outlives_its_token(server: OpenAI, engine: Weighed) -> None:
    asked: dict[str, Any] = {"model": "genrec", "max_tokens": 12, "temperature": 0}
    asyncio.run(server.text(Text(**asked, prompt=PROMPT, echo=True, logprobs=3)))
    asyncio.run(server.chat(Chat(**asked, messages=[{"role": "user", "content": "w5"}], logprobs=True)))  # type: ignore[list-item]
    assert 0 < engine.most <= 3


def test_a_prompt_is_as_long_as_the_model_reads_and_no_longer(server: OpenAI) -> None:
    def asked(tokens: int) -> Text:
        return Text.model_validate({"model": "genrec", "prompt": [5] * tokens, "max_tokens": 1})

    asyncio.run(server.text(asked(256)))
    with pytest.raises(UserError, match="257 tokens; the model reads 256"):
        asyncio.run(server.text(asked(257)))


def test_a_prompt_read_in_parts_is_told_as_when_read_at_once(server: OpenAI, engine: Weighed) -> None:
    asked = {"model": "genrec", "prompt": PROMPT, "max_tokens": 0, "echo": True, "logprobs": 2}
    told = json.loads(bytes(asyncio.run(server.text(Text.model_validate(asked))).body))["choices"][0][
        "logprobs"
    ]
    rows = np.concatenate(list(engine.read_through(PROMPT)))
    assert rows.shape == (len(PROMPT), VOCABULARY)
    wanted = [float(row[token]) for row, token in zip(rows, PROMPT[1:], strict=False)]
    assert told["token_logprobs"] == [None, *wanted]
    assert told["top_logprobs"][0] is None
    for found, row in zip(told["top_logprobs"][1:], rows, strict=False):
        assert found == {f"w{i}": float(row[i]) for i in np.argsort(-row)[:2]}
