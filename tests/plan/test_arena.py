"""Placement: nothing overlaps or is below the bound, small plans come close to it, equal input gives equal offsets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from placement_checks import most_live, overlapping_pairs
from training_graphs import chain, cnn, transformer

from graphad.ir.graph import Graph
from graphad.plan.arena import place_intervals
from graphad.plan.plan import plan
from graphad.plan.skyline import place_by_skyline
from graphad.plan.sweeps import backwards, sweep, sweep_by_ends

INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 9)), max_size=60)
Intervals = tuple[list[int], list[int], list[int]]


def columns(intervals: list[tuple[int, int, int]], unit: int = 64) -> Intervals:
    intervals = sorted(intervals)
    return [s for s, _, _ in intervals], [s + d for s, d, _ in intervals], [unit * n for _, _, n in intervals]


def random_intervals(count: int, seed: int) -> Intervals:
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(2.5, 1.5, count)).astype(int)
    return columns(
        list(
            zip(
                rng.integers(0, count, count).tolist(),
                lengths.tolist(),
                rng.integers(1, 99, count).tolist(),
                strict=True,
            )
        )
    )


@given(INTERVALS, st.sampled_from([1, 64, 2**40 + 64]))
@settings(max_examples=150, deadline=None)
def test_the_skyline_keeps_intervals_apart(intervals: list[tuple[int, int, int]], unit: int) -> None:
    starts, ends, sizes = columns(intervals, unit)
    offsets, top = place_by_skyline(starts, ends, sizes, effort=100_000)
    assert not overlapping_pairs(starts, ends, sizes, offsets)
    assert all(offset >= 0 and offset % unit == 0 for offset in offsets)
    assert top == max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0)
    assert top >= most_live(starts, ends, sizes)


@given(INTERVALS)
@settings(max_examples=150, deadline=None)
def test_every_sweep_keeps_intervals_apart(intervals: list[tuple[int, int, int]]) -> None:
    starts, ends, sizes = columns(intervals)
    for offsets, top in (
        sweep(starts, ends, sizes),
        sweep_by_ends(starts, ends, sizes),
        backwards(sweep, starts, ends, sizes),
        backwards(sweep_by_ends, starts, ends, sizes),
    ):
        assert not overlapping_pairs(starts, ends, sizes, offsets)
        assert all(offset >= 0 and offset % 64 == 0 for offset in offsets)
        assert top == max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0)


@given(INTERVALS)
@settings(max_examples=100, deadline=None)
def test_placements_are_never_above_the_sweep_and_never_below_the_bound(intervals: list[tuple[int, int, int]]) -> None:
    starts, ends, sizes = columns(intervals)
    bound = most_live(starts, ends, sizes)
    offsets, top = place_intervals(starts, ends, sizes, bound, effort=100_000)
    swept, swept_top = place_intervals(starts, ends, sizes, bound, seconds=0)
    assert not overlapping_pairs(starts, ends, sizes, offsets) + overlapping_pairs(starts, ends, sizes, swept)
    assert bound <= top <= swept_top


@pytest.mark.parametrize("seed", range(4))
def test_random_intervals_come_close_to_the_bound(seed: int) -> None:
    starts, ends, sizes = random_intervals(300, seed)
    bound = most_live(starts, ends, sizes)
    offsets, top = place_intervals(starts, ends, sizes, bound, seconds=60)
    assert not overlapping_pairs(starts, ends, sizes, offsets)
    assert top <= 1.03 * bound


def test_the_search_improves_with_effort_and_does_the_same_again() -> None:
    rng = np.random.default_rng(5)
    starts = np.sort(rng.integers(0, 100, 120)).tolist()
    ends = [s + int(d) for s, d in zip(starts, rng.integers(0, 30, 120), strict=True)]
    sizes = (64 * rng.integers(1, 400, 120)).tolist()
    short = place_by_skyline(starts, ends, sizes, effort=1, seconds=60)
    long = place_by_skyline(starts, ends, sizes, effort=10_000_000, seconds=60)
    assert long[1] < short[1]
    assert long == place_by_skyline(starts, ends, sizes, effort=10_000_000, seconds=60)
    assert not overlapping_pairs(starts, ends, sizes, long[0])


GRAPHS = [chain(36), cnn(), cnn(channels=(3, 8, 16, 16, 32, 32)), transformer(2), transformer(2, optimized=False)]


@pytest.mark.parametrize("graph", GRAPHS)
def test_training_graphs_are_placed_within_half_a_percent(graph: Graph) -> None:
    found = plan(graph)
    placed = found.placed()
    columns = ([p.start for p in placed], [p.end for p in placed], [p.size for p in placed], [p.offset for p in placed])
    assert not overlapping_pairs(*columns)
    rounded = [-(-p.size // 64) * 64 for p in placed]
    assert found.lower_bound_bytes == most_live(columns[0], columns[1], rounded)
    assert found.arena_bytes <= 1.005 * found.lower_bound_bytes


def test_a_hundred_thousand_intervals() -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    starts = np.arange(count)
    kept = np.where(rng.random(count) < 0.5, count - starts, starts + 2)
    ends = np.where(starts < count // 2, kept, starts + rng.integers(1, 4, count))
    sizes = rng.choice([64, 1024, 4096, 65536], count)
    change = np.zeros(2 * count + 2, np.int64)
    np.add.at(change, starts, sizes)
    np.subtract.at(change, ends + 1, sizes)
    bound = int(np.cumsum(change).max())
    offsets, top = place_intervals(starts.tolist(), ends.tolist(), sizes.tolist(), bound)
    assert bound <= top <= 1.02 * bound
    some = np.sort(rng.choice(count, 3_000, replace=False))
    assert not overlapping_pairs(starts[some], ends[some], sizes[some], np.array(offsets)[some])


def test_a_hundred_thousand_intervals_of_all_lengths() -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    starts = np.sort(rng.integers(0, count, count))
    ends = starts + rng.integers(1, count // 5, count)
    sizes = 64 * rng.integers(1, 1_000, count)
    change = np.zeros(2 * count, np.int64)
    np.add.at(change, starts, sizes)
    np.subtract.at(change, ends + 1, sizes)
    bound = int(np.cumsum(change).max())
    offsets, top = place_intervals(starts.tolist(), ends.tolist(), sizes.tolist(), bound)
    assert bound <= top <= 1.02 * bound
    some = np.sort(rng.choice(count, 3_000, replace=False))
    assert not overlapping_pairs(starts[some], ends[some], sizes[some], np.array(offsets)[some])
