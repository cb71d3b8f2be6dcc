"""A condition on one column of a row, such as `value >= 4`: the rows that are an event of their own as well."""

import operator
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from genrec.errors import UserError
from genrec.sources.files.text import NotText, as_text, filled, floats

_OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(?P<column>[^<>=!]+?)\s*(?P<operator>[<>=!]+)\s*(?P<value>.+?)\s*")
_TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Condition:
    """column: of the file, or one of ours. value: a number, or text that == and != compare with."""

    column: str
    operator: str
    value: float | str
    written: str

    def holds(self, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(bool, (rows,): where it is true; bool, (rows,): where a value is no number and should be one).

        An empty cell fulfils no condition. true and false are 1 and 0.
        """
        compare, there = _OPERATORS[self.operator], filled(array)
        if isinstance(self.value, str):
            try:
                texts = np.array(as_text(array).to_pylist(), object)
            except NotText:
                return np.zeros(len(array), bool), there
            return np.asarray(compare(texts, self.value), bool) & there, np.zeros(len(array), bool)
        values = _numbers(array)
        bad = there & np.isnan(values)
        return np.asarray(compare(values, self.value), bool) & ~np.isnan(values), bad


def read_condition(text: object, where: str) -> Condition:
    """Parse `COLUMN OPERATOR VALUE`. Nothing is evaluated: the operator is one of >= <= == != > <.

    Raises UserError for everything else.

    >>> read_condition("rating >= 4", "").value
    4.0
    >>> read_condition("state == 'paid'", "").value
    'paid'
    """
    cure = "write COLUMN OPERATOR VALUE, such as `rating >= 4` or `state == paid`; operators: >= > <= < == !="
    form = _FORM.fullmatch(text) if isinstance(text, str) else None
    if not form or form["operator"] not in _OPERATORS:
        raise UserError(f"{text!r} is no condition", where, cure)
    value = form["value"]
    if value[0] in "'\"" and value[-1] == value[0] and len(value) > 1:
        return _of_text(form, value[1:-1], where, cure)
    number = _TRUTH.get(value.lower())
    if number is None:
        try:
            number = float(value)
        except ValueError:
            if re.search(r"[\s=<>'\"]", value):
                raise UserError(f"{text!r} is more than one comparison", where, cure) from None
            return _of_text(form, value, where, cure)
    if not np.isfinite(number):
        raise UserError(f"{value} is no number to compare with", where, cure)
    return Condition(form["column"], form["operator"], number, form.string.strip())


def _of_text(form: re.Match[str], value: str, where: str, cure: str) -> Condition:
    if form["operator"] not in ("==", "!="):
        raise UserError(f"{form.string!r} compares text by size", where, cure)
    return Condition(form["column"], form["operator"], value, form.string.strip())


def _numbers(array: pa.Array) -> np.ndarray:
    """float64, true and false as 1 and 0 however they are written; NaN where it is empty or no number."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    values = floats(array)
    if pa.types.is_string(array.type):
        words = [_TRUTH.get((text or "").lower(), np.nan) for text in array.to_pylist()]
        values = np.where(np.isnan(values), words, values)
    return values
