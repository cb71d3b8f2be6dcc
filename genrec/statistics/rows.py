"""Rows of numbers by number of a user or item, in one array that grows."""

import numpy as np


class GrowingRows:
    """values: (room + 1, width); the last row is that of nobody, -1, and stays zero."""

    def __init__(self, width: int, size: int = 0) -> None:
        self.width, self.size = width, size
        self.values = np.zeros((size + 1, width))

    @classmethod
    def of(cls, values: np.ndarray) -> "GrowingRows":
        """(size, width) numbers."""
        rows = cls(values.shape[1], len(values))
        rows.values[:-1] = values
        return rows

    def grow(self, size: int) -> None:
        """Zeros for numbers up to `size`."""
        if size >= len(self.values):
            wider = np.zeros((2 * size + 1, self.width))
            wider[: self.size] = self.values[: self.size]
            self.values = wider
        self.size = max(self.size, size)

    def taken(self) -> np.ndarray:
        """(size, width) what has been given out."""
        return self.values[: self.size]
