"""Text to token ids, a piece at a time, so that ids never depend on what stands beside a piece."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from genrec.errors import UserError
from genrec.titles import one_line
from prompts.base_files import COPY, locate

MAX_DATA_TOKENS = 64  # a title or a query longer than this is cut: a history is made of many
MAX_DATA_CHARACTERS = 2_000
MAX_KNOWN = 32_000_000  # characters and tokens of the pieces remembered: a catalog's titles, not every query ever asked
PIECE = 16  # characters that remembering one costs besides
AS_IT_IS = (
    "TokenizersBackend",
    "PreTrainedTokenizerFast",
)  # of transformers: they change nothing of tokenizer.json


class Tokenizer(Protocol):
    """The part of a Hugging Face fast tokenizer that is used here."""

    @property
    def backend_tokenizer(self) -> Any: ...

    def __len__(self) -> int: ...


class TokenizerFile:
    """The tokenizer.json of a model's folder, read without a model library. definition: its JSON.

    Raises UserError for a file that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            self.definition = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"Cannot read the tokenizer: {error}", where=str(path), cure=COPY) from error

    @cached_property
    def backend_tokenizer(self) -> Any:
        return _backend(self.definition)

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size())


def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of a base model (prompts.base_files names it), without transformers where that would take
    tokenizer.json as it is."""
    folder = Path(locate(name))
    if tokenizer_as_it_is(folder):
        return TokenizerFile(folder)
    from prompts.language_model import load_tokenizer

    loaded: Tokenizer = load_tokenizer(name)
    return loaded


def tokenizer_as_it_is(folder: Path) -> bool:
    """Whether transformers would take a folder's tokenizer.json as it is."""
    try:
        facts = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return facts.get("tokenizer_class") in AS_IT_IS and (folder / "tokenizer.json").exists()


class Tokens:
    """Encodes pieces and remembers them.

    `literal` is for templates, `data` for what items and users say. Neither ever yields a control token: the
    tokenizer is told to read `<|im_end|>` and its like as the characters they are. That holds for a copy of it: the
    tokenizer that was given still knows its control tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._backend = _without_control(
            tokenizer.definition
            if isinstance(tokenizer, TokenizerFile)
            else tokenizer.backend_tokenizer.to_str()
        )
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


def _without_control(definition: str) -> Any:
    """A tokenizer that reads every added token, whether it is marked special or not (`<think>`), as its characters."""
    backend = _backend(definition)
    if not all(token.special for token in backend.get_added_tokens_decoder().values()):
        facts = json.loads(definition)
        for token in facts["added_tokens"]:
            token["special"] = True
        backend = _backend(json.dumps(facts))
    backend.encode_special_tokens = True
    return backend


def _backend(definition: str) -> Any:
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # it has no class of its own
        raise UserError(f"Cannot read the tokenizer: {error}", where="tokenizer.json", cure=COPY) from error
