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


class _Sweep:
    """One pass over the starts of intervals, each in the smallest hole that holds it, at the hole's lower end."""

    def __init__(self, starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> None:
        self.starts, self.ends, self.sizes = starts, ends, sizes

    def run(self) -> Placed:
        """Place all. What fits in no hole goes on top, extending a hole that ends there."""
        ends, sizes, holes = self.ends, self.sizes, _Holes()
        offsets = [0] * len(sizes)
        dying = sorted(range(len(sizes)), key=ends.__getitem__)
        dead = top = 0
        for k, start in enumerate(self.starts):
            while ends[dying[dead]] < start:
                gone = dying[dead]
                dead += 1
                if sizes[gone]:
                    self.leave(gone, offsets[gone])
                    holes.free(offsets[gone], sizes[gone])
            size = sizes[k]
            if not size:
                continue
            found = holes.smallest(size)
            if found is None:
                offset = holes.end_at(top)
                top = offset + size
            else:
                hole, low = found
                holes.remove(low, hole)
                offset = self.choose(k, low, low + hole - size)
                if hole > size:
                    holes.add(low if offset > low else low + size, hole - size)
            offsets[k] = offset
            self.enter(k, offset)
        return offsets, top

    def choose(self, k: int, low: int, high: int) -> int:
        """Return the offset of an interval in a hole: its lowest, or its highest."""
        return low

    def enter(self, k: int, offset: int) -> None:
        """Note where an interval lies."""

    def leave(self, k: int, offset: int) -> None:
        """Note that an interval is over."""


class _SweepByEnds(_Sweep):
    """Each interval at the end of its hole whose neighbour dies nearer to its own end."""

    def __init__(self, starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> None:
        super().__init__(starts, ends, sizes)
        self.death_from: dict[int, int] = {}  # end of the interval that starts at an offset
        self.death_to: dict[int, int] = {}  # end of the interval that ends at an offset
        self.never = 2 * max(ends, default=0) + 1

    def choose(self, k: int, low: int, high: int) -> int:
        end = self.ends[k]
        below = abs(self.death_to.get(low, self.never) - end)
        above = abs(self.death_from.get(high + self.sizes[k], self.never) - end)
        return high if above < below else low

    def enter(self, k: int, offset: int) -> None:
        self.death_from[offset] = self.death_to[offset + self.sizes[k]] = self.ends[k]

    def leave(self, k: int, offset: int) -> None:
        del self.death_from[offset], self.death_to[offset + self.sizes[k]]


def sweep(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> Placed:
    """Place intervals in the order of their starts (which must ascend), each in the smallest hole that holds it.

    Returns the offsets and the top.
    """
    return _Sweep(starts, ends, sizes).run()


def sweep_by_ends(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> Placed:
    """Place intervals as `sweep` does, but each at the end of its hole whose neighbour dies nearer to its own end.

    What dies together then leaves one hole.
    """
    return _SweepByEnds(starts, ends, sizes).run()


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
