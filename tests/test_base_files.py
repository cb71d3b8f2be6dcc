"""Base models by name: a hub's id is held to its commit, a folder's fingerprint covers all that its prompts rest on."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import save_model, save_tokenizer

from genrec.errors import UserError
from prompts import base_files
from prompts.base_files import BUILT_IN, fingerprint, locate, revision
from prompts.language_model import _loaded, load_tokenizer
from prompts.tokens import TokenizerFile, Tokens, tokenizer_of


def test_a_hubs_id_is_held_to_its_commit() -> None:
    asked: dict[str, Any] = {}

    class Hub:  # stands in for a hub, which cannot be reached here
        @staticmethod
        def from_pretrained(name: str, **options: Any) -> None:
            asked.update(options, name=name)

    _loaded(Hub, "org/model@0a1b2c")
    assert (asked["name"], asked["revision"]) == ("org/model", "0a1b2c")
    asked.clear()
    _loaded(Hub, "org/model")
    assert "revision" not in asked
    assert fingerprint("org/model@0a1b2c") == ""


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "model@home"
    folder.mkdir()
    save_model(folder)
    assert revision(locate(str(folder))) == (str(folder), None)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_fingerprint_changes_with_any_file_that_prompts_rest_on(tmp_path: Path, name: str) -> None:
    folder = save_tokenizer(save_model(tmp_path))
    before = fingerprint(str(folder))
    if name.endswith("json"):
        (folder / name).write_text((folder / name).read_text() + "\n")
    else:
        save_model(tmp_path, hidden_size=32)
    assert fingerprint(str(folder)) != before


def test_a_fingerprint_is_remembered_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a gigabyte takes half a second to read, at every command."""
    monkeypatch.setenv("GENREC_CACHE", str(tmp_path / "cache"))
    folder = save_tokenizer(save_model(tmp_path / "model"))
    monkeypatch.setattr(base_files, "SETTLED", -(10**12))
    before = fingerprint(str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("a file is read again"))
        assert fingerprint(str(folder)) == before
    time.sleep(0.01)  # a tick of the file system's clock
    os.utime(folder / "model.safetensors", ns=(1, 1))  # whatever its own time says
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert fingerprint(str(folder)) != before


def test_the_fingerprint_of_files_that_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may change once more within one tick of their clock."""
    monkeypatch.setenv("GENREC_CACHE", str(tmp_path / "cache"))
    fingerprint(str(save_model(tmp_path / "model")))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": 1}'])
def test_a_memory_that_cannot_be_read_is_none(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(base_files, "SETTLED", -(10**12))
    folder = str(save_model(tmp_path / "model"))
    before = fingerprint(folder)
    (memory,) = (tmp_path / "cache" / "fingerprints").iterdir()
    memory.write_text(damage)
    assert fingerprint(folder) == before


def test_a_tokenizer_is_that_of_transformers(tmp_path: Path) -> None:
    """Read from its file where transformers would take that as it is, else by transformers."""
    folder = save_tokenizer(save_model(tmp_path))
    for name in (BUILT_IN, str(folder)):
        ours, theirs = tokenizer_of(name), load_tokenizer(name)
        assert isinstance(ours, TokenizerFile)
        assert json.loads(ours.definition) == json.loads(theirs.backend_tokenizer.to_str())
        assert len(ours) == len(theirs)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}))
    assert not isinstance(tokenizer_of(str(folder)), TokenizerFile)


@pytest.mark.parametrize("damage", [b"{", b"\xff", b"{}"])
def test_a_damaged_tokenizer_is_refused(damage: bytes, tmp_path: Path) -> None:
    folder = save_tokenizer(save_model(tmp_path))
    (folder / "tokenizer.json").write_bytes(damage)
    with pytest.raises(UserError, match="Cannot read the tokenizer"):
        Tokens(tokenizer_of(str(folder)))
