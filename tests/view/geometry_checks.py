"""What must hold of every laid-out picture, as functions that give a list of faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from graphad.view.drawing import Picture
from graphad.view.geometry import Layout, PlacedArrow, PlacedBox, Point

TOLERANCE = 0.05


def overlapping_boxes(layout: Layout) -> list[tuple[int, int]]:
    """List the pairs of boxes that share a point; a sweep over x, so that thousands of boxes can be checked."""
    order = sorted(range(len(layout.boxes)), key=lambda i: layout.boxes[i].x - layout.boxes[i].width / 2)
    faults: list[tuple[int, int]] = []
    active: list[int] = []
    for number in order:
        box = layout.boxes[number]
        left = box.x - box.width / 2
        active = [i for i in active if layout.boxes[i].x + layout.boxes[i].width / 2 > left + TOLERANCE]
        for other in active:
            distance = abs(layout.boxes[other].y - box.y)
            if distance < (layout.boxes[other].height + box.height) / 2 - TOLERANCE:
                faults.append((other, number))
        active.append(number)
    return faults


def outline_distance(shape: str, box: PlacedBox, point: Point) -> float:
    """Measure about how far `point` is from the outline of `box`, in pixels."""
    dx, dy = abs(point[0] - box.x), abs(point[1] - box.y)
    if shape == "ellipse":
        radius = ((dx / (box.width / 2)) ** 2 + (dy / (box.height / 2)) ** 2) ** 0.5
        return abs(radius - 1.0) * min(box.width, box.height) / 2
    outside_x, outside_y = dx - box.width / 2, dy - box.height / 2
    if outside_x > 0 or outside_y > 0:
        return max(outside_x, outside_y)
    return min(-outside_x, -outside_y)


def loose_arrows(picture: Picture, layout: Layout, tolerance: float) -> list[tuple[int, str, float]]:
    """List the arrow ends that do not touch their box: the start its source, the tip its target."""
    index = {box.key: number for number, box in enumerate(picture.boxes)}
    faults: list[tuple[int, str, float]] = []
    for number, (arrow, placed) in enumerate(zip(picture.arrows, layout.arrows, strict=True)):
        for end, key, point in (("start", arrow.source, placed.points[0]), ("tip", arrow.target, placed.tip)):
            shape = picture.boxes[index[key]].shape
            distance = outline_distance(shape, layout.boxes[index[key]], point)
            if distance > tolerance:
                faults.append((number, end, distance))
    return faults


def samples(arrow: PlacedArrow, steps: int = 8) -> Iterator[Point]:
    """Give points along the curve of an arrow."""
    for k in range(0, len(arrow.points) - 1, 3):
        p0, p1, p2, p3 = arrow.points[k : k + 4]
        for step in range(steps + 1):
            t = step / steps
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield (
                sum(w * p[0] for w, p in zip(weights, (p0, p1, p2, p3), strict=True)),
                sum(w * p[1] for w, p in zip(weights, (p0, p1, p2, p3), strict=True)),
            )


def arrows_through_boxes(layout: Layout) -> list[tuple[int, int]]:
    """List (arrow, box) where the arrow's curve has a point inside a box."""
    cell = 100.0
    grid: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, box in enumerate(layout.boxes):
        for i in range(int((box.x - box.width / 2) // cell), int((box.x + box.width / 2) // cell) + 1):
            for j in range(int((box.y - box.height / 2) // cell), int((box.y + box.height / 2) // cell) + 1):
                grid[i, j].append(number)
    faults: list[tuple[int, int]] = []
    for number, arrow in enumerate(layout.arrows):
        for x, y in samples(arrow):
            for other in grid.get((int(x // cell), int(y // cell)), ()):
                box = layout.boxes[other]
                # An ellipse's corners are free, so only what is well inside counts.
                if abs(x - box.x) < box.width / 2 * 0.7 - 1 and abs(y - box.y) < box.height / 2 * 0.7 - 1:
                    faults.append((number, other))
    return faults


def strangers_in_frames(picture: Picture, layout: Layout) -> list[tuple[tuple[str, ...], str]]:
    """List (cluster, box) where a frame touches a stranger, or where a box has no frame of its own cluster."""
    faults: list[tuple[tuple[str, ...], str]] = []
    held: dict[str, set[tuple[str, ...]]] = {box.key: set() for box in picture.boxes}
    for frame in layout.clusters:
        for box, placed in zip(picture.boxes, layout.boxes, strict=True):
            left, right = placed.x - placed.width / 2, placed.x + placed.width / 2
            top, bottom = placed.y - placed.height / 2, placed.y + placed.height / 2
            apart = (
                right <= frame.x or left >= frame.x + frame.width or bottom <= frame.y or top >= frame.y + frame.height
            )
            if apart:
                continue
            if box.cluster[: len(frame.path)] != frame.path:
                faults.append((frame.path, box.key))
            elif left > frame.x and right < frame.x + frame.width and top > frame.y and bottom < frame.y + frame.height:
                held[box.key].add(frame.path)
    for box in picture.boxes:
        for depth in range(1, len(box.cluster) + 1):
            if box.cluster[:depth] not in held[box.key]:
                faults.append((box.cluster[:depth], box.key))
    return faults


def broken_curves(layout: Layout) -> list[int]:
    """List the arrows whose control points are no chain of Bezier pieces, or jump in time."""
    return [
        number
        for number, arrow in enumerate(layout.arrows)
        if len(arrow.points) < 4
        or len(arrow.points) % 3 != 1
        or any(abs(x) > 1e7 or abs(y) > 1e7 for x, y in arrow.points)
        or all(one == other for one, other in pairwise(arrow.points))
    ]
