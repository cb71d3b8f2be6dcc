"""Spans of time as people write them in YAML: "0s", "30m", "1h", "7d"."""

import re

from genrec.errors import UserError

MICROSECONDS = {
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
DAY = MICROSECONDS["d"]
LONGEST = 36_525 * DAY


def microseconds(text: str, where: str = "") -> int:
    """
    >>> microseconds("30m")
    1800000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(text).strip())
    if not match:
        cure = 'write a number and s, m, h, d or w, like "30m"'
        raise UserError(f"Not a span of time: {text!r}", where=where, cure=cure)
    span = float(match[1]) * MICROSECONDS[match[2]]
    if span > LONGEST:  # a moment and a few spans must fit 64 bits
        raise UserError(
            f"More than a hundred years: {text!r}", where=where, cure="write a shorter span of time"
        )
    return round(span)
