"""Sums over what had become known before a moment, for every question of a log at once."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


class Sums:
    """For each question, the facts of its key that became known strictly before it.

    keys, times: (facts,) int64. at_keys, at_times: (questions,). Keys count from 0. What is summed of one key does not
    depend on any other, to the last digit.
    """

    def __init__(
        self, keys: np.ndarray, times: np.ndarray, at_keys: np.ndarray, at_times: np.ndarray
    ) -> None:
        moments = np.sort(times)
        moments = moments[np.diff(moments, prepend=moments[:1] - 1) > 0]
        width = len(moments) + 1
        places = keys * width + np.searchsorted(moments, times)
        self.order = np.argsort(places, kind="stable")  # of the facts, by key and then by time
        self._keys = keys[self.order]
        places = places[self.order]
        self.first = np.searchsorted(places, at_keys * width)
        self._past = np.searchsorted(places, at_keys * width + np.searchsorted(moments, at_times))

    @property
    def counts(self) -> np.ndarray:
        """(questions,) how many facts each question sees."""
        return np.asarray(self._past - self.first)

    def of(self, values: np.ndarray) -> np.ndarray:
        """(facts, ...) values -> (questions, ...) their sums."""
        return self._up_to(self._running(values), self._past)

    def of_latest(self, values: np.ndarray, most: int) -> np.ndarray:
        """As `of`, over the latest `most` facts that each question sees."""
        running = self._running(values)
        before = np.maximum(self._past - most, self.first)
        return np.asarray(self._up_to(running, self._past) - self._up_to(running, before))

    def _running(self, values: np.ndarray) -> np.ndarray:
        """(facts, ...) sums so far within each key, in order."""
        flat = values[self.order].reshape(len(values), math.prod(values.shape[1:]))
        running = pd.DataFrame(flat).groupby(self._keys).cumsum()
        return np.asarray(running.to_numpy(np.float64).reshape(values.shape))

    def _up_to(self, running: np.ndarray, past: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(past), *running.shape[1:]))
        some = past > self.first
        sums[some] = running[past[some] - 1]
        return sums

    def latest(self) -> np.ndarray:
        """(questions,) the number of the latest fact that each question sees, -1 where it sees none."""
        return self._fact(self._past - 1)

    def earliest(self) -> np.ndarray:
        """(questions,) the number of the first fact that each question sees, -1 where it sees none."""
        return self._fact(self.first)

    def _fact(self, place: np.ndarray) -> np.ndarray:
        numbers = np.full(len(place), -1)
        some = self._past > self.first
        numbers[some] = self.order[place[some]]
        return numbers


def codes(*columns: Sequence[str] | pd.Series) -> list[np.ndarray]:
    """The values of some columns as numbers from 0, equal ones alike in all columns."""
    numbers, _ = pd.factorize(np.concatenate([np.asarray(column, dtype=object) for column in columns]))
    return np.split(numbers.astype(np.int64), np.cumsum([len(column) for column in columns])[:-1])
