"""Rows by network simplex: as short as a linear program finds, whatever the start, and sound when stopped early."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from graphad.view.network_simplex import Edge, shorten
from graphad.view.rows import assign_rows


@st.composite
def acyclic_edges(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    count = draw(st.integers(2, 15))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), min_size=1, max_size=40))
    weights = st.integers(0, 5)
    edges = [Edge(min(a, b), max(a, b), draw(st.integers(0, 3)), draw(weights)) for a, b in pairs if a != b]
    return count, edges


def length(edges: list[Edge], rows: list[int]) -> int:
    return sum(edge.weight * (rows[edge.lower] - rows[edge.upper]) for edge in edges)


def is_sound(edges: list[Edge], rows: list[int]) -> bool:
    return all(rows[edge.lower] - rows[edge.upper] >= edge.length for edge in edges)


def least_length(count: int, edges: list[Edge]) -> float:
    """Solve the same problem as a linear program, whose optimum is integral."""
    constraints = np.zeros((len(edges), count))
    costs = np.zeros(count)
    for number, edge in enumerate(edges):
        constraints[number, edge.upper] += 1
        constraints[number, edge.lower] -= 1
        costs[edge.lower] += edge.weight
        costs[edge.upper] -= edge.weight
    found = linprog(costs, constraints, [-edge.length for edge in edges], bounds=[(0, None)] * count)
    return float(found.fun)


@settings(max_examples=150, deadline=None)
@given(acyclic_edges())
def test_the_edges_are_as_short_as_can_be(graph: tuple[int, list[Edge]]) -> None:
    count, edges = graph
    rows = assign_rows(count, edges)
    assert is_sound(edges, rows)
    if edges:
        assert length(edges, rows) == pytest.approx(least_length(count, edges))


@settings(max_examples=60, deadline=None)
@given(acyclic_edges(), st.integers(0, 200))
def test_it_may_be_stopped_at_any_time_and_never_gets_worse(graph: tuple[int, list[Edge]], work: int) -> None:
    count, edges = graph
    start = [4 * box for box in range(count)]
    rows = shorten(count, edges, start, work)
    assert is_sound(edges, rows)
    assert length(edges, rows) <= length(edges, start)
    assert start == [4 * box for box in range(count)]


def test_a_chain_hangs_from_its_end() -> None:
    # A long path 0..9 and a short one 10, 11 into its end: the short one lies at the end, not at the start.
    edges = [Edge(box, box + 1, 1, 1) for box in range(9)] + [Edge(10, 11, 1, 1), Edge(11, 9, 1, 1)]
    assert assign_rows(12, edges) == [*range(10), 7, 8]
