"""Graphviz as a layout: a picture goes out as DOT, and the coordinates come back as a `Layout`.

graphad draws the coordinates itself (`svg`), so a picture looks the same whichever layout placed it, and no
label has to survive Graphviz's own escaping.  What may enter: reading Graphviz's JSON.  Its output is
checked, not trusted.
"""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

from graphad.view.dot import POINTS_PER_INCH, cluster_paths, to_dot
from graphad.view.dot_binary import run_dot
from graphad.view.drawing import Arrow, Picture
from graphad.view.geometry import Layout, PlacedArrow, PlacedBox, PlacedCluster, Point


def layout_with_dot(picture: Picture, timeout: float = 10.0) -> Layout | None:
    """Lay out `picture` with dot; None if dot is missing, fails, takes over `timeout` seconds or answers nonsense."""
    end = monotonic() + timeout
    # Where the better ranking fails (see `to_dot`) the other may do.
    for newrank in (True, False):
        answer = run_dot(to_dot(picture, newrank), "json0", end - monotonic())
        if answer is not None:
            try:
                return _read(json.loads(answer), picture)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                continue
        if monotonic() >= end:
            return None
    return None


def _read(answer: dict[str, Any], picture: Picture) -> Layout:
    """Read dot's JSON; raises one of the lookup or value errors if anything is missing."""
    top = float(answer["bb"].split(",")[3])
    objects = {item["name"]: item for item in answer["objects"]}
    boxes = tuple(_box(objects[f"n{number}"], top) for number in range(len(picture.boxes)))
    clusters = tuple(
        _cluster(path, objects[f"cluster_{number}"]["bb"], top) for number, path in enumerate(cluster_paths(picture))
    )
    edges = {item["comment"]: item for item in answer.get("edges", ())}
    arrows = tuple(_arrow(edges[f"a{number}"], arrow, top) for number, arrow in enumerate(picture.arrows))
    return Layout(boxes, arrows, clusters)


def _point(text: str, top: float) -> Point:
    """Read ``x,y`` with y upwards as a point with y downwards."""
    x, y = text.split(",")
    return float(x), top - float(y)


def _box(item: dict[str, Any], top: float) -> PlacedBox:
    x, y = _point(item["pos"], top)
    return PlacedBox(x, y, float(item["width"]) * POINTS_PER_INCH, float(item["height"]) * POINTS_PER_INCH)


def _cluster(path: tuple[str, ...], bounds: str, top: float) -> PlacedCluster:
    left, bottom, right, upper = map(float, bounds.split(","))
    return PlacedCluster(path, left, top - upper, right - left, upper - bottom)


def _arrow(item: dict[str, Any], arrow: Arrow, top: float) -> PlacedArrow:
    """Read a spline ``[s,x,y] [e,x,y] p0 p1 ...``, where s or e is the point of an arrow head, source first."""
    tip: Point | None = None
    points: list[Point] = []
    # An edge may have several splines, separated by semicolons, only where edges are concentrated; graphad
    # never asks for it.
    for part in item["pos"].split(";")[0].split():
        if part.startswith(("s,", "e,")):
            tip = _point(part[2:], top)
        else:
            points.append(_point(part, top))
    if arrow.reversed:
        points.reverse()
    if tip is None or len(points) < 4 or len(points) % 3 != 1:
        raise ValueError(f"dot gave an edge no usable spline: {item['pos']!r}")
    label = _point(item["lp"], top) if arrow.label and "lp" in item else None
    return PlacedArrow(tuple(points), tip, label)
