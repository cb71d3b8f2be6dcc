"""The column ts as microseconds UTC; a time that is none, or that cannot have been meant, is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa

from genrec.sources.files.columns import Reader
from genrec.sources.files.text import floats
from genrec.sources.files.units import FROM_1980, LOCAL, exact, latest, looks_like, microseconds
from genrec.tables import TIMESTAMP

_FEBRUARY_1970 = 2_678_400_000_000  # microseconds
_NOT_ISO = "ts is not a time in ISO 8601"
_BARE = r"\d{1,7}|[\d.]{9,}"  # ISO 8601 has compact forms, but only eight digits are surely a date


def read_times(reader: Reader) -> pa.Array | None:
    """ts of every row. Times without an offset are of the mapping's time_zone.

    Refused: empty, of an unknown unit, before 1970, after tomorrow; numbers before 1980, dates in January 1970.
    """
    array = reader.raw("ts")
    if array is None:
        return None
    if array.null_count:
        reader.refuse(array.is_null().to_numpy(False), "ts", "ts is empty", "fill it, or leave the row out")
        return None
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _of_dates(reader, array)
    unit = reader.mapping.ts_unit
    if unit in ("", "iso") and pa.types.is_string(kind):
        return _of_texts(reader, array)
    values = floats(array)
    if not (pa.types.is_string(kind) or np.isfinite(values).any()):
        cure = "write times in ISO 8601, or numbers with a ts_unit"
        reader.refuse(_all(array), "ts", f"ts is {kind}, neither a time nor a number", cure, array)
        return None
    if not unit:
        unit = looks_like(values)
        cure = f"these look like {unit}: say ts_unit: {unit}" if unit else "say ts_unit: s, ms or us"
        reader.refuse(_all(array), "ts", "ts is a number of unknown unit", cure, array)
        return None
    return _of_numbers(reader, array, unit)


def _of_dates(reader: Reader, array: pa.Array) -> pa.Array | None:
    """Of a column that its file types as dates or times, of any unit and zone."""
    zoned = pa.types.is_timestamp(array.type) and array.type.tz is not None
    dates = array.cast(pa.timestamp("ms")) if pa.types.is_date(array.type) else array
    instants = dates.cast(TIMESTAMP, safe=False).cast(pa.int64()).to_numpy()
    if _out_of_range(reader, instants, array) or _early(reader, instants, array, _FEBRUARY_1970):
        return None
    return _utc(reader, instants, np.full(len(array), not zoned))


def _of_texts(reader: Reader, array: pa.Array) -> pa.Array | None:
    instants, local, bad = _iso(pd.Series(array.to_pylist(), dtype=object))
    if bad.any():
        values = floats(array)
        unit = looks_like(values) if np.isfinite(values).mean() > 0.5 else ""
        cure = "write times such as 2024-05-31T18:00:00Z, or say ts_unit: s, ms or us for numbers"
        if unit:
            cure = f"these look like {unit}: say ts_unit: {unit}"
        reader.refuse(bad, "ts", _NOT_ISO, cure, array)
        return None
    if _out_of_range(reader, instants, array) or _early(reader, instants, array, _FEBRUARY_1970):
        return None
    return _utc(reader, instants, local)


def _iso(texts: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(microseconds, true where no offset is written, true where it is no time). "... UTC", "GMT" and "Z" are UTC."""
    texts = texts.str.strip().str.replace(r"\s+([+-]\d\d(?::?\d\d)?)$", r"\1", regex=True)
    utc = texts.str.contains(r"\d\s*(?:[uU][tT][cC]|[gG][mM][tT]|[zZ])$", regex=True)
    texts = texts.str.replace(r"\s*(?:[uU][tT][cC]|[gG][mM][tT]|[zZ])$", "", regex=True)
    offset = texts.str.contains(r"[T ].*[+-]\d\d(?::?\d\d)?$", regex=True)
    micro, bad = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    # Apart, because pandas gives a time without an offset the offset of the row before it.
    for rows in (np.flatnonzero(offset), np.flatnonzero(~offset)):
        parsed = pd.to_datetime(texts.iloc[rows], format="ISO8601", utc=True, errors="coerce")
        micro[rows] = parsed.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)
        bad[rows] = parsed.isna()
    return micro, ~(utc | offset).to_numpy(), bad | texts.str.fullmatch(_BARE).to_numpy()


def _of_numbers(reader: Reader, array: pa.Array, unit: str) -> pa.Array | None:
    values = floats(array)
    bad = ~np.isfinite(values)
    if bad.any() or unit == "iso":
        what = f"ts is not a number of {unit}" if unit != "iso" else "ts is a number, not ISO 8601"
        guess = looks_like(values) if unit == "iso" else ""
        cure = f"say ts_unit: {guess or 's, ms or us'}" if unit == "iso" else "say ts_unit: iso for dates"
        reader.refuse(bad if unit != "iso" else _all(array), "ts", what, f"correct it, or {cure}", array)
        return None
    instants = microseconds(values, unit)
    if np.isnan(instants).any():
        guess = looks_like(values)
        cure = f"these look like {guess}: say ts_unit: {guess}" if guess else "correct it"
        reader.refuse(np.isnan(instants), "ts", f"ts is no date written as {unit}", cure, array)
        return None
    origin = reader.mapping.ts_origin
    if _out_of_range(reader, instants + (origin or 0), array, values):
        return None
    if origin is None and _early(reader, instants, array, FROM_1980, values):
        return None
    try:
        whole = exact(array.cast(pa.int64()).to_numpy(), unit) if unit not in LOCAL else np.rint(instants)
    except pa.ArrowInvalid:  # decimals are rounded to microseconds
        whole = np.rint(instants)
    return _utc(reader, whole.astype(np.int64) + (origin or 0), np.full(len(array), unit in LOCAL))


def _all(array: pa.Array) -> np.ndarray:
    return np.ones(len(array), bool)


def _out_of_range(
    reader: Reader, instants: np.ndarray, array: pa.Array, values: np.ndarray | None = None
) -> bool:
    """Refuse what lies before 1970 or after tomorrow. values: the numbers as written, to name their unit."""
    bad = (instants < 0) | (instants > latest())
    if bad.any():
        cure = "correct the time; it must lie between 1970 and tomorrow"
        # Where only a few rows are out of range, it is those rows and not the unit.
        if values is not None and bad.mean() > 0.5 and (unit := looks_like(values[bad])):
            cure = f"these look like {unit}: say ts_unit: {unit}"
        reader.refuse(bad, "ts", "ts is out of range", cure, array)
    return bool(bad.any())


def _early(
    reader: Reader, instants: np.ndarray, array: pa.Array, limit: int, values: np.ndarray | None = None
) -> bool:
    """Refuse times before `limit`: a unit that is another one, or a 0 that stands for none, falls into 1970."""
    early = instants < limit
    if not early.any():
        return False
    before = "before 1980" if values is not None else "in January 1970"
    if early.all():
        cure = "a number was read in a wrong unit before it came here: write it anew"
        if values is not None:
            unit = looks_like(values)
            cure = f"these look like {unit}: say ts_unit: {unit}"
            if not unit:
                cure = "say another ts_unit, or from which day the numbers count: ts_origin: 2024-01-01"
        reader.refuse(early, "ts", f"every ts lies {before}", cure, array)
    else:
        year = pd.Timestamp(int(np.median(instants[~early])), unit="us").year
        what = f"ts lies {before}, the other rows about {year}: another unit, or 0 for none"
        zero = early & (instants == 0)
        for rows in (zero, early & ~zero):
            cure = "correct these times, or leave these rows out"
            if values is not None and (unit := looks_like(values[rows])):
                cure = f"these rows look like {unit}: write one unit in the whole column"
            if rows.any():
                reader.refuse(rows, "ts", what, cure, array)
    return True


def _utc(reader: Reader, micro: np.ndarray, local: np.ndarray) -> pa.Array:
    """Microseconds as timestamps; those that are local times of the mapping's time_zone are moved to UTC."""
    zone = reader.mapping.time_zone
    if zone not in ("", "UTC") and local.any():
        rows = np.flatnonzero(local)
        clock = pd.DatetimeIndex(micro[rows].astype("datetime64[us]"))
        moved = _localized(clock, zone, True)
        twice = (moved != _localized(clock, zone, False)).astype(bool)
        never = (moved.tz_localize(None) != clock).astype(bool)
        micro = micro.copy()
        micro[rows] = moved.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)
        for bad, what in (
            (twice, f"a time that {zone} has twice, as its clocks go back: read as the earlier one"),
            (never, f"a time that {zone} does not have, as its clocks go forward: moved forward with them"),
        ):
            if bad.any():
                where = reader.sheet.where(int(rows[np.flatnonzero(bad)[0]]), reader.column("ts").source)
                reader.findings.warn(
                    f"ts is {what}", where, "write times with their offset, or in UTC", int(bad.sum())
                )
    return pa.array(micro, pa.int64()).cast(TIMESTAMP)


def _localized(clock: pd.DatetimeIndex, zone: str, earlier: bool) -> pd.DatetimeIndex:
    return clock.tz_localize(zone, ambiguous=np.full(len(clock), earlier), nonexistent="shift_forward")
