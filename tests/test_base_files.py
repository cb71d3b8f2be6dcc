"""Base models by name: a hub's id is held to its commit, a folder's fingerprint covers all that its prompts rest on."""

from pathlib import Path
from typing import Any

import pytest
from tiny import save_model, save_tokenizer

from prompts.base_files import fingerprint, locate, revision
from prompts.language_model import _loaded


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
