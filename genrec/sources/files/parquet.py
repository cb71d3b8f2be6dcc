"""Parquet as typed columns; only the wanted ones are read."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genrec.errors import UserError
from genrec.sources.files.csv_file import to_read
from genrec.sources.files.jsonl import Columns


def read_parquet(path: Path, wanted: Callable[[str], bool]) -> Columns:
    """(every name, the wanted columns, what is wrong with those that are not whole). Raises UserError."""
    try:
        names = pq.read_schema(path).names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"Two columns are called {twice[0]!r}", str(path), "rename one of them")
        # Without `partitioning`, a folder called k=v above the file would become a column.
        table = pq.read_table(path, columns=to_read(names, wanted), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"Not a whole Parquet file: {error}", str(path), "write it again") from error
    faults = {}
    for name in table.column_names:
        try:
            table[name].validate(full=True)
        except pa.ArrowInvalid as error:
            cure = "write text columns as UTF-8"
            faults[name] = UserError(f"Not UTF-8: {error}", f"{path}, column {name}", cure)
    return names, {name: table[name] for name in table.column_names if name not in faults}, faults
