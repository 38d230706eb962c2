"""Which clusters are drawn wholly under which: layers of a model, one under the other instead of in a diagonal.

Arrows alone let the first rows of a layer begin beside the last rows of the layer before; its frame then has to stand
beside that one's, and a deep model drifts sideways by a frame a layer. What may enter: this one decision, shared
by both layouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphad.view.drawing import Picture

Path = tuple[str, ...]


def stacked_clusters(picture: Picture) -> tuple[tuple[Path, Path], ...]:
    """List pairs (upper, lower) of sibling clusters, of which the lower can lie under all of the upper.

    It can where arrows lead from one to the other and no way leads back. Of several such clusters over one only the
    last in topological order is listed.
    """
    deepest = max((len(box.cluster) for box in picture.boxes), default=0)
    return tuple(pair for depth in range(1, deepest + 1) for pair in _pairs(picture, depth))


def _pairs(picture: Picture, depth: int) -> Iterator[tuple[Path, Path]]:
    """Find the pairs among the clusters of one depth, on the picture with each of them shrunk to a point."""
    points: dict[Path | str, int] = {}
    clusters: dict[int, Path] = {}
    point_of: dict[str, int] = {}
    for box in picture.boxes:
        is_inside = len(box.cluster) >= depth
        point = points.setdefault(box.cluster[:depth] if is_inside else box.key, len(points))
        point_of[box.key] = point
        if is_inside:
            clusters[point] = box.cluster[:depth]
    below: list[dict[int, None]] = [{} for _ in points]
    for arrow in picture.arrows:
        upper, lower = point_of[arrow.upper], point_of[arrow.lower]
        if upper != lower and arrow.rank != "free":
            below[upper].setdefault(lower)
    component = strong_components([list(lower) for lower in below])
    last_above: dict[int, int] = {}
    for upper, path in clusters.items():
        for lower in below[upper]:
            if component[lower] == component[upper] or clusters.get(lower, path)[:-1] != path[:-1]:
                continue
            if lower in clusters and component[upper] < component[last_above.setdefault(lower, upper)]:
                last_above[lower] = upper
    for lower, upper in last_above.items():
        yield clusters[upper], clusters[lower]


def strong_components(below: Sequence[Sequence[int]]) -> list[int]:
    """Number the strongly connected components so that edges lead to equal or smaller numbers (Tarjan 1972).

    `below` lists the successors of each point.
    """
    count = len(below)
    component = [-1] * count
    met = [-1] * count
    lowest = [0] * count
    open_points: list[int] = []
    clock = components = 0
    for start in range(count):
        if met[start] >= 0:
            continue
        path = [(start, 0)]
        while path:
            point, position = path.pop()
            if position == 0:
                met[point] = lowest[point] = clock
                clock += 1
                open_points.append(point)
            else:
                lowest[point] = min(lowest[point], lowest[below[point][position - 1]])
            while position < len(below[point]):
                other = below[point][position]
                position += 1
                if met[other] < 0:
                    path += [(point, position), (other, 0)]
                    break
                if component[other] < 0:
                    lowest[point] = min(lowest[point], met[other])
            else:
                if lowest[point] == met[point]:
                    while component[point] < 0:
                        component[open_points.pop()] = components
                    components += 1
    return component
