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


def microseconds(text: str, where: str = "") -> int:
    """
    >>> microseconds("30m")
    1800000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(text).strip())
    if not match:
        cure = 'write a number and s, m, h, d or w, like "30m"'
        raise UserError(f"Not a span of time: {text!r}", where=where, cure=cure)
    return round(float(match[1]) * MICROSECONDS[match[2]])
