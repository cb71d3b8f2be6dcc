"""The units in which logs write times as numbers, and which of them a column of numbers looks like."""

import time

import numpy as np
import pandas as pd

DAY = 86_400_000_000  # microseconds
SCALES = {"d": DAY, "h": 3_600_000_000, "min": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1e-3}
CALENDAR = {"yyyymmdd": "%Y%m%d", "yyyymmddHHMM": "%Y%m%d%H%M", "yyyymmddHHMMSS": "%Y%m%d%H%M%S"}
UNITS = ("s", "ms", "us", "ns", "min", "h", "d", *CALENDAR, "excel", "iso")
LOCAL = (*CALENDAR, "excel", "iso")  # these say a time of a clock, and not how long ago 1970 was
FROM_1980 = 315_532_800_000_000  # microseconds
_EXCEL_1970 = 25_569  # days from Excel's zero, 1899-12-30, to 1970
_EXAMINED = 1_000  # rows
_TRIED = (
    "s",
    "ms",
    "us",
    "ns",
    *CALENDAR,
    "min",
    "h",
    "d",
    "excel",
)  # yyyymmdd before minutes, which overlap


def latest() -> int:
    """Tomorrow, in microseconds UTC: no time of a log lies after it."""
    return int(time.time() * 1_000_000) + DAY


def microseconds(values: np.ndarray, unit: str) -> np.ndarray:
    """float64 microseconds since 1970 of numbers in a unit (not iso); NaN where a number is no date of the calendar.

    values: (rows,) finite float64.
    """
    if unit in SCALES:
        with np.errstate(over="ignore"):  # to infinity, which is out of range
            return np.asarray(values * SCALES[unit])
    if unit == "excel":
        return np.asarray(np.rint((values - _EXCEL_1970) * 86_400_000) * 1_000)  # Excel keeps milliseconds
    digits = len(unit)
    whole = (values % 1 == 0) & (values >= 10 ** (digits - 1)) & (values < 10**digits)
    texts = np.where(whole, values, 0).astype(np.int64).astype(str)
    dates = pd.to_datetime(pd.Series(texts), format=CALENDAR[unit], errors="coerce")
    instants = dates.to_numpy().astype("datetime64[us]").astype(np.int64).astype(np.float64)
    return np.asarray(np.where(dates.isna().to_numpy() | ~whole, np.nan, instants))


def exact(values: np.ndarray, unit: str) -> np.ndarray:
    """int64 microseconds of whole numbers in one of SCALES, nanoseconds rounded down. values: (rows,) int64."""
    return np.asarray(values // 1_000 if unit == "ns" else values * int(SCALES[unit]))


def looks_like(values: np.ndarray) -> str:
    """The unit in which all these numbers lie between 1980 and tomorrow, "" where there is none.

    >>> looks_like(np.array([20240501.0, 20240612.0]))
    'yyyymmdd'
    """
    examined = np.asarray(values[np.isfinite(values)][:_EXAMINED], np.float64)
    for unit in _TRIED if len(examined) else ():
        instants = microseconds(examined, unit)
        if ((instants >= FROM_1980) & (instants <= latest())).all():
            return unit
    return ""
