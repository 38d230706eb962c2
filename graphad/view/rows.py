"""Rows for a layered drawing: break cycles, put every box in a row, shorten what can be shortened.

First of the built-in layout's steps (Sugiyama, Tagawa, Toda 1981).  What may enter: graph algorithms on
integers, all iterative and linear in boxes and arrows up to the number of sweeps.
"""

from __future__ import annotations

from graphad.view.network_simplex import Edge, shorten

_TIGHTENING_SWEEPS = 8
_SIMPLEX_WORK = 3_000_000


def assign_rows(count: int, edges: list[Edge]) -> list[int]:
    """Give each of `count` boxes a row from 0 so that no edge of an acyclic graph rises and the edges are short.

    Longest path from the top, then sweeps that move each box within the slack that its neighbours leave it,
    towards the side that pulls more, then network simplex.  Edges that close a cycle are ignored.
    """
    order, kept = topological_order(count, edges)
    above: list[list[Edge]] = [[] for _ in range(count)]
    below: list[list[Edge]] = [[] for _ in range(count)]
    for edge in kept:
        above[edge.lower].append(edge)
        below[edge.upper].append(edge)
    rows = [0] * count
    for box in order:
        for edge in below[box]:
            rows[edge.lower] = max(rows[edge.lower], rows[box] + edge.length)
    # Whole chains move only one box per step, so the sweeps alternate: upwards from the end lets a chain
    # follow its end down.
    for sweep in range(_TIGHTENING_SWEEPS):
        moved = False
        for box in reversed(order) if sweep % 2 == 0 else order:
            row = _best_row(rows, box, above[box], below[box])
            moved = moved or row != rows[box]
            rows[box] = row
        if not moved:
            break
    rows = shorten(count, kept, rows, _SIMPLEX_WORK)
    first = min(rows, default=0)
    return [row - first for row in rows]


def _best_row(rows: list[int], box: int, above: list[Edge], below: list[Edge]) -> int:
    """Move a box to the lowest or the highest row that its neighbours allow, whichever makes its edges shorter."""
    pull = sum(edge.weight for edge in below) - sum(edge.weight for edge in above)
    # On a tie the box goes down, so that a side branch follows its end instead of staying in the first row.
    if pull >= 0 and below:
        return min(rows[edge.lower] - edge.length for edge in below)
    if pull < 0 and above:
        return max(rows[edge.upper] + edge.length for edge in above)
    return rows[box]


def topological_order(count: int, edges: list[Edge]) -> tuple[list[int], list[Edge]]:
    """Order the boxes so that edges go forwards, and list the edges that do (all of them, unless there are cycles).

    Kahn's algorithm; when only cycles are left, the first box left (in the order given) is taken as if it
    were a source.
    """
    below: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for edge in edges:
        if edge.upper != edge.lower:
            below[edge.upper].append(edge.lower)
            waiting[edge.lower] += 1
    ready = [box for box in range(count) if waiting[box] == 0]
    ready.reverse()
    order: list[int] = []
    place = [-1] * count
    next_candidate = 0
    while len(order) < count:
        if not ready:
            while place[next_candidate] >= 0:
                next_candidate += 1
            ready.append(next_candidate)
        box = ready.pop()
        if place[box] >= 0:
            continue
        place[box] = len(order)
        order.append(box)
        for lower in below[box]:
            waiting[lower] -= 1
            if waiting[lower] == 0 and place[lower] < 0:
                ready.append(lower)
    return order, [edge for edge in edges if place[edge.upper] < place[edge.lower]]
