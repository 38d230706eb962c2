"""Where the parts of a picture lie: the result of every layout, read by the SVG writer.

Coordinates are pixels, x to the right and y down.  What may enter: frozen coordinates and the size of a box.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from graphad.view.drawing import Box
from graphad.view.lettering import label_lines, label_size

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """The centre and the size of a box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PlacedArrow:
    """An arrow as cubic Bezier pieces: `points` is a start and three control points a piece; the head ends at `tip`.

    `points` begins on the source's outline and ends where the head begins; `tip` lies on the target's
    outline. `label` is the centre of the label, if there is one.
    """

    points: tuple[Point, ...]
    tip: Point
    label: Point | None = None


@dataclass(frozen=True, slots=True)
class PlacedCluster:
    """A frame around the boxes of one cluster: its path and its rectangle by corner and size."""

    path: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the boxes and arrows of a picture, in its order, and of its frames, outer before inner.

    A frame may be missing or be drawn in several parts where one rectangle would hold boxes that are not its
    own.
    """

    boxes: tuple[PlacedBox, ...]
    arrows: tuple[PlacedArrow, ...]
    clusters: tuple[PlacedCluster, ...]


def box_size(box: Box) -> tuple[float, float]:
    """Compute (width, height) in pixels so that the label of `box` fits, even in a font a tenth wider."""
    width, height = label_size(label_lines(box.lines))
    width, height = width * 1.06 + 14.0, height + 7.0
    if box.shape == "ellipse":
        # The ellipse through the corners of a rectangle w x h is sqrt(2) times as large; text rarely fills
        # the corners.
        width, height = width * sqrt(2) * 0.92, height * sqrt(2) * 0.92
    return max(width, 36.0), max(height, 24.0)
