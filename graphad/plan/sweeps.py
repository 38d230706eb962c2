"""Sweeps: offsets for any number of buffers, each in a hole among those live when it becomes live, in near-linear time.

What may enter: one rule a function, for which hole and which end of it; and looking at time from its other end.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

Placed = tuple[list[int], int]
"""Offsets, and the top of them all."""


class _Holes:
    """The holes below the top, by size and by both ends."""

    def __init__(self) -> None:
        self.ordered: list[tuple[int, int]] = []  # (size, offset), sorted
        self.size_at: dict[int, int] = {}  # size of the hole that starts at an offset
        self.start_before: dict[int, int] = {}  # start of the hole that ends at an offset

    def add(self, offset: int, size: int) -> None:
        """Add a hole that touches no other."""
        insort(self.ordered, (size, offset))
        self.size_at[offset] = size
        self.start_before[offset + size] = offset

    def remove(self, offset: int, size: int) -> None:
        """Remove a hole."""
        del self.ordered[bisect_left(self.ordered, (size, offset))]
        del self.size_at[offset]
        del self.start_before[offset + size]

    def free(self, offset: int, size: int) -> None:
        """Add what a buffer leaves, as one hole with those it touches."""
        after = self.size_at.get(offset + size)
        if after is not None:
            self.remove(offset + size, after)
            size += after
        before = self.start_before.get(offset)
        if before is not None:
            self.remove(before, offset - before)
            size += offset - before
            offset = before
        self.add(offset, size)

    def smallest(self, size: int) -> tuple[int, int] | None:
        """Return size and offset of the smallest hole that holds so many bytes, the lowest of equals; None for none."""
        found = bisect_left(self.ordered, (size, -1))
        return self.ordered[found] if found < len(self.ordered) else None

    def end_at(self, top: int) -> int:
        """Return the offset of what goes on top, which takes the hole that ends there with it."""
        last = self.start_before.get(top)
        if last is None:
            return top
        self.remove(last, top - last)
        return last


def sweep(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> Placed:
    """Place intervals in the order of their starts (which must ascend), each in the smallest hole that holds it.

    Returns the offsets and the top. A buffer that fits in no hole goes on top, extending a hole that ends there.
    """
    offsets = [0] * len(starts)
    dying = sorted(range(len(starts)), key=ends.__getitem__)
    dead = top = 0
    holes = _Holes()
    for k, start in enumerate(starts):
        while ends[dying[dead]] < start:
            gone = dying[dead]
            dead += 1
            if sizes[gone]:
                holes.free(offsets[gone], sizes[gone])
        size = sizes[k]
        if not size:
            continue
        found = holes.smallest(size)
        if found is None:
            offset = holes.end_at(top)
            top = offset + size
        else:
            hole, offset = found
            holes.remove(offset, hole)
            if hole > size:
                holes.add(offset + size, hole - size)
        offsets[k] = offset
    return offsets, top


def sweep_by_ends(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> Placed:
    """Place intervals as `sweep` does, but each at the end of its hole whose neighbour dies nearer to its own end.

    What dies together then leaves one hole.
    """
    offsets = [0] * len(starts)
    dying = sorted(range(len(starts)), key=ends.__getitem__)
    dead = top = 0
    holes = _Holes()
    death_from: dict[int, int] = {}  # end of the buffer that starts at an offset
    death_to: dict[int, int] = {}  # end of the buffer that ends at an offset
    never = 2 * max(ends, default=0) + 1
    for k, (start, end, size) in enumerate(zip(starts, ends, sizes, strict=True)):
        while ends[dying[dead]] < start:
            gone = dying[dead]
            dead += 1
            if sizes[gone]:
                offset, after = offsets[gone], offsets[gone] + sizes[gone]
                del death_from[offset], death_to[after]
                holes.free(offset, sizes[gone])
        if not size:
            continue
        found = holes.smallest(size)
        if found is None:
            offset = holes.end_at(top)
            top = offset + size
        else:
            hole, offset = found
            holes.remove(offset, hole)
            if hole > size:
                below = abs(death_to.get(offset, never) - end)
                above = abs(death_from.get(offset + hole, never) - end)
                if above < below:
                    holes.add(offset, hole - size)
                    offset += hole - size
                else:
                    holes.add(offset + size, hole - size)
        offsets[k] = offset
        death_from[offset] = death_to[offset + size] = end
    return offsets, top


def backwards(
    rule: Callable[[Sequence[int], Sequence[int], Sequence[int]], Placed],
    starts: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
) -> Placed:
    """Place intervals by a rule that sees time from its end."""
    last = max(ends, default=0)
    order = sorted(range(len(ends)), key=lambda k: -ends[k])
    placed, top = rule([last - ends[k] for k in order], [last - starts[k] for k in order], [sizes[k] for k in order])
    offsets = [0] * len(order)
    for k, offset in zip(order, placed, strict=True):
        offsets[k] = offset
    return offsets, top
