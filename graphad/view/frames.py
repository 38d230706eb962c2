"""Rectangles around clusters in a layered drawing, as large as can be without holding what is not theirs.

Works on rows and x intervals, before rows have a y.  What may enter: the search for rectangles and the room
they need.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Path = tuple[str, ...]
Interval = tuple[float, float]

SIDE_PADDING = 9.0
TOP_PADDING = 23.0
BOTTOM_PADDING = 9.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One rectangle of a cluster: rows `first` to `last`, `left` to `right`; how many frames open and close with it."""

    path: Path
    first: int
    last: int
    left: float
    right: float
    levels_above: int
    levels_below: int


def nesting(paths: Sequence[Path]) -> dict[Path, int]:
    """Count for every cluster the levels of frames from it to its deepest inner one, itself included."""
    heights: dict[Path, int] = {}
    for path in set(paths):
        for depth in range(1, len(path) + 1):
            heights[path[:depth]] = max(heights.get(path[:depth], 0), len(path) - depth + 1)
    return heights


def find_frames(rows: Sequence[Sequence[int]], spans: Sequence[Interval], paths: Sequence[Path]) -> list[Frame]:
    """Cover the boxes of every cluster by frames that hold no other box and cut no other frame.

    `rows` lists the boxes of each row from left to right, `spans` and `paths` give each box's (left, right)
    and its cluster. Most clusters get one frame; one whose rectangle would hold a stranger is cut into
    several, one above the other.
    """
    heights = nesting(paths)
    members: dict[Path, dict[int, list[int]]] = {}
    for row, boxes in enumerate(rows):
        for box in boxes:
            for depth in range(1, len(paths[box]) + 1):
                members.setdefault(paths[box][:depth], {}).setdefault(row, []).append(box)
    search = _Search([[spans[box][0] for box in row] for row in rows], [[spans[box][1] for box in row] for row in rows])
    found: list[Frame] = []
    for path in sorted(members, key=len):
        padding = SIDE_PADDING * heights[path]
        found.extend(
            search.cover(
                path,
                {row: _hull(boxes, spans, padding) for row, boxes in members[path].items()},
                {row: len(boxes) for row, boxes in members[path].items()},
            )
        )
    return _count_levels(found)


def _hull(boxes: list[int], spans: Sequence[Interval], padding: float) -> Interval:
    return min(spans[box][0] for box in boxes) - padding, max(spans[box][1] for box in boxes) + padding


class _Search:
    """The boxes' intervals in each row, and the frames found so far."""

    def __init__(self, lefts: list[list[float]], rights: list[list[float]]) -> None:
        self._lefts = lefts
        self._rights = rights
        self._frames: list[list[tuple[Path, int, Interval]]] = [[] for _ in lefts]
        self._number = 0

    def cover(self, path: Path, hulls: Mapping[int, Interval], counts: Mapping[int, int]) -> list[Frame]:
        """Grow frames for one cluster downwards, row by row, closing one where the next row does not fit."""
        found: list[Frame] = []
        first = last = -1
        left = right = 0.0
        for row in sorted(hulls):
            hull = hulls[row]
            grown = (min(left, hull[0]), max(right, hull[1]))
            if first >= 0 and self._fits(path, first, last, row, (left, right), grown, counts):
                left, right = grown
            else:
                if first >= 0:
                    found.append(self._close(path, first, last, left, right))
                first, (left, right) = row, hull
            last = row
        found.append(self._close(path, first, last, left, right))
        return found

    def _fits(
        self, path: Path, first: int, last: int, row: int, old: Interval, grown: Interval, counts: Mapping[int, int]
    ) -> bool:
        """Decide whether rows `first` to `row` over `grown` hold the cluster's boxes only, as those over `old` do."""
        start = last + 1 if grown == old else first
        parent = self._parent(path, first)
        for checked in range(start, row + 1):
            inside = bisect_left(self._lefts[checked], grown[1]) - bisect_right(self._rights[checked], grown[0])
            if inside != counts.get(checked, 0) or self._parent(path, checked) != parent:
                return False
            if any(
                other != path[: len(other)] and span[0] < grown[1] and grown[0] < span[1]
                for other, _, span in self._frames[checked]
            ):
                return False
        return True

    def _parent(self, path: Path, row: int) -> int:
        """Find the enclosing cluster's frame in this row, or -1: an inner frame stays in one outer frame."""
        return next((number for other, number, _ in self._frames[row] if other == path[:-1]), -1)

    def _close(self, path: Path, first: int, last: int, left: float, right: float) -> Frame:
        for row in range(first, last + 1):
            self._frames[row].append((path, self._number, (left, right)))
        self._number += 1
        return Frame(path, first, last, left, right, 1, 1)


def _count_levels(frames: list[Frame]) -> list[Frame]:
    """Count for every frame how many frames, itself included, begin in its first row inside it, and end in its last."""
    opening: dict[tuple[Path, int], int] = {}
    closing: dict[tuple[Path, int], int] = {}
    for frame in sorted(frames, key=lambda frame: -len(frame.path)):
        outer = frame.path[:-1]
        for levels, row in ((opening, frame.first), (closing, frame.last)):
            own = levels.setdefault((frame.path, row), 1)
            levels[outer, row] = max(levels.get((outer, row), 1), own + 1)
    return [
        Frame(f.path, f.first, f.last, f.left, f.right, opening[f.path, f.first], closing[f.path, f.last])
        for f in frames
    ]
