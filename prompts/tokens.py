"""Text to token ids, a piece at a time, so that ids never depend on what stands beside a piece."""

import json
from pathlib import Path
from typing import Any, Protocol

from genrec.titles import one_line
from prompts.base_files import locate

MAX_DATA_TOKENS = 64  # a title or a query longer than this is cut: a history is made of many
MAX_DATA_CHARACTERS = 2_000
MAX_KNOWN = 32_000_000  # characters and tokens of the pieces remembered: a catalog's titles, not every query ever asked
AS_IT_IS = (
    "TokenizersBackend",
    "PreTrainedTokenizerFast",
)  # transformers' classes that change no tokenizer.json
PIECE = 16  # characters that remembering one costs besides


class Tokenizer(Protocol):
    """The part of a Hugging Face fast tokenizer that is used here."""

    @property
    def backend_tokenizer(self) -> Any: ...

    def __len__(self) -> int: ...


class TokenizerFile:
    """The tokenizer.json of a model's folder, read without a model library."""

    def __init__(self, folder: Path) -> None:
        import tokenizers

        self.backend_tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size())


def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of a base model (prompts.base_files names it), without transformers where that would take
    tokenizer.json as it is."""
    folder = Path(locate(name))
    try:
        facts = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        facts = {}
    if facts.get("tokenizer_class") in AS_IT_IS and (folder / "tokenizer.json").exists():
        return TokenizerFile(folder)
    from prompts.language_model import load_tokenizer

    loaded: Tokenizer = load_tokenizer(name)
    return loaded


class Tokens:
    """Encodes pieces and remembers them.

    `literal` is for templates, `data` for what items and users say. Neither ever yields a control token: the
    tokenizer is told to read `<|im_end|>` and its like as the characters they are. That holds for a copy of it: the
    tokenizer that was given still knows its control tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._backend = _without_control(tokenizer.backend_tokenizer)
        self._known: dict[str, tuple[int, ...]] = {}
        self._size = 0  # of what is known, as MAX_KNOWN counts

    def literal(self, text: str) -> tuple[int, ...]:
        if (ids := self._known.get(text)) is None:
            ids = tuple(self._backend.encode(text, add_special_tokens=False).ids)
            size = PIECE + len(text) + len(ids)
            if self._size + size > MAX_KNOWN:
                self._known.clear()
                self._size = 0
            self._known[text] = ids
            self._size += size
        return ids

    def data(self, text: str) -> tuple[int, ...]:
        """Ids of a title, a column or a query: one line of visible text, MAX_DATA_TOKENS at most."""
        return self.literal(one_line(text[:MAX_DATA_CHARACTERS]))[:MAX_DATA_TOKENS]

    def text(self, ids: Any) -> str:
        return str(self._backend.decode(list(ids), skip_special_tokens=False))


def _without_control(backend: Any) -> Any:
    """A copy that reads every added token, whether it is marked special or not (`<think>`), as its characters."""
    facts = json.loads(backend.to_str())
    for token in facts["added_tokens"]:
        token["special"] = True
    copy = type(backend).from_str(json.dumps(facts))
    copy.encode_special_tokens = True
    return copy
