"""Arena: an offset for every buffer, so that no two that are live at the same time overlap.

An event sweep gives each buffer the smallest hole that holds it when it becomes live. Where that is above the lower
bound other sweeps are tried (`graphad.plan.sweeps`). Plans of up to a few thousand buffers are packed again by size as
well, the largest buffer first (Pisarchyk & Lee, "Efficient memory management for deep neural net inference", 2020), and
searched (`graphad.plan.skyline`) where that does not reach it either. `check_no_overlap` knows nothing of all this.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from graphad.ir.errors import VerifyError
from graphad.ir.frozen import frozen
from graphad.plan.buffers import live_bytes
from graphad.plan.effort import PLACEMENTS
from graphad.plan.lifetimes import Lifetimes
from graphad.plan.sweeps import Placed, backwards, sweep, sweep_by_ends

ALIGNMENT = 64
SEARCH_UP_TO = 2_000
"""Buffers of a plan that is worth packing again: the effort grows with their square."""

SWEEPS_UP_TO = 200_000
"""Buffers of a plan that more than one sweep is tried for."""

NEAR = 1_000
"""A top less than one part in so many above the lower bound is not searched on: it would take longer than it saves."""


NEAR_LARGE = 50
"""The same for the sweeps of a plan that is too large to be searched."""


@frozen(eq=False)
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
    effort: int = PLACEMENTS,
) -> tuple[list[int], int]:
    """Place intervals (`ends` included, `starts` ascending) near their lower bound; returns the offsets and the top.

    Args:
        starts, ends, sizes: of each interval; aligned sizes give aligned offsets.
        bound: most bytes live at once.
        seconds, effort: limits of the search, as in `place_by_skyline`.
    """
    searched = len(starts) <= SEARCH_UP_TO
    near = bound + bound // NEAR
    best = sweep(starts, ends, sizes)
    if best[1] == bound or seconds <= 0 or (best[1] <= near and not searched):
        return best
    if len(starts) <= SWEEPS_UP_TO:
        best = _swept_on(best, starts, ends, sizes, bound + bound // (NEAR if searched else NEAR_LARGE))
    if best[1] == bound or not searched:
        return best
    best = min(best, pack_by_size(starts, ends, sizes), key=_top)
    if best[1] > near:
        from graphad.plan.skyline import place_by_skyline

        found = place_by_skyline(starts, ends, sizes, effort=effort, seconds=seconds, slack=bound // NEAR)
        best = min(best, found, key=_top)
    return best


def _swept_on(best: Placed, starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int], enough: int) -> Placed:
    """Try other sweeps until the top is low enough; returns the best placement."""
    if best[1] > enough:
        best = min(best, backwards(sweep_by_ends, starts, ends, sizes), key=_top)
    if best[1] > enough:
        best = min(best, sweep_by_ends(starts, ends, sizes), key=_top)
    if best[1] > enough:
        best = min(best, backwards(sweep, starts, ends, sizes), key=_top)
    return best


def _top(placed: Placed) -> int:
    return placed[1]


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
