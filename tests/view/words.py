"""Where the words of an SVG stand, measured without a font engine: for tests that none are clipped or overlap."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import combinations

from graphad.view.lettering import text_width

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[tuple[float, float, float, float, str]]:
    """Return (left, top, right, bottom, text) of every text, by the widths of Helvetica."""
    found = []

    def walk(element: ElementTree.Element, size: float, anchor: str) -> None:
        size = float(element.get("font-size", size))
        anchor = element.get("text-anchor", anchor)
        if element.tag == f"{SVG}text":
            text = "".join(element.itertext())
            x, y, width = float(element.attrib["x"]), float(element.attrib["y"]), text_width(text, size)
            left = {"middle": x - width / 2, "end": x - width}.get(anchor, x)
            found.append((left, y - 0.72 * size, left + width, y + 0.2 * size, text))
        for child in element:
            walk(child, size, anchor)

    walk(ElementTree.fromstring(svg), 12.0, "start")
    return found


def check_words(svg: str) -> None:
    """Check that all words stand inside the picture, and no two upon each other."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    placed = words(svg)
    for left, top, right, bottom, text in placed:
        assert left >= 0 and right <= width and top >= 0 and bottom <= height, f"{text!r} is clipped"
    for one, other in combinations(placed, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, f"{one[4]!r} and {other[4]!r} overlap"
