"""The x coordinates of a layered drawing: points over their neighbours, long edges straight, nothing overlapping.

Third step of the built-in layout, after Brandes and Koepf, "Fast and Simple Horizontal Coordinate Assignment"
(2002), with the compaction over the graph of blocks that dagre uses (the paper's own can overlap classes).
What may enter: this algorithm.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

Rows = list[list[int]]
Neighbours = list[list[int]]
Separation = Callable[[int, int], float]


_PULLS_AT_MOST = 30
_PULL_WORK = 600_000


def assign_columns(
    rows: Rows, above: Neighbours, below: Neighbours, beside: Neighbours, is_bend: list[bool], gap: Separation
) -> list[float]:
    """Give each point an x so that neighbours in a row, left and right, are at least ``gap(left, right)`` apart.

    Four assignments, one for each corner that the points are pulled to, are laid over each other at their
    middles; each point takes the mean of its two middle values.  Each assignment keeps the gaps, so their
    order statistics do too.  Then points are pulled to their neighbours once more, now with those in their
    own row (`beside`), of which the method knows nothing.
    """
    count = sum(map(len, rows))
    conflicts = _conflicts(rows, above, is_bend)
    candidates: list[list[float]] = []
    for upwards in (True, False):
        for leftwards in (True, False):
            turned = rows if upwards else rows[::-1]
            turned = turned if leftwards else [row[::-1] for row in turned]
            roots = _align(turned, above if upwards else below, conflicts, count)
            turned_gap = gap if leftwards else _mirrored(gap)
            xs = _compact(turned, roots, turned_gap, count)
            candidates.append(xs if leftwards else [-x for x in xs])
    xs = _balance(candidates)
    _pull_together(xs, rows, (above, below, beside), gap)
    return xs


def _mirrored(gap: Separation) -> Separation:
    return lambda left, right: gap(right, left)


def _conflicts(rows: Rows, above: Neighbours, is_bend: list[bool]) -> set[tuple[int, int]]:
    """Mark (upper, lower) segments that cross one between two bends, which is to be straight (type 1 conflicts)."""
    place = {point: position for row in rows for position, point in enumerate(row)}
    marked: set[tuple[int, int]] = set()
    for upper_row, row in itertools.pairwise(rows):
        scanned, left_limit = 0, 0
        for position, point in enumerate(row):
            inner = next((other for other in above[point] if is_bend[other]), None) if is_bend[point] else None
            if inner is None and position != len(row) - 1:
                continue
            right_limit = place[inner] if inner is not None else len(upper_row) - 1
            for other_point in row[scanned : position + 1]:
                for other in above[other_point]:
                    crosses = not left_limit <= place[other] <= right_limit
                    if crosses and not (is_bend[other] and is_bend[other_point]):
                        marked.add((other, other_point))
            scanned, left_limit = position + 1, right_limit
    return marked


def _align(rows: Rows, neighbours: Neighbours, conflicts: set[tuple[int, int]], count: int) -> list[int]:
    """Join each point to a median neighbour in the row before where no join crosses another; return each point's block.

    A block is a vertical run of joined points, named by its first point.
    """
    roots = list(range(count))
    taken = [False] * count
    place = [0] * count
    for row in rows:
        for position, point in enumerate(row):
            place[point] = position
    for row in rows:
        limit = -1
        for point in row:
            others = sorted(neighbours[point], key=place.__getitem__)
            middle = (len(others) - 1) / 2
            medians = (others[int(middle)], others[int(middle + 0.5)]) if others else ()
            for other in dict.fromkeys(medians):
                marked = (other, point) in conflicts or (point, other) in conflicts
                if limit < place[other] and not marked and not taken[other]:
                    roots[point] = roots[other]
                    taken[other] = True
                    limit = place[other]
                    break
    return roots


def _compact(rows: Rows, roots: list[int], gap: Separation, count: int) -> list[float]:
    """Place the blocks as far left as the gaps allow, then each as far right as its right neighbours let it."""
    right: list[dict[int, float]] = [{} for _ in range(count)]
    waiting = [0] * count
    for row in rows:
        for left_point, right_point in itertools.pairwise(row):
            left_block, right_block = roots[left_point], roots[right_point]
            needed = gap(left_point, right_point)
            known = right[left_block].get(right_block)
            if known is None:
                waiting[right_block] += 1
            right[left_block][right_block] = max(needed, known or 0.0)
    blocks = sorted(set(roots))
    order = [block for block in blocks if waiting[block] == 0]
    xs = [0.0] * count
    for block in order:
        for other, needed in right[block].items():
            xs[other] = max(xs[other], xs[block] + needed)
            waiting[other] -= 1
            if waiting[other] == 0:
                order.append(other)
    for block in reversed(order):
        if right[block]:
            xs[block] = max(xs[block], min(xs[other] - needed for other, needed in right[block].items()))
    return [xs[root] for root in roots]


def _balance(candidates: list[list[float]]) -> list[float]:
    """Lay the assignments over the narrowest one, left ones by their left end and right ones by their right end."""
    if not candidates[0]:
        return []
    narrowest = min(candidates, key=lambda xs: max(xs) - min(xs))
    left_end, right_end = min(narrowest), max(narrowest)
    shifted: list[list[float]] = []
    for number, xs in enumerate(candidates):
        shift = left_end - min(xs) if number % 2 == 0 else right_end - max(xs)
        shifted.append([x + shift for x in xs])
    balanced: list[float] = []
    for values in zip(*shifted, strict=True):
        _, low, high, _ = sorted(values)
        balanced.append((low + high) / 2)
    return balanced


def _pull_together(
    xs: list[float], rows: Rows, neighbours: tuple[Neighbours, Neighbours, Neighbours], gap: Separation
) -> None:
    """Move points that stand upright over each other to the median of their other neighbours, as gaps allow."""
    above, below, beside = neighbours
    left: dict[int, tuple[int, float]] = {}
    right: dict[int, tuple[int, float]] = {}
    for row in rows:
        for one, other in itertools.pairwise(row):
            needed = gap(one, other)
            right[one], left[other] = (other, needed), (one, needed)
    for turn in range(min(_PULLS_AT_MOST, _PULL_WORK // max(1, len(xs)))):
        runs = _upright_runs(xs, rows, above)
        moved = 0.0
        for run in runs if turn % 2 == 0 else reversed(runs):
            x = xs[run[0]]
            inside = set(run)
            wishes = sorted(
                xs[other]
                for point in run
                for side in (above, below, beside)
                for other in side[point]
                if other not in inside
            )
            if not wishes:
                continue
            wish = (wishes[(len(wishes) - 1) // 2] + wishes[len(wishes) // 2]) / 2
            least = max((xs[left[point][0]] + left[point][1] for point in run if point in left), default=wish)
            most = min((xs[right[point][0]] - right[point][1] for point in run if point in right), default=wish)
            # Rounding may leave a run a hair less room than it has; it then stays.
            new = min(max(wish, least), most) if least <= most else x
            moved = max(moved, abs(new - x))
            for point in run:
                xs[point] = new
        if moved < 1.0:
            break


def _upright_runs(xs: list[float], rows: Rows, above: Neighbours) -> list[list[int]]:
    """Group the points into runs in which each stands exactly under a neighbour in the row above."""
    run_of: dict[int, list[int]] = {}
    runs: list[list[int]] = []
    for row in rows:
        for point in row:
            over = next((other for other in above[point] if abs(xs[other] - xs[point]) < 0.01), None)
            if over is None:
                run_of[point] = [point]
                runs.append(run_of[point])
            else:
                run_of[point] = run_of[over]
                run_of[point].append(point)
    return runs
