"""Some rows of a Parquet file, read without the others: those of one user, or those with given numbers.

A file is read by groups of rows. Small groups, written in the order of the users, leave most of a log unread.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP = 16_384  # rows a group, where files of a prepared data set are written


def of_user(path: Path, user_id: str) -> tuple[pa.Table, np.ndarray]:
    """The rows whose user_id this is, and their numbers in the file, (n,) int64 ascending."""
    file = pq.ParquetFile(path)
    column, first, parts, numbers = file.schema_arrow.names.index("user_id"), 0, [], []
    for k in range(file.num_row_groups):
        group = file.metadata.row_group(k)
        bounds = group.column(column).statistics
        if bounds is None or not bounds.has_min_max or bounds.min <= user_id <= bounds.max:
            users = file.read_row_group(k, columns=["user_id"])["user_id"]
            places = np.flatnonzero(pc.equal(users, user_id).to_numpy())
            if len(places):
                parts.append(file.read_row_group(k).take(places))
                numbers.append(first + places)
        first += group.num_rows
    table = pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()
    return table, np.concatenate(numbers) if numbers else np.empty(0, np.int64)


def numbered(path: Path, numbers: np.ndarray) -> pa.Table:
    """The rows with these numbers, (n,) int64 ascending."""
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    parts = []
    for k, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        places = numbers[(numbers >= end - size) & (numbers < end)] - (end - size)
        if len(places):
            parts.append(file.read_row_group(k).take(places))
    return pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()
