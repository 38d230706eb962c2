"""Holes: the address ranges of the arena that lie unused under its highest live byte, and when.

A hole is what a plan loses to placement: at a step without holes, the highest address in use is the sum of the live
bytes. What may enter: reading the places of buffers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from graphad.plan.arena import aligned
from graphad.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Hole:
    """`size` unused bytes at `offset`, from step `start` to step `end`, both included, with something live above."""

    start: int
    end: int
    offset: int
    size: int


def holes(plan: Plan) -> list[Hole]:
    """Return the holes of a plan, by their first step and offset. Padding to the alignment is not one."""
    placed = [b for b in plan.placed() if b.size]
    return find_holes(
        [b.start for b in placed],
        [b.end for b in placed],
        [b.offset for b in placed],
        [aligned(b.size) for b in placed],
    )


def find_holes(starts: Sequence[int], ends: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> list[Hole]:
    """Return the holes under buffers that are live from `starts` to `ends` (included), by first step and offset.

    Args:
        starts, ends, offsets, sizes: of each buffer; no two that are live together overlap, and no size is 0.

    Takes O(n log n) steps and, in a list of what is live, O(n) moves a buffer.
    """
    coming: dict[int, list[int]] = {}
    going: dict[int, list[int]] = {}
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        coming.setdefault(start, []).append(k)
        going.setdefault(end + 1, []).append(k)
    live = [(0, 0)]  # (offset, end) of what is live, sorted, over a floor of no height
    gaps = _Gaps()
    for step in sorted({*coming, *going}):
        for k in going.get(step, ()):
            low, high = offsets[k], offsets[k] + sizes[k]
            at = bisect_left(live, (low, high))
            below = live[at - 1][1]
            gaps.close(below, low)
            if at + 1 < len(live):
                above = live[at + 1][0]
                gaps.close(high, above)
                gaps.open(below, above, step)
            del live[at]
        for k in coming.get(step, ()):
            low, high = offsets[k], offsets[k] + sizes[k]
            at = bisect_left(live, (low, high))
            below = live[at - 1][1]
            if at < len(live):
                above = live[at][0]
                gaps.close(below, above)
                gaps.open(high, above, step)
            gaps.open(below, low, step)
            live.insert(at, (low, high))
        gaps.settle(step)
    return sorted(gaps.found, key=lambda hole: (hole.start, hole.offset))


class _Gaps:
    """The gaps between what is live. One that closes and opens again at the same step has never been closed."""

    def __init__(self) -> None:
        self.since: dict[tuple[int, int], int] = {}
        self.closed: dict[tuple[int, int], int] = {}
        self.found: list[Hole] = []

    def open(self, low: int, high: int, step: int) -> None:
        """Open the gap from `low` to `high`, unless it is empty."""
        if low < high:
            self.since[low, high] = self.closed.pop((low, high), step)

    def close(self, low: int, high: int) -> None:
        """Close the gap from `low` to `high`, unless it is empty."""
        if low < high:
            self.closed[low, high] = self.since.pop((low, high))

    def settle(self, step: int) -> None:
        """Keep as holes the gaps that `step` has closed for good."""
        for (low, high), first in self.closed.items():
            if first < step:
                self.found.append(Hole(first, step - 1, low, high - low))
        self.closed.clear()
