"""The torch engine: the contract for base and merged weights, parity on the real model, what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_contract import CONTEXT, QUESTIONS, EngineContract, Reference
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from plain_model import one_by_one, plain
from tiny import save_adapter, save_model

from genrec.errors import UserError
from prompts.base_files import BUILT_IN
from prompts.language_model import load_model, load_tokenizer
from prompts.layout import Question
from prompts.tokens import Tokens
from serve.engine import Request
from serve.torch_engine import TorchEngine, load
from serve.transformers_backbone import steady


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(tiny, tmp_path_factory.mktemp("adapter"))


class TestBase(EngineContract):
    @pytest.fixture(scope="class")
    def engine(self, tiny: Path) -> TorchEngine:
        return load(str(tiny), "float32")

    @pytest.fixture(scope="class")
    def reference(self, tiny: Path) -> Reference:
        return one_by_one(plain(tiny))

    def test_a_cache_too_small_for_anything_changes_nothing(self, tiny: Path, reference: Reference) -> None:
        engine = TorchEngine(load(str(tiny), "float32").backbone, cache_tokens=0)
        self.agree(engine, reference, [Request(CONTEXT[:n], QUESTIONS) for n in (10, 40, 12)])

    def test_a_longer_history_computes_only_what_is_new(self, engine: TorchEngine) -> None:
        engine.cache.clear()
        engine.score([Request(CONTEXT[:30], QUESTIONS)])
        assert engine.cache.longest(np.array(CONTEXT))[1] == 30
        engine.score([Request(CONTEXT, QUESTIONS), Request(CONTEXT[:12], QUESTIONS)])
        assert engine.cache.longest(np.array(CONTEXT))[1] == 40
        assert len(engine.cache) == 40  # tokens: one context, which the shorter ones lie in

    def test_drawing_is_repeatable(self, engine: TorchEngine) -> None:
        drawn = [engine.generate(CONTEXT, 8, (), temperature=2.0, seed=seed) for seed in (1, 1, 2, 3)]
        assert drawn[0] == drawn[1]
        assert len({tuple(d) for d in drawn}) > 1

    @settings(max_examples=30)
    @given(data=st.data())
    def test_any_requests(self, engine: TorchEngine, reference: Reference, data: st.DataObject) -> None:
        """A small alphabet, so that contexts and questions share prefixes in every way they can."""
        ids = st.lists(st.integers(1, 3), max_size=8).map(tuple)
        requests = []
        for context in data.draw(st.lists(ids, max_size=4)):
            asked = data.draw(st.lists(ids, max_size=4))
            requests.append(Request(context, [Question(q, (5, 9)) for q in asked if context or q]))
        self.agree(engine, reference, requests)


class TestMerged(EngineContract):
    """Against base plus adapter, never merged: in float32 the two are one model within the tolerance."""

    @pytest.fixture(scope="class")
    def engine(self, tiny: Path, adapter: Path) -> TorchEngine:
        return load(str(tiny), "float32", adapter)

    @pytest.fixture(scope="class")
    def reference(self, tiny: Path, adapter: Path) -> Reference:
        return one_by_one(PeftModel.from_pretrained(plain(tiny), adapter).get_base_model())

    def test_the_adapter_changes_the_model(self, engine: TorchEngine, tiny: Path) -> None:
        base, merged = (
            e.score([Request(CONTEXT, QUESTIONS)])[0][0] for e in (load(str(tiny), "float32"), engine)
        )
        assert np.abs(base - merged).max() > 0.05


class TestUnmerged(TestMerged):
    @pytest.fixture(scope="class")
    def engine(self, tiny: Path, adapter: Path) -> TorchEngine:
        return load(str(tiny), "float32", adapter, merge=False)


class TestQwen3(EngineContract):
    """Another architecture (norms on queries and keys), its head not tied to its embeddings."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_model(tmp_path_factory.mktemp("qwen"), "qwen3", tie_word_embeddings=False)

    @pytest.fixture(scope="class")
    def engine(self, folder: Path) -> TorchEngine:
        return load(str(folder), "float32")

    @pytest.fixture(scope="class")
    def reference(self, folder: Path) -> Reference:
        return one_by_one(plain(folder))


@pytest.mark.parametrize(
    ("architecture", "changes", "why"),
    [
        ("gemma2", {"attn_logit_softcapping": None, "final_logit_softcapping": 1.0}, "its logits"),
        ("gemma2", {"attn_logit_softcapping": 5.0, "final_logit_softcapping": None}, "capped attention"),
        ("granite", {"logits_scaling": 4.0}, "its logits"),
        ("mistral", {"sliding_window": 16}, "sliding window of 16 tokens"),
    ],
)
def test_an_architecture_that_would_be_scored_wrongly_is_refused(
    architecture: str, changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    save_model(tmp_path, architecture, **changes)
    with pytest.raises(UserError, match=why):
        load(str(tmp_path), "float32").score([Request(CONTEXT, QUESTIONS)])


def test_a_folder_that_is_no_adapter_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"pickled")
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors"):
        load(str(tiny), "float32", tmp_path)


def test_an_adapter_for_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path, hidden_size=32)
    with pytest.raises(UserError, match="does not fit"):
        load(str(other), "float32", adapter)


def real_request() -> Request:
    tokens = Tokens(load_tokenizer(BUILT_IN))
    films = ["Fargo", "Toy Story", "The Third Man", "Heat", "Twelve Monkeys", "Babe", "Se7en", "Vertigo"]
    head = tokens.literal(
        "Films that one viewer rated, one a line: title, percent of viewers who liked it, yes or no.\n"
    )
    lines = [
        tokens.literal(f"{film}\t{60 + n} yes\n" if n % 3 else f"{film}\t{60 + n} no\n")
        for n, film in enumerate(films)
    ]
    asked = [
        tokens.literal(f"{film}\t{55 + 3 * n}")
        for n, film in enumerate(["Casablanca", "Alien", "Crash", "Evita"])
    ]
    answers = (tokens.literal(" yes")[0], tokens.literal(" no")[0])
    return Request(sum((head, *lines), ()), [Question(ids, answers) for ids in asked])


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_the_real_model_answers_as_it_does_one_by_one(dtype: str, tolerance: float) -> None:
    request = real_request()
    found = np.array(load(BUILT_IN, dtype).score([request])[0])
    model = load_model(BUILT_IN, dtype, "sdpa").eval()
    steady(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        logits = one_by_one(model)
        wanted = np.array([logits((*request.context, *q.ids))[list(q.answers)] for q in request.questions])
    gap = np.abs((found[:, 0] - found[:, 1]) - (wanted[:, 0] - wanted[:, 1]))
    print(f"largest gap in log-odds, {dtype}: {gap.max():.5f}")
    assert gap.max() <= tolerance
