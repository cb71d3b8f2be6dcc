"""Where days begin and end in a time zone."""

from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd

from genrec.durations import DAY
from genrec.errors import UserError


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises UserError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = get_close_matches(name, available_timezones(), n=1)
        cure = f"did you mean {near[0]!r}?" if near else "write an IANA name, such as Europe/Berlin"
        raise UserError(f"No time zone {name!r}", where="time_zone", cure=cure) from error


def next_midnight(times: np.ndarray, time_zone: str = "UTC") -> np.ndarray:
    """(n,) int64 when the day after each time begins in that time zone. times: microseconds UTC."""
    if time_zone == "UTC":
        return np.asarray((times // DAY + 1) * DAY)
    local = pd.DatetimeIndex(times.astype("datetime64[us]"), tz="UTC").tz_convert(time_zone)
    return _begin(local.tz_localize(None).normalize() + pd.Timedelta(days=1), time_zone)


def day_end(day: Any, where: str, time_zone: str = "UTC") -> int:
    """When the day that `day` names, such as 2024-05-31, is over there, in microseconds UTC. Raises UserError."""
    try:
        start = pd.Timestamp(str(day)).tz_localize(None)
    except (ValueError, OverflowError):
        start = pd.NaT
    if pd.isna(start) or not 1970 <= start.year <= 2200:
        raise UserError(f"Not a day of 1970 to 2200: {day!r}", where=where, cure="write it like 2024-05-31")
    return int(_begin(pd.DatetimeIndex([start + pd.Timedelta(days=1)]), time_zone)[0])


def _begin(days: pd.DatetimeIndex, time_zone: str) -> np.ndarray:
    """When these local midnights are, in microseconds UTC. Where clocks skip midnight, the day begins with their first
    time after it; where midnight comes twice, with the first."""
    first = np.ones(len(days), np.bool_)
    moments = days.tz_localize(time_zone, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")
    return np.asarray(moments.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64))
