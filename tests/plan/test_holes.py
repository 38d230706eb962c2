"""Holes: what lies unused under something live, against a count of every address at every step."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphad.plan.arena import aligned
from graphad.plan.holes import Hole, find_holes, holes
from graphad.plan.plan import plan
from graphad.plan.sweeps import sweep
from tests.plan.training_graphs import mlp, transformer


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(1, 5)), max_size=14))
def test_holes_are_all_that_is_unused_under_something_live(drawn: list[tuple[int, int, int]]) -> None:
    drawn.sort()
    starts = [start for start, _, _ in drawn]
    ends = [start + length for start, length, _ in drawn]
    sizes = [size for _, _, size in drawn]
    offsets, top = sweep(starts, ends, sizes)
    used = np.zeros((20, top + 1), bool)
    for start, end, offset, size in zip(starts, ends, offsets, sizes, strict=True):
        used[start : end + 1, offset : offset + size] = True
    under = np.logical_or.accumulate(used[:, ::-1], axis=1)[:, ::-1] & ~used
    covered = np.zeros_like(used, int)
    found = find_holes(starts, ends, offsets, sizes)
    for hole in found:
        assert hole.size > 0 and hole.start <= hole.end
        covered[hole.start : hole.end + 1, hole.offset : hole.offset + hole.size] += 1
    assert (covered == under).all()
    assert found == sorted(found, key=lambda hole: (hole.start, hole.offset))


def test_a_hole_goes_on_while_what_bounds_it_changes() -> None:
    # Two buffers follow each other at address 8, one stays at 0: between them 4 bytes stay unused.
    assert find_holes([0, 0, 2], [4, 1, 4], [0, 8, 8], [4, 4, 4]) == [Hole(0, 4, 4, 4)]


def test_holes_and_live_bytes_fill_the_arena_up_to_its_highest_byte() -> None:
    for graph in (mlp((8, 16, 16, 4), 8), transformer(1, d=16, heads=2, seq=8, batch=2, vocab=10)):
        found = plan(graph)
        top = [0] * len(found.lifetimes.steps)
        for b in found.placed():
            for step in range(b.start, b.end + 1):
                top[step] = max(top[step], b.offset + aligned(b.size))
        unused = [0] * len(top)
        for hole in holes(found):
            for step in range(hole.start, hole.end + 1):
                unused[step] += hole.size
        live = found.live_bytes()
        assert [high - low for high, low in zip(top, unused, strict=True)] == live
        assert found.arena_bytes > found.lower_bound_bytes or not unused[found.peak_step]
