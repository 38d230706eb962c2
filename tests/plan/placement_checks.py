"""A checker of placements that shares no code with the planner: rectangles of time and address must not cross."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def overlapping_pairs(
    starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int], offsets: Sequence[int]
) -> list[tuple[int, int]]:
    """List pairs of intervals (`ends` included) that are live together and share a byte, by comparing all with all."""
    first, last, size, low = (np.asarray(x, np.int64) for x in (starts, ends, sizes, offsets))
    high = low + size
    together = (first[:, None] <= last) & (first <= last[:, None])
    crossing = (low[:, None] < high) & (low < high[:, None]) & (size[:, None] > 0) & (size > 0)
    i, j = np.nonzero(np.triu(together & crossing, 1))
    return list(zip(i.tolist(), j.tolist(), strict=True))


def most_live(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> int:
    """Return the most bytes live at the start of any interval: the lower bound of every placement."""
    first, last, size = (np.asarray(x, np.int64) for x in (starts, ends, sizes))
    return max((int(size[(first <= t) & (t <= last)].sum()) for t in starts), default=0)
