"""Ranges of different lengths in one array."""

import numpy as np


def ranges(begin: np.ndarray, length: np.ndarray) -> np.ndarray:
    """begin[0], begin[0] + 1, ..., length[0] of them, then those from begin[1] and so on."""
    starts = np.cumsum(length) - length
    return np.asarray(np.arange(int(length.sum())) + np.repeat(begin - starts, length))


def padded(begin: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(b, longest) the same ranges, one a row, -1 behind their ends."""
    offsets = np.arange(int(length.max()))
    return np.where(offsets < length[:, None], begin[:, None] + offsets, -1)
