"""The three tables that every source returns and everything downstream reads: events, items, users."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genrec.errors import UserError

TIMESTAMP = pa.timestamp("us", tz="UTC")

EVENTS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),  # null for visits and purchases without an item
        pa.field("ts", TIMESTAMP, nullable=False),
        pa.field("event", pa.string(), nullable=False),  # impression, click, convert, visit or the user's own
        pa.field("value", pa.float64()),  # rating, price, dwell seconds: the event's own number
        pa.field("event_id", pa.string()),
        pa.field("request_id", pa.string()),  # impressions of one page share it and do not see each other
        pa.field("position", pa.int32()),
        pa.field("weight", pa.float64()),  # inverse of the sampling rate
    ]
)
ITEMS = pa.schema(
    [pa.field("item_id", pa.string(), nullable=False), pa.field("title", pa.string(), nullable=False)]
)
USERS = pa.schema([pa.field("user_id", pa.string(), nullable=False)])


@dataclass(frozen=True)
class Tables:
    """events follow EVENTS exactly; items and users start with the columns of ITEMS and USERS, then any others."""

    events: pa.Table
    items: pa.Table
    users: pa.Table

    def save(self, folder: Path) -> None:
        """Write the three Parquet files; the folder appears whole or not at all."""
        with written_whole(folder) as part:
            self.write(part)

    def write(self, folder: Path) -> None:
        for name in ("events", "items", "users"):
            pq.write_table(getattr(self, name), folder / f"{name}.parquet", compression="zstd")

    @classmethod
    def load(cls, folder: Path) -> "Tables":
        missing = [n for n in ("events", "items", "users") if not (folder / f"{n}.parquet").exists()]
        if missing:
            raise UserError(
                f"No {missing[0]}.parquet",
                where=str(folder),
                cure="run `genrec data prepare` and name its folder",
            )
        return cls(*(pq.read_table(folder / f"{name}.parquet") for name in ("events", "items", "users")))


class written_whole:
    """A context manager: fill a temporary folder, then rename it into place; an error leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.part = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}-", dir=self.folder.parent))
        return self.part

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            shutil.rmtree(self.part, ignore_errors=True)
            return
        self.part.chmod(0o755)
        old = self.part.with_name(f"{self.part.name}.old")
        if self.folder.exists():
            self.folder.rename(old)
        self.part.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is then there whole, in place of the one before, or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
