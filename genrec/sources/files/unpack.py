"""Text files as they lie on disk: plain, or packed with gzip or Zstandard."""

import gzip
import io
from pathlib import Path
from typing import TextIO

import pyarrow as pa

PACKED = (".gz", ".zst")


def suffix_of(path: Path) -> str:
    """The format's own suffix in lower case: ".csv" of log.csv.gz."""
    inner = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return inner.suffix.lower()


def open_text(path: Path, errors: str) -> TextIO:
    """The text of a file, UTF-8 with or without a byte order mark. errors: as `open` takes it."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="")
    if path.suffix.lower() == ".zst":
        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
    return path.open(encoding="utf-8-sig", errors=errors, newline="")
