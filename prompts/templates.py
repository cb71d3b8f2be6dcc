"""Templates to pieces: operators write Jinja2, what users and items say stays inert data."""

import math
import re
import threading
from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from genrec.errors import UserError
from prompts.tokens import Tokens

END = "\t"  # ends an item's title; no title holds one (genrec.titles.one_line)
LETTERS = ascii_uppercase + ascii_lowercase
LOWEST, HIGHEST = -6.8, 3.4  # log-odds of the letters A and z
STEP = 0.2  # from one letter to the next
MARK = re.compile("\x00(\\d+)\x00")


class Data:
    """Text from a user or an item inside a template: it can be placed and tested for truth, not read or changed."""

    def __init__(self, text: str) -> None:
        self._text = text  # the sandbox shows templates no name that begins with _

    def __bool__(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        raise TypeError("text from users and items can only be placed with {{ }}, not filtered or joined")

    __repr__ = __str__


def as_data(value: Any) -> Any:
    """Strings, also inside lists and mappings, become Data; numbers stay numbers; NaN becomes None."""
    if isinstance(value, str):
        return Data(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {k: as_data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)) or type(value).__name__ == "ndarray":
        return [as_data(v) for v in value]
    return value


def level(share: float) -> str:
    """A share as one letter, one token for a model to read: A to Z, then a to z, a fifth of log-odds apart.

    "A" is a tenth of a percent or less, "z" 97 percent or more, "i" one half.

    >>> level(0.0), level(0.01), level(0.02), level(0.5), level(0.55), level(0.784), level(1.0)
    ('A', 'L', 'P', 'i', 'j', 'o', 'z')
    """
    share = min(max(share, 1e-9), 1 - 1e-9)
    step = round((math.log(share / (1 - share)) - LOWEST) / STEP)
    return LETTERS[min(max(step, 0), len(LETTERS) - 1)]


def amount(number: float) -> str:
    """A number as people write it: no digits that say nothing.

    >>> amount(3.0), amount(0.04167), amount(12.345), amount(1234.5)
    ('3', '0.04', '12', '1234')
    """
    if number == int(number):
        return str(int(number))
    return f"{number:.2f}" if abs(number) < 1 else f"{number:.1f}" if abs(number) < 10 else f"{number:.0f}"


_END = Data(END)


class _Placed(threading.local):
    """What has been placed so far; each thread's own, since a server writes several requests' prompts at once."""

    def __init__(self) -> None:
        self.ids: list[tuple[int, ...]] = []


class Templates:
    """Renders templates to token ids through one Tokens. Safe to call from several threads."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._placed = _Placed()
        self._environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, keep_trailing_newline=True, finalize=self._finalize, autoescape=False
        )
        self._environment.globals = {"level": level, "amount": amount, "end": _END}
        self._compiled: dict[str, Any] = {}

    def ids(self, template: str, where: str, **values: Any) -> tuple[int, ...]:
        """Token ids of a rendered template; literal stretches and each placed value are pieces of their own."""
        self._placed.ids = []
        try:
            if template not in self._compiled:
                self._compiled[template] = self._environment.from_string(template)
            text = self._compiled[template].render(values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise UserError(
                f"The template does not render: {error}", where=where, cure="see docs/tasks.md"
            ) from error
        out: list[int] = []
        for k, part in enumerate(MARK.split(text)):
            if k % 2:
                out.extend(self._placed.ids[int(part)])
            elif part:
                out.extend(self.tokens.literal(part))
        return tuple(out)

    def _finalize(self, value: Any) -> Any:
        if isinstance(value, Data):
            text = value._text
            self._placed.ids.append(self.tokens.literal(END) if value is _END else self.tokens.data(text))
            return f"\x00{len(self._placed.ids) - 1}\x00"
        if value is not None and not isinstance(value, (str, int, float)):
            raise TypeError(f"a {type(value).__name__} cannot be placed: name one of its parts")
        return "" if value is None else value
