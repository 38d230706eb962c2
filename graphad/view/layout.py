"""The built-in layered layout: no binary, no limit on size, about linear time.

It places what dot places when dot is missing, too slow or not worth the wait.  The steps are those of
Sugiyama, Tagawa and Toda (1981): `rows`, bends for long edges (here), `crossings`, `columns`, `frames`, then
y coordinates (here) and `routes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphad.view.columns import assign_columns
from graphad.view.crossings import order_rows
from graphad.view.drawing import Picture, rows_between
from graphad.view.frames import BOTTOM_PADDING, SIDE_PADDING, TOP_PADDING, Frame, find_frames, nesting
from graphad.view.geometry import Layout, PlacedBox, PlacedCluster, box_size
from graphad.view.lettering import label_lines, text_width
from graphad.view.network_simplex import Edge
from graphad.view.routes import Bands, Link, route
from graphad.view.rows import assign_rows, topological_order
from graphad.view.stacking import stacked_clusters

ROW_GAP = 36.0
BOX_GAP = 22.0
BEND_GAP = 9.0
_LABEL_HEIGHT = 13.0
# Above this many bends, the longest edges run beside the picture instead of through it.
_BENDS_PER_BOX = 4
_BENDS_AT_LEAST = 20_000
_STRONG_PULL, _WEAK_PULL, _CLUSTER_PULL = 4, 1, 12


@dataclass(slots=True)
class _Points:
    """The points that rows are made of: the boxes of the picture, then the bends added to them."""

    row: list[int]
    width: list[float]
    cluster: list[tuple[str, ...]]
    above: list[list[int]]
    below: list[list[int]]
    beside: list[list[int]]

    def add(self, row: int, width: float, cluster: tuple[str, ...]) -> int:
        """Add a bend and give its number."""
        self.row.append(row)
        self.width.append(width)
        self.cluster.append(cluster)
        self.above.append([])
        self.below.append([])
        self.beside.append([])
        return len(self.row) - 1

    def join(self, upper: int, lower: int) -> None:
        """Note that a line runs from a point to one in the next row."""
        self.below[upper].append(lower)
        self.above[lower].append(upper)


def layered_layout(picture: Picture) -> Layout:
    """Lay out `picture` in rows, sources above their targets, without overlaps.

    Arrows do not run through boxes.  A cluster is drawn in several parts where one rectangle would hold boxes
    of others.
    """
    if not picture.boxes:
        return Layout((), (), ())
    index = {box.key: number for number, box in enumerate(picture.boxes)}
    edges = [
        Edge(
            index[arrow.upper],
            index[arrow.lower],
            rows_between(arrow, picture.boxes[index[arrow.upper]], picture.boxes[index[arrow.lower]]),
            _WEAK_PULL if arrow.rank == "beside" else _STRONG_PULL,
        )
        for arrow in picture.arrows
        if arrow.rank != "free" and arrow.source != arrow.target
    ]
    sizes = [box_size(box) for box in picture.boxes]
    count = len(sizes)
    points = _Points(
        _rows(picture, edges),
        [width for width, _ in sizes],
        [box.cluster for box in picture.boxes],
        [[] for _ in sizes],
        [[] for _ in sizes],
        [[] for _ in sizes],
    )
    links = _add_bends(picture, index, points)
    order = _order(points, topological_order(count, edges)[0])
    heights = nesting(points.cluster[:count])

    def gap(left: int, right: int) -> float:
        between = BOX_GAP if left < count and right < count else BEND_GAP
        one, other = points.cluster[left], points.cluster[right]
        if one != other:
            shared = _shared_length(one, other)
            between += SIDE_PADDING * (heights.get(one[: shared + 1], 0) if len(one) > shared else 0)
            between += SIDE_PADDING * (heights.get(other[: shared + 1], 0) if len(other) > shared else 0)
        return (points.width[left] + points.width[right]) / 2 + between

    is_bend = [point >= count for point in range(len(points.row))]
    xs = assign_columns(order, points.above, points.below, points.beside, is_bend, gap)
    box_rows = [[point for point in row if point < count] for row in order]
    spans = [(xs[box] - sizes[box][0] / 2, xs[box] + sizes[box][0] / 2) for box in range(count)]
    frames = find_frames(box_rows, spans, points.cluster[:count])
    bands = _bands(order, [height for _, height in sizes], frames)
    boxes = tuple(
        PlacedBox(xs[box], (bands.tops[points.row[box]] + bands.bottoms[points.row[box]]) / 2, *sizes[box])
        for box in range(count)
    )
    arrows = route(picture, boxes, links, order, xs, bands)
    return Layout(boxes, arrows, tuple(_cluster(frame, bands) for frame in frames))


def _rows(picture: Picture, edges: list[Edge]) -> list[int]:
    """Give each box a row.

    Every cluster has two points that are not drawn, one over and one under its boxes, which pull at each other: so a
    cluster is low, and its boxes stay together where their arrows alone would let them drift. `stacking` says which
    clusters lie under which.
    """
    count = len(picture.boxes)
    pulls: list[Edge] = []
    tops: dict[tuple[str, ...], int] = {}
    for number, box in enumerate(picture.boxes):
        for depth in range(1, len(box.cluster) + 1):
            path = box.cluster[:depth]
            if path not in tops:
                tops[path] = count + 2 * len(tops)
                pulls.append(Edge(tops[path], tops[path] + 1, 0, _CLUSTER_PULL))
            pulls.append(Edge(tops[path], number, 0, 0))
            pulls.append(Edge(number, tops[path] + 1, 0, 0))
    pulls.extend(Edge(tops[upper] + 1, tops[lower], 1, 0) for upper, lower in stacked_clusters(picture))
    rows = assign_rows(count + 2 * len(tops), edges + pulls)[:count]
    first = min(rows)
    return [row - first for row in rows]


def _shared_length(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Count the leading names that two cluster paths share."""
    length = 0
    for name, other_name in zip(one, other, strict=False):
        if name != other_name:
            break
        length += 1
    return length


def _add_bends(picture: Picture, index: dict[str, int], points: _Points) -> list[Link]:
    """Break each arrow that passes through rows into pieces of one row, and note the points that it runs through.

    Arrows of one kind that leave the same upper box share their bends as far as they go together, so a value
    used in many rows is one line with branches.  Short arrows come first; when the budget of bends is spent
    the rest pass outside (``bends`` None).
    """
    budget = max(_BENDS_AT_LEAST, _BENDS_PER_BOX * len(picture.boxes))
    links: list[Link | None] = [None] * len(picture.arrows)
    ends: list[tuple[int, int]] = []
    for arrow in picture.arrows:
        one, other = index[arrow.upper], index[arrow.lower]
        ends.append((one, other) if points.row[one] <= points.row[other] else (other, one))
    trunks: dict[tuple[int, object], list[int]] = {}
    for number in sorted(
        range(len(ends)), key=lambda number: points.row[ends[number][1]] - points.row[ends[number][0]]
    ):
        arrow, (upper, lower) = picture.arrows[number], ends[number]
        between = points.row[lower] - points.row[upper] - 1
        if between < 0:
            if upper != lower:
                points.beside[upper].append(lower)
                points.beside[lower].append(upper)
            links[number] = Link(upper, lower, ())
            continue
        # Labelled arrows share nothing: their label is the first bend and belongs to them alone.
        branch = number if arrow.label else (arrow.kind, arrow.source == picture.boxes[upper].key)
        trunk = trunks.setdefault((upper, branch), [])
        budget -= max(0, between - len(trunk))
        if budget < 0:
            links[number] = Link(upper, lower, None)
            continue
        shared = points.cluster[upper][: _shared_length(points.cluster[upper], points.cluster[lower])]
        while len(trunk) < between:
            is_label = arrow.label and not trunk
            width = text_width(label_lines((arrow.label,))[0], 10.0) + 8.0 if is_label else 0.0
            bend = points.add(points.row[upper] + len(trunk) + 1, width, shared)
            points.join(trunk[-1] if trunk else upper, bend)
            trunk.append(bend)
        points.join(trunk[between - 1] if between else upper, lower)
        links[number] = Link(upper, lower, tuple(trunk[:between]))
    return [link for link in links if link is not None]


def _order(points: _Points, topological: list[int]) -> list[list[int]]:
    """Order the points of each row: first as a walk down the picture meets them, then for few crossings."""
    rows: list[list[int]] = [[] for _ in range(max(points.row) + 1)]
    met = [False] * len(points.row)
    for start in topological:
        pending = [start]
        while pending:
            point = pending.pop()
            if met[point]:
                continue
            met[point] = True
            rows[points.row[point]].append(point)
            pending.extend(reversed(points.below[point]))
    return order_rows(rows, points.above, points.below, points.beside, _numbered(points.cluster))


def _numbered(clusters: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Replace the names in cluster paths by numbers, one for each path prefix, in the order first met."""
    numbers: dict[tuple[str, ...], int] = {}
    translated: dict[tuple[str, ...], tuple[int, ...]] = {}
    for path in clusters:
        if path not in translated:
            prefixes = (path[:depth] for depth in range(1, len(path) + 1))
            translated[path] = tuple(numbers.setdefault(prefix, len(numbers)) for prefix in prefixes)
    return [translated[path] for path in clusters]


def _bands(order: list[list[int]], heights: list[float], frames: list[Frame]) -> Bands:
    """Stack the rows, with room for the frames that open above a row and close below it."""
    opening, closing = [0.0] * len(order), [0.0] * len(order)
    for frame in frames:
        opening[frame.first] = max(opening[frame.first], TOP_PADDING * frame.levels_above)
        closing[frame.last] = max(closing[frame.last], BOTTOM_PADDING * frame.levels_below)
    tops: list[float] = []
    bottoms: list[float] = []
    y = 0.0
    for number, row in enumerate(order):
        y += opening[number]
        tops.append(y)
        y += max((heights[point] for point in row if point < len(heights)), default=_LABEL_HEIGHT)
        bottoms.append(y)
        y += closing[number] + ROW_GAP
    return Bands(tuple(tops), tuple(bottoms))


def _cluster(frame: Frame, bands: Bands) -> PlacedCluster:
    top = bands.tops[frame.first] - TOP_PADDING * frame.levels_above
    bottom = bands.bottoms[frame.last] + BOTTOM_PADDING * frame.levels_below
    return PlacedCluster(frame.path, frame.left, top, frame.right - frame.left, bottom - top)
