"""The curves of arrows in a layered drawing: upright inside rows, bent only between them, never through a box.

Last step of the built-in layout.  What may enter: curves between points that are already placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from math import sqrt

from graphad.view.drawing import Picture
from graphad.view.geometry import PlacedArrow, PlacedBox, Point

HEAD_LENGTH = 8.0
_DIP = 24.0
_LANE_GAP = 8.0
# The part of a box's width, about its middle, over which the ends of its arrows are spread; corners stay
# free.
_PORT_SPREAD = 0.6


@dataclass(frozen=True, slots=True)
class Link:
    """The run of one arrow: its upper and its lower box and the bends between (None: it passes outside)."""

    upper: int
    lower: int
    bends: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Bands:
    """The y of the upper and of the lower edge of each row."""

    tops: tuple[float, ...]
    bottoms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Scene:
    """What every curve needs to know: the picture, where its points are, and where its rows are."""

    picture: Picture
    boxes: tuple[PlacedBox, ...]
    xs: list[float]
    rows: list[int]
    places: list[int]
    bands: Bands

    def outline(self, box: int, x: float, side: int) -> Point:
        """Find the point of a box's outline at `x`, on its upper (-1) or lower (+1) side."""
        placed = self.boxes[box]
        half = placed.height / 2
        if self.picture.boxes[box].shape == "ellipse":
            along = (x - placed.x) / (placed.width / 2)
            half *= sqrt(max(0.0, 1.0 - along * along))
        return x, placed.y + side * half


def route(
    picture: Picture,
    boxes: tuple[PlacedBox, ...],
    links: list[Link],
    order: list[list[int]],
    xs: list[float],
    bands: Bands,
) -> tuple[PlacedArrow, ...]:
    """Draw every arrow of `picture` between its placed boxes, in the picture's order.

    `links` gives the run of each arrow, `order` the points of each row from left to right, `xs` the x of each
    point.
    """
    rows, places = [0] * len(xs), [0] * len(xs)
    for number, row in enumerate(order):
        for place, point in enumerate(row):
            rows[point], places[point] = number, place
    scene = _Scene(picture, boxes, xs, rows, places, bands)
    ports = _ports(scene, links)
    lanes = _lanes(scene, links)
    placed: list[PlacedArrow] = []
    for number, (arrow, link) in enumerate(zip(picture.arrows, links, strict=True)):
        down = picture.boxes[link.lower].key == arrow.target
        if link.upper == link.lower:
            placed.append(_loop(scene, link.upper))
        elif rows[link.upper] == rows[link.lower]:
            placed.append(_in_one_row(scene, link, ports[number], down))
        else:
            placed.append(_between_rows(scene, link, ports[number], down, lanes.get(number, 0.0)))
    return tuple(placed)


def _ports(scene: _Scene, links: list[Link]) -> list[tuple[float, float]]:
    """Give the x at which each arrow meets its upper and its lower box: spread, in the order of what they go to.

    Arrows that run through the same first bend meet the box at the same place.
    """
    sides: dict[tuple[int, int], dict[int, float]] = {}
    for link in links:
        upper_next, lower_next = _next_points(link)
        lower_side = 1 if scene.rows[link.upper] == scene.rows[link.lower] else -1
        sides.setdefault((link.upper, 1), {})[upper_next] = scene.xs[upper_next]
        sides.setdefault((link.lower, lower_side), {})[lower_next] = scene.xs[lower_next]
    ports: dict[tuple[int, int, int], float] = {}
    for (box, side), ends in sides.items():
        room = scene.boxes[box].width * _PORT_SPREAD
        ordered = sorted(ends, key=lambda end: (ends[end], end))
        for position, end in enumerate(ordered):
            ports[box, side, end] = scene.boxes[box].x + room * ((position + 0.5) / len(ordered) - 0.5)
    found: list[tuple[float, float]] = []
    for link in links:
        upper_next, lower_next = _next_points(link)
        lower_side = 1 if scene.rows[link.upper] == scene.rows[link.lower] else -1
        found.append((ports[link.upper, 1, upper_next], ports[link.lower, lower_side, lower_next]))
    return found


def _next_points(link: Link) -> tuple[int, int]:
    """Give the points next to the upper and next to the lower box."""
    return (link.bends[0], link.bends[-1]) if link.bends else (link.lower, link.upper)


def _lanes(scene: _Scene, links: list[Link]) -> dict[int, float]:
    """Give each arrow that passes outside a lane left of the picture; arrows that share no row may share one."""
    outside = [number for number, link in enumerate(links) if link.bends is None]
    if not outside:
        return {}
    edge = min(min(scene.xs), min(box.x - box.width / 2 for box in scene.boxes)) - 30.0
    lanes: dict[int, float] = {}
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    opened = 0
    for number in sorted(outside, key=lambda number: scene.rows[links[number].upper]):
        first, last = scene.rows[links[number].upper], scene.rows[links[number].lower]
        while busy and busy[0][0] < first:
            heappush(free, heappop(busy)[1])
        if not free:
            heappush(free, opened)
            opened += 1
        lane = heappop(free)
        heappush(busy, (last, lane))
        lanes[number] = edge - lane * _LANE_GAP
    return lanes


def _in_one_row(scene: _Scene, link: Link, ports: tuple[float, float], down: bool) -> PlacedArrow:
    """Draw an arrow inside one row: straight between neighbours, else dipping under what stands between."""
    ends, (x0, x1) = ((link.upper, link.lower), ports) if down else ((link.lower, link.upper), ports[::-1])
    one, other = scene.boxes[ends[0]], scene.boxes[ends[1]]
    if abs(scene.places[link.upper] - scene.places[link.lower]) == 1:
        side = 1 if other.x > one.x else -1
        start, tip = (one.x + side * one.width / 2, one.y), (other.x - side * other.width / 2, other.y)
        base = (tip[0] - side * HEAD_LENGTH, tip[1])
        return PlacedArrow((start, *_straight(start, base)), tip, _middle(start, base))
    floor = scene.bands.bottoms[scene.rows[link.upper]]
    start, tip = scene.outline(ends[0], x0, 1), scene.outline(ends[1], x1, 1)
    # Under a box lower than its row, the head has room inside the row; else the curve ends a head's length
    # below the row.
    base = (x1, tip[1] + HEAD_LENGTH)
    landing = (x1, max(floor, base[1]))
    points = [start, *_straight(start, (x0, floor))]
    points += [(x0, floor + _DIP), (x1, floor + _DIP), landing, *_straight(landing, base)]
    return PlacedArrow(tuple(points), tip, ((x0 + x1) / 2, floor + 0.75 * _DIP))


def _between_rows(scene: _Scene, link: Link, ports: tuple[float, float], down: bool, lane: float) -> PlacedArrow:
    """Draw an arrow from row to row; `down` says that its head is at the lower box."""
    first, last = scene.rows[link.upper], scene.rows[link.lower]
    upper, lower = scene.outline(link.upper, ports[0], 1), scene.outline(link.lower, ports[1], -1)
    start = upper if down else (upper[0], upper[1] + HEAD_LENGTH)
    end = (lower[0], lower[1] - HEAD_LENGTH) if down else lower
    points = [start]
    bands = scene.bands
    if link.bends is None:
        leave, enter = bands.bottoms[first] + HEAD_LENGTH + 4.0, bands.tops[last] - HEAD_LENGTH - 4.0
        for corner in ((start[0], leave), (lane, leave), (lane, enter), (end[0], enter), end):
            points += _straight(points[-1], corner)
    else:
        corners = [(scene.xs[bend], row) for row, bend in enumerate(link.bends, first + 1)]
        _go_down_to(points, bands.bottoms[first])
        for x, row in corners:
            _swing_to(points, (x, bands.tops[row]))
            _go_down_to(points, bands.bottoms[row])
        _swing_to(points, (end[0], min(end[1], bands.tops[last])))
        _go_down_to(points, end[1])
    if link.bends:
        label: Point = (scene.xs[link.bends[0]], (bands.tops[first + 1] + bands.bottoms[first + 1]) / 2)
    else:
        label = _middle(start, end)
    tip = lower if down else upper
    return PlacedArrow(tuple(points if down else points[::-1]), tip, label)


def _go_down_to(points: list[Point], y: float) -> None:
    """Continue a curve straight down, if `y` is below its end."""
    x, last = points[-1]
    if y - last > 0.01:
        # One piece serves for a straight run through several rows.
        if len(points) > 3 and points[-4][0] == points[-3][0] == points[-2][0] == x:
            del points[-3:]
        points += _straight(points[-1], (x, y))


def _swing_to(points: list[Point], end: Point) -> None:
    """Continue a curve to `end`, upright at both ends."""
    x, y = points[-1]
    if abs(x - end[0]) < 0.05:
        _go_down_to(points, end[1])
        return
    middle = (y + end[1]) / 2
    points += [(x, middle), (end[0], middle), end]


def _straight(start: Point, end: Point) -> list[Point]:
    """Give the control points of a straight line as a Bezier piece, without its start."""
    (x0, y0), (x1, y1) = start, end
    return [((2 * x0 + x1) / 3, (2 * y0 + y1) / 3), ((x0 + 2 * x1) / 3, (y0 + 2 * y1) / 3), end]


def _middle(one: Point, other: Point) -> Point:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


def _loop(scene: _Scene, box: int) -> PlacedArrow:
    """Draw an arrow from a box to itself, right of it; narrow enough for the gap between boxes."""
    placed = scene.boxes[box]
    right, bend = placed.x + placed.width / 2, 20.0
    start = scene.outline(box, placed.x + placed.width * 0.3, 1)
    tip, base = (right, placed.y), (right + HEAD_LENGTH, placed.y + 2.0)
    below = placed.y + placed.height / 2 + bend
    return PlacedArrow((start, (start[0], below), (right + bend, below), base), tip, (right, below - bend / 2))
