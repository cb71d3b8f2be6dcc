"""Raw columns made into typed ones; each value that cannot be is refused with its line, its column and a cure."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genrec.errors import UserError
from genrec.findings import Findings
from genrec.sources.files.hints import nearest
from genrec.sources.files.mapping import Column, TableMapping
from genrec.sources.files.sheet import Sheet
from genrec.sources.files.text import NotText, as_text, filled, floats, number_of, plain

_WHOLE = r"^-?(0|[1-9]\d{0,17})$"  # fits 64 bits; a leading zero makes it a code, such as a postal code
_DECIMAL = r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][-+]?\d+)?$"  # whole numbers of more digits are codes
_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")

_SHOWN, _EXAMINED = 3, 1_000  # values of a message, and the rows that they are taken from


def is_index(name: str) -> bool:
    """Whether a column is the row number that pandas writes into CSV ("" or "Unnamed: 0") and Parquet."""
    return bool(_INDEX.fullmatch(name))


@dataclass(frozen=True)
class Reader:
    """Converts the columns of one table. Every method returns None after it has refused something."""

    name: str  # events, items or users
    sheet: Sheet
    mapping: TableMapping
    findings: Findings

    @property
    def rows(self) -> int:
        return int(self.sheet.table.num_rows)

    def column(self, ours: str) -> Column:
        """Where the mapping says that one of our columns comes from."""
        if ours == "event" and self.mapping.event:
            return Column(always=self.mapping.event)
        return (self.mapping.columns or {}).get(ours, Column(ours))

    def raw(self, ours: str, optional: bool = False) -> pa.Array | None:
        """The column as one array, with `values` applied; None where it is missing (refused unless optional)."""
        column = self.column(ours)
        if column.always:
            return pa.array([column.always] * self.rows, pa.string())
        if column.source in self.sheet.faults:
            self.findings.refuse_error(self.sheet.faults[column.source])
            return None
        if column.source not in self.sheet.table.column_names:
            named = ours in (self.mapping.columns or {})
            if not optional or named:
                self._refuse_missing(ours, column.source)
            return None
        array = plain(self.sheet.table[column.source])
        renamed = self.mapping.values.get(ours)
        if not renamed or pa.types.is_nested(array.type):
            return array
        try:
            return _renamed(as_text(array), dict(renamed))
        except NotText:
            return _renamed(array.cast(pa.string()), dict(renamed))

    def _refuse_missing(self, ours: str, source: str) -> None:
        has = ", ".join(filter(None, self.sheet.names)) or "none"
        near = nearest(source, [name for name in self.sheet.names if not is_index(name)])
        cure = (
            f"map it: columns: {{{ours}: {near}}}"
            if near
            else f"map it: columns: {{{ours}: NAME IN THE FILE}}"
        )
        self.findings.refuse(
            f"{self.name} has no column {source!r}",
            where=f"{self.sheet.path}, columns: {has}",
            cure=f"rename a column, or {cure}",
        )

    def refuse(
        self, bad: np.ndarray, ours: str, what: str, cure: str, values: pa.Array | None = None
    ) -> None:
        """One refusal for all rows where `bad` is true; it shows the first one and up to three values."""
        rows = np.flatnonzero(bad)
        shown: tuple[str, ...] = ()
        if values is not None:
            shown = tuple(dict.fromkeys(_shown(values[int(row)]) for row in rows[:_EXAMINED]))[:_SHOWN]
        where = self.sheet.where(int(rows[0]), self.column(ours).source)
        self.findings.refuse(what, where, cure, len(rows), shown)

    def text(self, ours: str, required: bool, optional: bool = False) -> pa.Array | None:
        """Text or whole numbers, as strings; empty text is null, as in a CSV. required: null is refused. optional: the
        column may be missing."""
        array = self.raw(ours, optional)
        if array is None:
            return None
        try:
            texts = as_text(array)
        except NotText as error:
            self.refuse(error.rows, ours, f"{ours} is {error.what}", error.cure, array)
            return None
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        if required and texts.null_count:
            self.refuse(~filled(texts), ours, f"{ours} is empty", "fill it, or leave the row out")
            return None
        return texts

    def number(self, ours: str, check: Callable[[np.ndarray], np.ndarray], rule: str) -> pa.Array | None:
        """A float64 column that may be missing. check: true where a finite value is good; rule: in words."""
        array = self.raw(ours, optional=True)
        if array is None:
            return None
        values = floats(array)
        bad = filled(array) & ~np.isfinite(values)
        with np.errstate(invalid="ignore"):  # of those that are not finite
            bad |= np.isfinite(values) & ~check(values)
        if bad.any():
            self.refuse(bad, ours, f"{ours} is not {rule}", "correct it, or leave it empty", array)
            return None
        return pa.array(values, pa.float64(), mask=~filled(array))

    def extra(self, ours: str) -> pa.Array | None:
        """A column of the user's own: text, whole or decimal numbers, or lists of text.

        What is none of these is refused where the mapping names it, and else left out with a warning.
        """
        named = ours in (self.mapping.columns or {}) or ours == "category"
        if not named and (fault := self.sheet.faults.get(ours)):
            self._leave_out(ours, fault)
            return None
        array = self.raw(ours)
        if array is None:
            return None
        try:
            return self._converted(ours, array)
        except (NotText, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            rows = error.rows if isinstance(error, NotText) else filled(array)
            what = error.what if isinstance(error, NotText) else str(array.type)
            cure = "write text, numbers or lists of text"
            if named:
                self.refuse(rows, ours, f"{ours} is {what}", cure, array)
            else:
                where = self.sheet.where(int(np.flatnonzero(rows)[0]), ours)
                self._leave_out(ours, UserError(f"it is {what}", where, cure))
            return None

    def _leave_out(self, ours: str, why: UserError) -> None:
        cure = f"{why.cure}; nothing else depends on it"
        self.findings.warn(f"Column {ours} of {self.name} left out: {why.what}", why.where, cure)

    def _converted(self, ours: str, array: pa.Array) -> pa.Array:
        """Raises NotText or Arrow's errors for a type that is neither text nor number."""
        kind, separator = array.type, self.column(ours).separator
        array = number_of(array)
        if pa.types.is_floating(array.type):
            values = array.cast(pa.float64())
            return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
        if pa.types.is_signed_integer(array.type) or (pa.types.is_integer(kind) and kind.bit_width < 64):
            return array.cast(pa.int64())
        if is_list(kind):
            return _list_of_text(array)
        if pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            texts = array.cast(pa.string())
        else:
            texts = as_text(array)
        if separator or ours == "category":
            return _lists(texts, separator)
        return _inferred(texts) if self.sheet.delimiter or pa.types.is_uint64(kind) else texts


def is_list(kind: pa.DataType) -> bool:
    """Whether a type holds several values a row, in any of Arrow's layouts."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
    )


def _list_of_text(array: pa.Array) -> pa.Array:
    """Raises NotText, of whole rows, where the members are neither text nor whole numbers."""
    try:
        members = as_text(pc.list_flatten(array))
    except NotText as error:
        raise NotText(f"a list of {error.what}", filled(array), error.cure) from error
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, members, mask=array.is_null())


def _shown(value: pa.Scalar) -> str:
    """For a message; a time that no calendar of Python's has is shown as the number that the file holds."""
    try:
        return repr(value.as_py())[:60]
    except (OverflowError, ValueError):
        return f"{value.type} {value.value}"


def _renamed(texts: pa.Array, names: dict[str, str]) -> pa.Array:
    at = pc.index_in(texts, value_set=pa.array(list(names), pa.string()))
    return pc.coalesce(pc.take(pa.array(list(names.values()), pa.string()), at), texts)


def _lists(array: pa.Array, separator: str) -> pa.Array:
    parts = [[] if v is None else (v.split(separator) if separator else [v]) for v in array.to_pylist()]
    return pa.array([[p.strip() for p in row if p.strip()] for row in parts], pa.list_(pa.string()))


def _inferred(array: pa.Array) -> pa.Array:
    """A CSV knows text only: a column whose every value is a plain number is one of numbers."""
    for pattern, kind in ((_WHOLE, pa.int64()), (_DECIMAL, pa.float64())):
        if array.null_count < len(array) and pc.all(pc.match_substring_regex(array, pattern)).as_py():
            return array.cast(kind)
    return array
