"""Nothing in a folder that someone hands over is run: no pickle is opened, no code beside a model is imported."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from genrec.errors import UserError
from prompts.language_model import load_model, load_tokenizer
from serve.weights import adapted

CODE = """
from pathlib import Path
Path({path!r}).write_text("run")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig): model_type = {kind!r}
class Model(LlamaForCausalLM): config_class = Config
class Tokenizer(PreTrainedTokenizerFast): pass
"""


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.sign, "run")


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    return tmp_path / "sign"


@pytest.fixture
def model(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "model"))


def changed(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_the_canary_sings_when_it_is_unpickled(sign: Path) -> None:
    pickle.loads(pickle.dumps(Canary(sign)))
    assert sign.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_not_opened(model: Path, sign: Path, name: str) -> None:
    for file in model.glob("*.safetensors"):
        file.unlink()
    (model / name).write_bytes(pickle.dumps(Canary(sign)))
    with pytest.raises(UserError, match="Cannot load the model"):
        load_model(str(model), "float32", "eager")
    assert not sign.exists()


def test_pickled_weights_beside_good_ones_are_left_alone(model: Path, sign: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(sign)))
    load_model(str(model), "float32", "eager")
    assert not sign.exists()


@pytest.mark.parametrize("kind", ["llama", "songbird"])
def test_code_beside_a_model_is_not_imported(model: Path, sign: Path, kind: str) -> None:
    (model / "code.py").write_text(CODE.format(path=str(sign), kind=kind))
    places = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    changed(model / "config.json", auto_map=places, model_type=kind, architectures=["Model"])
    changed(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]})
    if kind == "llama":  # transformers knows it: its own code is what runs
        load_model(str(model), "float32", "eager")
    else:
        with pytest.raises(UserError, match="Cannot load the model"):
            load_model(str(model), "float32", "eager")
    try:
        load_tokenizer(str(model))
    except UserError as error:
        assert "Cannot load the model" in str(error)  # noqa: PT017 (either is safe)
    assert not sign.exists()


def test_a_config_of_the_wrong_kind_is_refused_without_a_traceback(model: Path) -> None:
    changed(model / "config.json", hidden_size="wide")
    with pytest.raises(UserError, match="hidden_size"):
        load_model(str(model), "float32", "eager")


def test_an_adapter_that_names_a_library_to_import_does_not_get_it(
    base: Path, tmp_path: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path / "adapter"
    model = load_model(str(base), "float32", "eager")
    get_peft_model(model, LoraConfig(target_modules="all-linear")).save_pretrained(str(folder))
    (tmp_path / "canary_library.py").write_text(CODE.format(path=str(sign), kind="songbird"))
    monkeypatch.syspath_prepend(tmp_path)
    changed(
        folder / "adapter_config.json",
        auto_mapping={"base_model_class": "Model", "parent_library": "canary_library"},
        base_model_name_or_path=str(tmp_path / "elsewhere"),
    )
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Canary(sign)))
    adapted(str(base), "float32", folder)
    assert not sign.exists()
