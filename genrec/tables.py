"""The three tables that every source returns and everything downstream reads: events, items, users."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genrec.errors import UserError
from genrec.files import written_whole
from genrec.some_rows import of_user

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
    def load(cls, folder: Path, user: str | None = None) -> "Tables":
        """user: of events and users read those of this user alone. Raises UserError where a table is missing."""
        missing = [n for n in ("events", "items", "users") if not (folder / f"{n}.parquet").exists()]
        if missing:
            raise UserError(
                f"No {missing[0]}.parquet",
                where=str(folder),
                cure="run `genrec data prepare` and name its folder",
            )
        events, items, users = (folder / f"{name}.parquet" for name in ("events", "items", "users"))
        if user is not None:
            return cls(of_user(events, user)[0], pq.read_table(items), of_user(users, user)[0])
        return cls(*map(pq.read_table, (events, items, users)))
