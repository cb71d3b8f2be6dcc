"""Sums over what had become known before a moment, for every question of a log at once."""

import numpy as np


class Sums:
    """For each question, the facts of its key that became known strictly before it.

    keys, times: (facts,) int64. at_keys, at_times: (questions,) int64. Keys count from 0.
    """

    def __init__(
        self, keys: np.ndarray, times: np.ndarray, at_keys: np.ndarray, at_times: np.ndarray
    ) -> None:
        moments = np.sort(times)
        moments = moments[np.diff(moments, prepend=moments[:1] - 1) > 0]
        width = len(moments) + 1
        places = keys * width + np.searchsorted(moments, times)
        self.order = np.argsort(places, kind="stable")  # of the facts, by key and then by time
        places = places[self.order]
        self.first = np.searchsorted(places, at_keys * width)
        self._past = np.searchsorted(places, at_keys * width + np.searchsorted(moments, at_times))

    @property
    def counts(self) -> np.ndarray:
        """(questions,) how many facts each question sees."""
        return np.asarray(self._past - self.first)

    def of(self, values: np.ndarray) -> np.ndarray:
        """(facts, ...) values -> (questions, ...) their sums."""
        total = np.zeros((len(values) + 1, *values.shape[1:]))
        np.cumsum(values[self.order], axis=0, out=total[1:])
        return np.asarray(total[self._past] - total[self.first])

    def of_latest(self, values: np.ndarray, most: int) -> np.ndarray:
        """As `of`, over the latest `most` facts that each question sees."""
        total = np.zeros((len(values) + 1, *values.shape[1:]))
        np.cumsum(values[self.order], axis=0, out=total[1:])
        return np.asarray(total[self._past] - total[np.maximum(self._past - most, self.first)])

    def latest(self) -> np.ndarray:
        """(questions,) the number of the latest fact that each question sees, -1 where it sees none."""
        if not len(self.order):
            return np.full(len(self._past), -1)
        last = self.order[np.maximum(self._past - 1, 0)]
        return np.where(self._past > self.first, last, -1)
