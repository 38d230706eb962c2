"""Arena: an offset for every buffer, so that no two that are live at the same time overlap.

An event sweep gives each buffer the smallest hole that holds it when it becomes live. Plans of up to a few thousand
buffers that it leaves above the lower bound are packed again by size, the largest buffer first (Pisarchyk & Lee,
"Efficient memory management for deep neural net inference", 2020), and searched (`graphad.plan.skyline`) where that
does not reach it either. `check_no_overlap` knows nothing of all this.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from graphad.ir.errors import VerifyError
from graphad.ir.frozen import frozen
from graphad.plan.lifetimes import Lifetimes, live_bytes
from graphad.plan.skyline import EFFORT, place_by_skyline

ALIGNMENT = 64
SEARCH_UP_TO = 2_000
"""Buffers of a plan that is worth packing again: the effort grows with their square."""

NEAR = 1_000
"""A top less than one part in so many above the lower bound is not searched on: it would take longer than it saves."""


@frozen(slots=True, eq=False)
class Arena:
    """Offsets into one block of memory.

    Attributes:
        offsets: offset of each buffer of the arena, by buffer; -1 for buffers that lie elsewhere.
        nbytes: size of the block.
        lower_bound: most bytes live at once, sizes rounded up to the alignment: no placement needs less.
    """

    offsets: list[int]
    nbytes: int
    lower_bound: int


def aligned(size: int) -> int:
    """Round a size up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(lifetimes: Lifetimes, seconds: float = 1.0) -> Arena:
    """Give every buffer of the arena an offset, searching for at most so many seconds where the sweep is not enough."""
    buffers = lifetimes.arena_buffers
    starts = [max(lifetimes.starts[b], 0) for b in buffers]
    ends = [lifetimes.ends[b] for b in buffers]
    sizes = [aligned(lifetimes.sizes[b]) for b in buffers]
    steps = max(len(lifetimes.steps), 1)
    bound = int(live_bytes(starts, ends, sizes, steps).max(initial=0))
    placed, top = place_intervals(starts, ends, sizes, bound, seconds)
    offsets = [-1] * len(lifetimes.sizes)
    for b, offset in zip(buffers, placed, strict=True):
        offsets[b] = offset
    return Arena(offsets, top, bound)


def place_intervals(
    starts: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
    bound: int,
    seconds: float = 1.0,
    effort: int = EFFORT,
) -> tuple[list[int], int]:
    """Place intervals (`ends` included, `starts` ascending) near their lower bound; returns the offsets and the top.

    Args:
        starts, ends, sizes: of each interval; aligned sizes give aligned offsets.
        bound: most bytes live at once.
        seconds, effort: limits of the search, as in `place_by_skyline`.
    """
    placed, top = sweep(starts, ends, sizes)
    if top == bound or len(starts) > SEARCH_UP_TO:
        return placed, top
    packed, packed_top = pack_by_size(starts, ends, sizes)
    if packed_top < top:
        placed, top = packed, packed_top
    if top > bound + bound // NEAR and seconds > 0:
        found, found_top = place_by_skyline(starts, ends, sizes, effort=effort, seconds=seconds, slack=bound // NEAR)
        if found_top < top:
            placed, top = found, found_top
    return placed, top


def sweep(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Place intervals in the order of their starts (which must ascend), each in the smallest hole that holds it.

    Returns the offsets and the top. A buffer that fits in no hole goes on top, extending a hole that ends there.
    """
    offsets = [0] * len(starts)
    dying = sorted(range(len(starts)), key=ends.__getitem__)
    dead = 0
    holes: list[tuple[int, int]] = []  # (size, offset), sorted
    size_at: dict[int, int] = {}  # size of the hole that starts at an offset
    start_before: dict[int, int] = {}  # start of the hole that ends at an offset
    top = 0

    def add(offset: int, size: int) -> None:
        insort(holes, (size, offset))
        size_at[offset] = size
        start_before[offset + size] = offset

    def remove(offset: int, size: int) -> None:
        del holes[bisect_left(holes, (size, offset))]
        del size_at[offset]
        del start_before[offset + size]

    for k, start in enumerate(starts):
        while ends[dying[dead]] < start:
            offset, size = offsets[dying[dead]], sizes[dying[dead]]
            dead += 1
            if not size:
                continue
            after = size_at.get(offset + size)
            if after is not None:
                remove(offset + size, after)
                size += after
            before = start_before.get(offset)
            if before is not None:
                remove(before, offset - before)
                size += offset - before
                offset = before
            add(offset, size)
        size = sizes[k]
        if not size:
            continue
        found = bisect_left(holes, (size, -1))
        if found < len(holes):
            hole, offset = holes[found]
            remove(offset, hole)
            if hole > size:
                add(offset + size, hole - size)
        else:
            last = start_before.get(top)
            if last is None:
                offset = top
            else:
                offset = last
                remove(last, top - last)
            top = offset + size
        offsets[k] = offset
    return offsets, top


def pack_by_size(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Place intervals by falling size, each in the smallest gap among those placed that are live with it; O(n^2)."""
    first = np.asarray(starts, np.int64)
    last = np.asarray(ends, np.int64)
    size = np.asarray(sizes, np.int64)
    offset = np.zeros(len(sizes), np.int64)
    done = np.zeros(len(sizes), bool)
    top = 0
    for k in np.lexsort((first - last, -size)).tolist():
        if not sizes[k]:
            continue
        rivals = np.flatnonzero(done & (first <= last[k]) & (last >= first[k]))
        low = offset[rivals]
        order = np.argsort(low, kind="stable")
        low = low[order]
        # The gap before each rival starts where everything below it ends.
        floor = np.maximum.accumulate(np.concatenate(([0], low + size[rivals][order])))
        room = low - floor[:-1]
        fits = np.flatnonzero(room >= sizes[k])
        place_at = int(floor[fits[np.argmin(room[fits])]]) if len(fits) else int(floor[-1])
        offset[k] = place_at
        done[k] = True
        top = max(top, place_at + sizes[k])
    return offset.tolist(), top


def check_no_overlap(lifetimes: Lifetimes, arena: Arena) -> None:
    """Check that all buffers lie inside the arena, aligned, and no two that are live at the same step overlap.

    Raises VerifyError naming the buffers.
    """
    items = []
    for b in lifetimes.arena_buffers:
        offset, size = arena.offsets[b], lifetimes.sizes[b]
        if offset < 0 or offset % ALIGNMENT or offset + size > arena.nbytes:
            raise VerifyError(f"buffer {b} ({size} bytes) at {offset} is not inside the arena of {arena.nbytes} bytes")
        if size:
            items.append((lifetimes.starts[b], lifetimes.ends[b], offset, size, b))
    items.sort()
    by_end = sorted(items, key=lambda item: item[1])
    gone = 0
    live: list[tuple[int, int, int]] = []  # (offset, end of the bytes, buffer), sorted; disjoint as long as no error
    for start, _, offset, size, b in items:
        while by_end[gone][1] < start:
            _, _, old, old_size, old_b = by_end[gone]
            del live[bisect_left(live, (old, old + old_size, old_b))]
            gone += 1
        at = bisect_left(live, (offset, 0, 0))
        for low, high, other in live[max(at - 1, 0) : at + 1]:
            if low < offset + size and offset < high:
                raise VerifyError(
                    f"buffers {other} (bytes {low} to {high}) and {b} (bytes {offset} to {offset + size}) are both "
                    f"live at step {start}"
                )
        live.insert(at, (offset, offset + size, b))
