"""Skyline: offsets for a few thousand buffers, searched until they reach the lower bound or the effort is spent.

A placement is decoded from one number a buffer, its *reluctance* in bytes: again and again the buffer whose lowest free
place above everything placed so far (its skyline) plus its reluctance is least goes there. Every canonical placement
has such numbers (Moffitt, "MiniMalloc: a lightweight memory allocator for hardware-accelerated ML", 2023), so the
search is over them: a batch of neighbours of the best placement at a time, decoded together in NumPy. What hurts, the
buffers that end above the target, and what lives beside it is moved most (squeaky wheel; Joslin & Clements, 1999).

The random numbers come from a fixed seed and the effort is counted in work, not in seconds, so that the same buffers
get the same offsets on every machine that is fast enough for the limit of time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphad.ir.frozen import frozen
from graphad.plan.effort import PLACEMENTS

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

BATCH = 16
"""Placements decoded together: more make a step cheaper, fewer let the search turn sooner."""

_EXCESS_WEIGHT = 0.02
_LOCAL = 0.7
_MOVED = (-2.3, -0.5)  # share of buffers moved, as powers of ten
_STEP = (-4.0, -1.2)  # how far, as a share of the lower bound, as powers of ten


@frozen(slots=True, eq=False)
class Problem:
    """Buffers over sections of time in which the same buffers live; sizes in units of their greatest common divisor.

    Attributes:
        kept: which of the given buffers these are: neither empty nor live throughout.
        sizes: units of each, in a float type that holds every sum of them exactly.
        lengths: how many sections each lives in.
        overlaps: [n, n], 1 where two buffers are live together.
        pressure: units live in the fullest section of each buffer.
        bound: units live in the fullest section.
        unit: bytes of a unit.
        ground: bytes of the buffers that live throughout, which lie at the bottom.
    """

    kept: Ints
    sizes: Floats
    lengths: Ints
    overlaps: Floats
    pressure: Floats
    bound: int
    unit: int
    ground: int


def place_by_skyline(
    starts: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
    *,
    effort: int = PLACEMENTS,
    seconds: float = 1.0,
    slack: int = 0,
) -> tuple[list[int], int]:
    """Place intervals (`ends` included) near their lower bound; returns the offsets and the top.

    Args:
        starts, ends, sizes: of each interval; sizes in bytes.
        effort: work to spend at most.
        seconds: CPU time to spend at most, whatever the effort; where it strikes, the result depends on the machine.
        slack: bytes above the lower bound that are good enough.
    """
    deadline = time.thread_time() + seconds
    placed, ground = _ground_floor(starts, ends, sizes)
    problem = _problem(starts, ends, sizes, ground)
    if len(problem.kept):
        rounds = max(effort // (len(problem.kept) * (len(problem.kept) + 400)), 1)
        found = _search(problem, rounds, deadline, slack // problem.unit)
        placed[problem.kept] = found.astype(np.int64) * problem.unit + ground
    tops = placed + np.asarray(sizes, np.int64)
    return placed.tolist(), int(tops.max(initial=0))


def _ground_floor(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> tuple[Ints, int]:
    """Stack the buffers that live throughout at the bottom; returns offsets (0 for the others) and the height."""
    first, last = min(starts, default=0), max(starts, default=0)
    offsets = np.zeros(len(sizes), np.int64)
    height = 0
    for k, (start, end, size) in enumerate(zip(starts, ends, sizes, strict=True)):
        if start == first and end >= last:
            offsets[k] = height
            height += size
    return offsets, height


def _problem(starts: Sequence[int], ends: Sequence[int], sizes: Sequence[int], ground: int) -> Problem:
    first, last, size = (np.asarray(x, np.int64) for x in (starts, ends, sizes))
    sections = np.unique(first)
    low = np.searchsorted(sections, first)
    high = np.searchsorted(sections, last, "right")
    kept = np.flatnonzero((size > 0) & (high - low < len(sections)))
    low, high, size = low[kept], high[kept], size[kept]
    unit = int(np.gcd.reduce(size)) if len(size) else 1
    units = size // unit
    change = np.zeros(len(sections) + 1, np.int64)
    np.add.at(change, low, units)
    np.subtract.at(change, high, units)
    load = np.cumsum(change)
    kind: Any = np.float32 if units.sum() < 2**23 else np.float64
    together = (low[:, None] < high) & (low < high[:, None])
    pressure = np.array([load[a:b].max() for a, b in zip(low.tolist(), high.tolist(), strict=True)], np.float64)
    bound = int(load.max(initial=0))
    return Problem(kept, units.astype(kind), high - low, together.astype(kind), pressure, bound, unit, ground)


def _search(problem: Problem, rounds: int, deadline: float, slack: int) -> Floats:
    """Return the offsets (in units) of the best placement found."""
    n, bound, sizes = len(problem.kept), problem.bound, problem.sizes
    random = np.random.default_rng(n)
    batch = _first_guesses(problem)
    offsets = decode(batch, problem)
    tops = (offsets + sizes).max(1)
    chosen = int(tops.argmin())
    current, placed = batch[chosen], offsets[chosen]
    best: Floats = placed
    top = float(tops[chosen])
    for _ in range(rounds):
        if top <= bound + slack or time.thread_time() > deadline:
            break
        target = bound + 0.5 * (top - bound)
        batch = current + _moves(random, problem, np.maximum(placed + sizes - target, 0))
        offsets = decode(batch, problem)
        tops = (offsets + sizes).max(1)
        lowest = int(tops.argmin())
        if tops[lowest] < top:
            best, top = offsets[lowest], float(tops[lowest])
        cost = tops + _EXCESS_WEIGHT * np.maximum(offsets + sizes - target, 0).sum(1)
        now = (placed + sizes).max() + _EXCESS_WEIGHT * np.maximum(placed + sizes - target, 0).sum()
        chosen = int(cost.argmin())
        if cost[chosen] <= now:
            current, placed = batch[chosen], offsets[chosen]
    return best


def _first_guesses(problem: Problem) -> Floats:
    """Return reluctances below one unit, [guesses, n], that only break ties: by area, size, lifetime, pressure."""
    sizes, lengths = problem.sizes.astype(np.float64), problem.lengths.astype(np.float64)
    area, pressure = sizes * lengths, problem.pressure
    share = pressure / max(problem.bound, 1)
    orders = (
        area,
        sizes,
        lengths,
        area * pressure,
        lengths * pressure,
        area * share**4,
        pressure + area / (area.max() + 1),
        pressure + lengths / (lengths.max() + 1),
        np.sqrt(sizes) * lengths,
        sizes * np.sqrt(lengths),
    )
    guesses = np.empty((len(orders), len(sizes)))
    for row, order in zip(guesses, orders, strict=True):
        row[np.argsort(-order, kind="stable")] = np.arange(len(sizes)) / len(sizes)
    return guesses


def _moves(random: np.random.Generator, problem: Problem, excess: Floats) -> Floats:
    """Return changes of the reluctances, [batch, n]: a few buffers up or down, those that hurt mostly down.

    Most rows only move what lives beside one buffer that hurts: the others do not need to change.
    """
    n = len(excess)
    share = 10 ** random.uniform(*_MOVED, (BATCH, 1))
    step = 10 ** random.uniform(*_STEP, (BATCH, 1)) * problem.bound
    weights = excess.astype(np.float64)
    centres = random.choice(n, BATCH, p=weights / weights.sum())
    near = problem.overlaps[centres] * np.minimum(3 * share, 0.9)
    chance = np.where(random.random((BATCH, 1)) < _LOCAL, near, share)
    changes = random.standard_normal((BATCH, n)) * step * (random.random((BATCH, n)) < chance)
    hurt = (excess > 0) & (random.random((BATCH, n)) < 0.4) & (random.random((BATCH, 1)) < 0.7)
    changes -= hurt * np.abs(random.standard_normal((BATCH, n))) * step
    return changes


def decode(reluctances: Floats, problem: Problem) -> Floats:
    """Return the offsets (in units) that reluctances [batch, n] stand for."""
    rows, n = reluctances.shape
    sizes, overlaps = problem.sizes, problem.overlaps
    waiting = reluctances.astype(sizes.dtype)
    lowest = np.zeros_like(waiting)  # where each buffer could go
    keys = waiting.copy()
    reach = np.empty_like(waiting)
    # One flat index a row is cheaper than a pair of index arrays.
    flat_lowest, flat_waiting, begin = lowest.reshape(-1), waiting.reshape(-1), np.arange(rows) * n
    offsets = np.zeros_like(waiting)
    flat_offsets = offsets.reshape(-1)
    for _ in range(n):
        chosen = keys.argmin(1)
        where = begin + chosen
        at = flat_lowest[where]
        flat_offsets[where] = at
        flat_waiting[where] = np.inf
        np.multiply(overlaps[chosen], (at + sizes[chosen])[:, None], out=reach)
        np.maximum(lowest, reach, out=lowest)
        np.add(lowest, waiting, out=keys)
    return offsets
