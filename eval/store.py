"""Answers that cost much to make are kept: an eval that was killed goes on where it stood."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from eval.answers import K, answer
from eval.cost import spent, together, work_of
from eval.recommender import Fingerprinted, Recommender, Rows
from genrec.dataset import Prepared
from genrec.files import file_written_whole

PART = 1000  # rows of one part, or a little more: a user's rows stay together, they share a context


class Store:
    """A folder of parts, each written whole. The key holds the recommender, the data, the task and the rows.

    Recommenders without a fingerprint (see eval.recommender) are asked anew every time.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def answers(
        self, recommender: Recommender, data: Prepared, task: str, regime: str, rows: Rows, k: int = K
    ) -> pd.DataFrame:
        """As eval.answers.answer; attrs say what answering took when it was done (eval.cost.Spent)."""
        keep = self.folder is not None and isinstance(recommender, Fingerprinted)
        if not keep:
            return _timed(recommender, data, task, rows, k)
        assert self.folder is not None
        assert isinstance(recommender, Fingerprinted)
        key = _key(recommender.fingerprint, data.fingerprint(regime), task, regime, rows, k)
        parts = [
            self._part(self.folder / key / f"{number:05d}.parquet", recommender, data, task, part, k)
            for number, part in enumerate(by_users(data, rows))
        ]
        spent = together(part.attrs for part in parts)
        for part in parts:
            part.attrs = {}
        whole = pd.concat(parts, ignore_index=True).sort_values("row", ignore_index=True)
        whole.attrs = dict(spent)
        return whole

    def _part(
        self, path: Path, recommender: Recommender, data: Prepared, task: str, rows: Rows, k: int
    ) -> pd.DataFrame:
        if path.exists():
            return pd.read_parquet(path)
        frame = _timed(recommender, data, task, rows, k)
        write_whole(frame, path)
        return frame


def write_whole(frame: pd.DataFrame, path: Path) -> None:
    """A Parquet file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as part:
        frame.to_parquet(part)


def by_users(data: Prepared, rows: Rows) -> Iterator[Rows]:
    """The rows in parts of whole users, PART rows or a little more each; no rows are one empty part."""
    users = pd.factorize(data.examples.user_id.iloc[rows])[0]
    order = np.argsort(users, kind="stable")
    ends = (np.flatnonzero(np.diff(users[order], append=-1)) + 1).tolist()
    start = 0
    for end in ends:
        if end - start >= PART or end == len(rows):
            yield rows[order[start:end]]
            start = end
    if not len(rows):
        yield rows


def _key(recommender: str, data: str, task: str, regime: str, rows: Rows, k: int) -> str:
    text = f"{recommender}\n{data}\n{task}\n{regime}" + (f"\n{k}" if k != K else "")
    return hashlib.sha256(text.encode() + np.asarray(rows, np.int64).tobytes()).hexdigest()[:32]


def _timed(recommender: Recommender, data: Prepared, task: str, rows: Rows, k: int) -> pd.DataFrame:
    start, before = time.perf_counter(), work_of(recommender)
    frame = answer(recommender, data, task, rows, k)
    seconds = time.perf_counter() - start
    frame.attrs = dict(spent(seconds, task, len(rows), before, work_of(recommender)))
    return frame
