"""Raw columns made into typed ones; each value that cannot be is refused with its line, its column and a cure."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from genrec.findings import Findings
from genrec.sources.files.mapping import Column, TableMapping
from genrec.sources.files.sheet import Sheet
from genrec.tables import TIMESTAMP

_TICKS = {"s": 1_000_000, "ms": 1_000, "us": 1}  # microseconds
_DAY = 86_400_000_000
_WHOLE = r"^-?(0|[1-9]\d{0,17})$"  # fits 64 bits; a leading zero makes it a code, such as a postal code
_DECIMAL = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$"
_FROM_1980 = 315_532_800_000_000


@dataclass(frozen=True)
class Reader:
    """Converts the columns of one table. Every method returns None after it has refused something."""

    name: str  # events, items or users
    sheet: Sheet
    mapping: TableMapping
    findings: Findings

    def column(self, ours: str) -> Column:
        return (self.mapping.columns or {}).get(ours, Column(ours))

    def raw(self, ours: str, optional: bool = False) -> pa.Array | None:
        """The column as one array, with `values` applied; None where it is missing (refused unless optional)."""
        column, rows = self.column(ours), self.sheet.table.num_rows
        if column.always:
            return pa.array([column.always] * rows, pa.string())
        if column.source not in self.sheet.table.column_names:
            named = ours in (self.mapping.columns or {})
            if not optional or named:
                self._refuse_missing(ours, column.source)
            return None
        array = self.sheet.table[column.source].combine_chunks()
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_null(array.type):
            array = array.cast(pa.string())
        renamed = self.mapping.values.get(ours)
        return _renamed(array, dict(renamed)) if renamed and not pa.types.is_nested(array.type) else array

    def _refuse_missing(self, ours: str, source: str) -> None:
        has = ", ".join(self.sheet.table.column_names) or "none"
        self.findings.refuse(
            f"{self.name} has no column {source!r}",
            where=f"{self.sheet.path}, columns: {has}",
            cure=f"rename a column, or map it: columns: {{{ours}: NAME IN THE FILE}}",
        )

    def refuse(
        self, bad: np.ndarray, ours: str, what: str, cure: str, values: pa.Array | None = None
    ) -> None:
        """One refusal for all rows where `bad` is true; it shows the first one and up to three values."""
        rows = np.flatnonzero(bad)
        shown = tuple(dict.fromkeys(_shown(values[int(r)]) for r in rows[:3])) if values is not None else ()
        where = self.sheet.where(int(rows[0]), self.column(ours).source)
        self.findings.refuse(what, where, cure, len(rows), shown)

    def known(self, events: pa.Table, ours: str, table: pa.Table) -> None:
        """Refuse events whose user_id or item_id is not in its table. Null ids are no ids."""
        name = "users" if ours == "user_id" else "items"
        found = pc.is_in(events[ours], value_set=table[ours].combine_chunks().unique())
        bad = pc.and_(pc.invert(found), pc.is_valid(events[ours])).to_numpy()
        if bad.any():
            cure = f"add the rows to {name}, or take these events out"
            self.refuse(bad, ours, f"{ours} is not in {name}", cure, events[ours])

    def text(self, ours: str, required: bool, optional: bool = False) -> pa.Array | None:
        """Text or whole numbers, as strings. required: null is refused. optional: the column may be missing."""
        array = self.raw(ours, optional)
        if array is None:
            return None
        kind = array.type
        if pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_string_view(kind):
            array = array.cast(pa.string())
        if array.null_count == len(array):
            array = pa.nulls(len(array), pa.string())  # of whatever type it was that holds nothing
        if not pa.types.is_string(array.type):
            cure = "write it as text or whole numbers" + (
                " (an empty cell makes whole numbers decimal)" if pa.types.is_floating(kind) else ""
            )
            self.refuse(_filled(array), ours, f"{ours} is {kind}, not text", cure, array)
            return None
        if required and array.null_count:
            self.refuse(
                array.is_null().to_numpy(False), ours, f"{ours} is empty", "fill it, or leave the row out"
            )
            return None
        return array

    def number(self, ours: str, check: Callable[[np.ndarray], np.ndarray], rule: str) -> pa.Array | None:
        """A float64 column that may be missing. check: true where a finite value is good; rule: in words."""
        array = self.raw(ours, optional=True)
        if array is None:
            return None
        values = _floats(array)
        bad = _filled(array) & ~np.isfinite(values)
        with np.errstate(invalid="ignore"):  # of those that are not finite
            bad |= np.isfinite(values) & ~check(values)
        if bad.any():
            self.refuse(bad, ours, f"{ours} is not {rule}", "correct it, or leave it empty", array)
            return None
        return pa.array(values, pa.float64(), mask=~_filled(array))

    def times(self) -> pa.Array | None:
        """ts as microseconds UTC; times without an offset are UTC. Refused: before 1970, after tomorrow."""
        array = self.raw("ts")
        if array is None:
            return None
        if array.null_count:
            self.refuse(array.is_null().to_numpy(False), "ts", "ts is empty", "fill it, or leave the row out")
            return None
        if pa.types.is_temporal(array.type) and not (
            pa.types.is_time(array.type) or pa.types.is_duration(array.type)
        ):
            return self._in_range(_instants(array).astype(np.float64), array, "us")
        unit = self.mapping.ts_unit
        if not unit and not pa.types.is_string(array.type):
            self.refuse(
                _filled(array), "ts", "ts is a number of unknown unit", "say ts_unit: s, ms or us", array
            )
            return None
        if unit in ("", "iso"):
            micro, bad = _iso(_strings(array))
            if bad.any():
                cure = "write times such as 2024-05-31T18:00:00Z, or say ts_unit: s, ms or us for numbers"
                self.refuse(bad, "ts", "ts is not a time in ISO 8601", cure, array)
                return None
            return self._in_range(micro.astype(float), array, "us", micro)
        values = _floats(array)
        bad = ~np.isfinite(values)
        if bad.any():
            self.refuse(
                bad, "ts", f"ts is not a number of {unit}", "correct it, or say ts_unit: iso for dates", array
            )
            return None
        return self._in_range(values, array, unit)

    def _in_range(
        self, values: np.ndarray, array: pa.Array, unit: str, micro: np.ndarray | None = None
    ) -> pa.Array | None:
        now = time.time() * 1_000_000
        scaled = values * _TICKS[unit]
        bad = (scaled < 0) | (scaled > now + _DAY)
        if bad.any():
            late, cure = values[bad] > 0, "correct the time; it must lie between 1970 and tomorrow"
            finer = [
                u
                for u in _TICKS
                if 0 < np.max(values[bad]) * _TICKS[u] <= now + _DAY and _TICKS[u] < _TICKS[unit]
            ]
            if late.all() and finer and bad.mean() > 0.5:  # else it is those rows, and not the unit
                cure = f"these look like {finer[0]}: say ts_unit: {finer[0]}"
            self.refuse(bad, "ts", "ts is out of range", cure, array)
            return None
        coarser = [u for u in _TICKS if _TICKS[u] > _TICKS[unit] and self.mapping.ts_unit]
        if coarser and len(values) and scaled.max() < _FROM_1980:
            # Seconds read as milliseconds all fall into January 1970.
            cure = "these look like s: say ts_unit: s"
            self.refuse(np.ones(len(values), bool), "ts", "every ts lies before 1980", cure, array)
            return None
        whole = micro if micro is not None else _microseconds(array, scaled, _TICKS[unit])
        return pa.array(whole, pa.int64()).cast(TIMESTAMP)

    def extra(self, ours: str) -> pa.Array | None:
        """A column of the user's own: text, whole or decimal numbers, or lists of text."""
        array = self.raw(ours)
        if array is None:
            return None
        kind = array.type
        separator = self.column(ours).separator
        if pa.types.is_boolean(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind):
            array = array.cast(pa.string())
        if pa.types.is_string(array.type):
            if separator or ours == "category":
                return _lists(array, separator)
            return _inferred(array) if self.sheet.delimiter else array
        if pa.types.is_integer(kind):
            return array.cast(pa.int64())
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            values = array.cast(pa.float64())
            return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
        if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
            pa.types.is_string(kind.value_type)
            or pa.types.is_large_string(kind.value_type)
            or array.null_count == len(array)
        ):
            return array.cast(pa.list_(pa.string()))
        if pa.types.is_list(kind) and pa.types.is_null(kind.value_type):
            return array.cast(pa.list_(pa.string()))
        if array.null_count == len(array):
            return pa.nulls(len(array), pa.string())
        self.refuse(_filled(array), ours, f"{ours} is {kind}", "write text, numbers or lists of text", array)
        return None


def _filled(array: pa.Array) -> np.ndarray:
    filled: np.ndarray = array.is_valid().to_numpy(zero_copy_only=False)
    return filled


def _strings(array: pa.Array) -> pd.Series:
    return pd.Series(array.to_pylist(), dtype=object).astype(str)


def _iso(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """(microseconds UTC, true where it is no time). Bare numbers are none, though ISO 8601 has a compact form."""
    zoned = texts.str.contains(r"[T ].*(?:[zZ]|[+-]\d\d(?::?\d\d)?)$", regex=True)
    micro, bad = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    # Apart, because pandas gives a time without an offset the offset of the row before it.
    for rows in (np.flatnonzero(zoned), np.flatnonzero(~zoned)):
        parsed = pd.to_datetime(texts.iloc[rows], format="ISO8601", utc=True, errors="coerce")
        micro[rows] = parsed.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)
        bad[rows] = parsed.isna()
    return micro, bad | texts.str.fullmatch(r"[\d.]{9,}").to_numpy()


def _shown(value: pa.Scalar) -> str:
    """For a message; a time that no calendar of Python's has is told as the number that the file holds."""
    try:
        return repr(value.as_py())[:60]
    except (OverflowError, ValueError):
        return f"{value.type} {value.value}"


def _floats(array: pa.Array) -> np.ndarray:
    """float64, NaN where it is null or no number. True and false, dates and times are no numbers."""
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return np.full(len(array), np.nan)
    values = array.to_pandas()
    return np.asarray(pd.to_numeric(values, errors="coerce"), dtype=np.float64)


def _instants(array: pa.Array) -> np.ndarray:
    """Dates and times of any unit and zone as microseconds UTC."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    instants: np.ndarray = array.cast(TIMESTAMP, safe=False).cast(pa.int64()).to_numpy()
    return instants


def _microseconds(array: pa.Array, scaled: np.ndarray, ticks: int) -> np.ndarray:
    """Whole numbers stay exact; decimals are rounded to microseconds."""
    if pa.types.is_temporal(array.type):
        return _instants(array)
    try:
        whole: np.ndarray = array.cast(pa.int64()).to_numpy() * ticks
    except pa.ArrowInvalid:
        whole = np.rint(scaled).astype(np.int64)
    return whole


def _renamed(array: pa.Array, names: dict[str, str]) -> pa.Array:
    texts = array.cast(pa.string())
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
