"""Hostile titles, and for each a harmless one of as many tokens: what a longer title does by its length alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from genrec.errors import UserError
from genrec.fields import read_mapping, refuse_unknown
from prompts.tokens import MAX_DATA_TOKENS, Tokens

TEXTS = Path(__file__).with_name("texts.yaml")
TITLE = "{title}"


class Texts(NamedTuple):
    """hostile: by name. harmless: the words of controls, in order."""

    hostile: Mapping[str, str]
    harmless: tuple[str, ...]


class Pair(NamedTuple):
    """tokens: of both titles as a prompt holds them; apart: by how many the control's differ."""

    hostile: str
    control: str
    tokens: int
    apart: int


def load_texts(path: Path = TEXTS) -> Texts:
    raw = read_mapping(path, "corpus of titles", f"see {TEXTS}")
    refuse_unknown(raw, Texts._fields, str(path))
    hostile, harmless = raw.get("hostile"), raw.get("harmless")
    if not isinstance(hostile, dict) or not hostile or not all(isinstance(t, str) for t in hostile.values()):
        raise UserError("hostile is no mapping of names to texts", str(path), f"see {TEXTS}")
    if not isinstance(harmless, str) or not harmless.split():
        raise UserError("harmless is no text", str(path), "write some words that nobody acts on")
    return Texts(hostile, tuple(harmless.split()))


def pair(tokens: Tokens, title: str, text: str, harmless: tuple[str, ...], start: int) -> Pair:
    """start: the word that the control begins with, so that not all controls are alike.

    A control keeps the title where the text does. A title as a prompt holds it is cut to MAX_DATA_TOKENS; the control
    is as long as what is left.
    """
    hostile = text.replace(TITLE, title)
    wanted = len(tokens.data(hostile))
    if hostile == title:
        return Pair(hostile, title, wanted, 0)
    control = title if TITLE in text else ""
    begin = len(tokens.data(control))
    for k in range(len(harmless) * MAX_DATA_TOKENS):
        if begin >= wanted:
            break
        longer = f"{control} {harmless[(start + k) % len(harmless)]}".strip()
        if (
            length := len(tokens.data(longer))
        ) <= wanted:  # a word of several tokens may not fit, the next one may
            control, begin = longer, length
    return Pair(hostile, control, wanted, abs(begin - wanted))
