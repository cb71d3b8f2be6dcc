"""The history window: appended to until the budget is full, then its oldest half goes at once.

So prefixes stay the same over many requests (a cache can keep them), and training sees the windows serving makes.
"""

from collections.abc import Sequence

import numpy as np


def window_starts(lengths: Sequence[int], budget: int) -> np.ndarray:
    """(n + 1,) the first line that stands in the window at each point 0..n of a history.

    lengths: tokens of each line, oldest first. budget: tokens the lines may take, head and question not counted.

    >>> window_starts([4, 4, 4, 4], budget=10).tolist()
    [0, 0, 0, 2, 2]
    """
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    start, total = 0, 0
    for point, length in enumerate(lengths, start=1):
        total += length
        if total > budget:
            while start < point and total > budget // 2:
                total -= lengths[start]
                start += 1
        starts[point] = start
    return starts
