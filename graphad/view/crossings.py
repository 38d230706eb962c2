"""The order of the points in each row of a layered drawing: few crossings, clusters in one piece.

Second step of the built-in layout.  A *point* is a box, or a bend where a long edge passes through a row.
What may enter: orderings of integers, with bounded work.
"""

from __future__ import annotations

from bisect import bisect_right

Neighbours = list[list[int]]
# A path of cluster numbers, outermost first; no number stands for two clusters. A bend has the clusters that its
# two ends share.
Paths = list[tuple[int, ...]]

_SWEEPS = 24
# So many sweeps without a better order are the last.
_PATIENCE = 6
_WORK = 4_000_000


def order_rows(
    rows: list[list[int]], above: Neighbours, below: Neighbours, beside: Neighbours, paths: Paths
) -> list[list[int]]:
    """Reorder `rows` by barycentre sweeps down and up; the order with the fewest crossings seen wins.

    `above` and `below` list each point's neighbours in the adjacent rows, `beside` those in its own, which
    only draw it nearer. Points of one cluster stay side by side in a row.
    """
    size = sum(map(len, rows)) + sum(map(len, below))
    sweeps = max(4, min(_SWEEPS, _WORK // max(1, size)))
    rows = [list(row) for row in rows]
    places = _places(rows)
    for row in rows:
        _sort_row(row, {point: float(places[point]) for point in row}, paths, places)
    best, fewest = [list(row) for row in rows], count_crossings(rows, below, places)
    best_sweep = 0
    for sweep in range(sweeps):
        if fewest == 0 or sweep - best_sweep > _PATIENCE:
            break
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for row in rows if downwards else reversed(rows):
            _sort_row(row, _barycentres(row, neighbours, beside, places), paths, places)
        crossings = count_crossings(rows, below, places)
        if crossings < fewest:
            best, fewest, best_sweep = [list(row) for row in rows], crossings, sweep
    return best


def _places(rows: list[list[int]]) -> list[int]:
    """Give each point its place in its row."""
    places = [0] * sum(map(len, rows))
    for row in rows:
        for place, point in enumerate(row):
            places[point] = place
    return places


def _barycentres(row: list[int], neighbours: Neighbours, beside: Neighbours, places: list[int]) -> dict[int, float]:
    """Compute the mean place of each point's neighbours; a point without any keeps its own place."""
    centres: dict[int, float] = {}
    for point in row:
        others = neighbours[point] + beside[point] if beside[point] else neighbours[point]
        centres[point] = sum([places[other] for other in others]) / len(others) if others else float(places[point])
    return centres


def _sort_row(row: list[int], centres: dict[int, float], paths: Paths, places: list[int]) -> None:
    """Sort one row in place by the mean of each outermost cluster, then of each cluster in it, and so on."""
    if len(row) > 1:
        sums: dict[int, float] = {}
        numbers: dict[int, int] = {}
        for point in row:
            for cluster in paths[point]:
                sums[cluster] = sums.get(cluster, 0.0) + centres[point]
                numbers[cluster] = numbers.get(cluster, 0) + 1
        # The means of the clusters on a path, each with the cluster's number to tell equal means apart.
        heads: dict[tuple[int, ...], tuple[float, ...]] = {
            path: tuple([part for cluster in path for part in (sums[cluster] / numbers[cluster], cluster)])
            for path in {paths[point] for point in row}
        }
        # Loose points come before a cluster with the same mean: their cluster number is -1.
        keyed = [(*heads[paths[point]], centres[point], -1.0, places[point], point) for point in row]
        keyed.sort()
        row[:] = [key[-1] for key in keyed]  # type: ignore[misc]  # the last part is the point
    for place, point in enumerate(row):
        places[point] = place


def count_crossings(rows: list[list[int]], below: Neighbours, places: list[int]) -> int:
    """Count the pairs of edges that cross between adjacent rows, as inversions (Barth, Juenger, Mutzel 2002)."""
    total = 0
    for row in rows:
        ends = [place for point in row for place in sorted([places[other] for other in below[point]])]
        # Insertion into a sorted list moves memory, not Python objects' comparisons: fast for the lengths
        # that rows have.
        seen: list[int] = []
        for end in ends:
            position = bisect_right(seen, end)
            total += len(seen) - position
            seen.insert(position, end)
    return total
