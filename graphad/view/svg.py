"""A laid-out picture as SVG text: well-formed XML, no scripts, no outside references, readable in a notebook.

What may enter: SVG syntax for boxes, arrows, frames, title and legend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import hypot

from graphad.view.dot import tooltip_of
from graphad.view.drawing import MUTED_COLOUR, TEXT_COLOUR, Arrow, Box, Picture, Style, arrow_style, box_style
from graphad.view.geometry import Layout, PlacedArrow, PlacedBox, PlacedCluster, Point
from graphad.view.lettering import (
    FONT_FAMILY,
    FONT_SIZE,
    LINE_HEIGHT,
    clipped,
    label_lines,
    printable,
    text_width,
    xml_text,
)

MARGIN = 14.0
TITLE_SIZE = 15.0
ARROW_LABEL_SIZE = 10.0
HEAD_HALF_WIDTH = 3.2
# Where the baseline lies under the middle of a line, as a part of the font size (half the height of
# Helvetica's capitals).
BASELINE = 0.36
_NARROWEST_LEGEND = 420.0


def number(value: float) -> str:
    """Write a coordinate with at most one decimal, which is a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def render_svg(picture: Picture, layout: Layout) -> str:
    """Draw `picture` at the coordinates of `layout` as one SVG element with a viewBox.

    Title and legend stand over the picture.  Every box and arrow is a group with a ``<title>``, which viewers
    show as tooltip.
    """
    left, top, right, bottom = bounds(layout)
    head = heading(picture, max(right - left, _NARROWEST_LEGEND))
    width = max(right - left, head.width) + 2 * MARGIN
    height = bottom - top + head.height + 2 * MARGIN
    shift_x = MARGIN - left + max(0.0, head.width - (right - left)) / 2
    out = [
        svg_opening(width, height, picture.title),
        *head.elements,
        f'<g transform="translate({number(shift_x)} {number(MARGIN + head.height - top)})">',
        *(_frame(cluster) for cluster in layout.clusters),
        *_arrows(picture, layout),
        *(_frame_name(cluster) for cluster in layout.clusters),
        *_boxes(picture, layout),
        "</g>",
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def svg_opening(width: float, height: float, title: str) -> str:
    """Open an SVG element of a size in pixels, with a white ground and the font of all pictures."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(height)}" font-family="{FONT_FAMILY}" font-size="{FONT_SIZE:g}" '
        f'fill="{TEXT_COLOUR}" role="img">\n<title>{xml_text(title)}</title>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
    )


def bounds(layout: Layout) -> tuple[float, float, float, float]:
    """Compute (left, top, right, bottom) of everything in `layout`; a Bezier piece lies within its control points."""
    xs: list[float] = []
    ys: list[float] = []
    for box in layout.boxes:
        xs += (box.x - box.width / 2, box.x + box.width / 2)
        ys += (box.y - box.height / 2, box.y + box.height / 2)
    for cluster in layout.clusters:
        xs += (cluster.x, cluster.x + cluster.width)
        ys += (cluster.y, cluster.y + cluster.height)
    for arrow in layout.arrows:
        xs.extend(x for x, _ in arrow.points)
        ys.extend(y for _, y in arrow.points)
    return (min(xs), min(ys), max(xs), max(ys)) if xs else (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Heading:
    """The title and legend as SVG elements, and the room they take (with the gap under them)."""

    elements: tuple[str, ...]
    width: float
    height: float


def heading(picture: Picture, width: float) -> Heading:
    """Set the title and, wrapped to `width`, the legend of `picture` from the corner (MARGIN, MARGIN)."""
    return set_heading(picture.title, tuple((box_style(kind), text) for kind, text in picture.legend), width)


def set_heading(title: str, legend: Iterable[tuple[Style, str]], width: float) -> Heading:
    """Set a title over rows of legend entries, each a swatch in its style and a text."""
    elements: list[str] = []
    y, widest = MARGIN, 0.0
    shown_title = clipped(printable(title).replace("\n", " "))
    if shown_title:
        elements.append(
            f'<text x="{number(MARGIN)}" y="{number(y + TITLE_SIZE)}" font-size="{TITLE_SIZE:g}" font-weight="bold">'
            f"{xml_text(shown_title)}</text>"
        )
        widest = text_width(shown_title, TITLE_SIZE) * 1.1
        y += TITLE_SIZE + 9.0
    x = MARGIN
    entries = list(legend)
    for style, text in entries:
        shown = clipped(printable(text).replace("\n", " "))
        # The fonts that stand in for Helvetica are up to a sixth wider.
        entry_width = 24.0 + text_width(shown) * 1.17 + 16.0
        if x > MARGIN and x + entry_width > MARGIN + width:
            x, y = MARGIN, y + LINE_HEIGHT + 4.0
        elements.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="18" height="12" rx="3"{_paint(style)}/>'
            f'<text x="{number(x + 24)}" y="{number(y + 6 + FONT_SIZE * BASELINE)}">{xml_text(shown)}</text>'
        )
        x += entry_width
        widest = max(widest, x - MARGIN)
    if entries:
        y += LINE_HEIGHT + 4.0
    gap = 8.0 if elements else 0.0
    return Heading(tuple(elements), widest, y - MARGIN + gap)


def _paint(style: Style) -> str:
    dashes = ' stroke-dasharray="4 2.5"' if style.dashed else ""
    return f' fill="{style.fill}" stroke="{style.stroke}" stroke-width="{style.stroke_width:g}"{dashes}'


def _frame(cluster: PlacedCluster) -> str:
    return (
        f"<g><title>{xml_text('/'.join(cluster.path))}</title>"
        f'<rect x="{number(cluster.x)}" y="{number(cluster.y)}" width="{number(cluster.width)}" '
        f'height="{number(cluster.height)}" rx="6" fill="#5b7ea3" fill-opacity="0.06" stroke="#9aa5b1"/></g>'
    )


def _frame_name(cluster: PlacedCluster) -> str:
    """Write a frame's name in its upper left corner, on a ground of its own so that no arrow crosses it."""
    shown = label_lines((cluster.path[-1],))[0]
    # A name longer than its frame is shortened; the tooltip has the whole path.
    while shown and text_width(shown) > cluster.width - 12.0:
        shown = shown[:-2] + "…" if len(shown) > 2 else ""
    return (
        f"<g><title>{xml_text('/'.join(cluster.path))}</title>"
        f'<rect x="{number(cluster.x + 4)}" y="{number(cluster.y + 3)}" width="{number(text_width(shown) * 1.05 + 6)}" '
        f'height="14" rx="3" fill="#f3f6f9"/>'
        f'<text x="{number(cluster.x + 7)}" y="{number(cluster.y + 14)}" fill="{MUTED_COLOUR}">'
        f"{xml_text(shown)}</text></g>"
    )


def _arrows(picture: Picture, layout: Layout) -> Iterator[str]:
    """Draw the arrows, one group per kind so that the style is written once; saved values lie under the others."""
    kinds = sorted({arrow.kind for arrow in picture.arrows}, key=lambda kind: (not arrow_style(kind).dashed, kind))
    titles = {box.key: " ".join(label_lines(box.lines)[:1]) for box in picture.boxes}
    for kind in kinds:
        style = arrow_style(kind)
        dashes = ' stroke-dasharray="4 3"' if style.dashed else ""
        yield f'<g fill="none" stroke="{style.stroke}"{dashes}>'
        for arrow, placed in zip(picture.arrows, layout.arrows, strict=True):
            if arrow.kind == kind:
                yield _arrow(arrow, placed, style, f"{titles[arrow.source]} → {titles[arrow.target]}")
        yield "</g>"


def _arrow(arrow: Arrow, placed: PlacedArrow, style: Style, tooltip: str) -> str:
    start, *rest = placed.points
    path = f"M{_pair(start)}C{' '.join(map(_pair, rest))}"
    label = ""
    if arrow.label and placed.label is not None:
        x, y = placed.label
        label = (
            f'<text x="{number(x)}" y="{number(y + ARROW_LABEL_SIZE * BASELINE)}" text-anchor="middle" stroke="none" '
            f'fill="{MUTED_COLOUR}" font-size="{ARROW_LABEL_SIZE:g}">{xml_text(label_lines((arrow.label,))[0])}</text>'
        )
    head = f'<path d="{_head(rest[-1], placed.tip)}" fill="{style.stroke}" stroke-dasharray="none"/>'
    return f'<g><title>{xml_text(tooltip)}</title><path d="{path}"/>{head}{label}</g>'


def _pair(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"


def _head(base: Point, tip: Point) -> str:
    """Draw a triangle from the middle of its base to its tip."""
    along_x, along_y = tip[0] - base[0], tip[1] - base[1]
    length = hypot(along_x, along_y) or 1.0
    across_x, across_y = -along_y / length * HEAD_HALF_WIDTH, along_x / length * HEAD_HALF_WIDTH
    one, other = (base[0] + across_x, base[1] + across_y), (base[0] - across_x, base[1] - across_y)
    return f"M{_pair(one)}L{_pair(tip)}L{_pair(other)}Z"


def _boxes(picture: Picture, layout: Layout) -> Iterator[str]:
    """Draw the boxes, one group per kind so that the style is written once."""
    for kind in dict.fromkeys(box.kind for box in picture.boxes):
        yield f"<g{_paint(box_style(kind))}>"
        for box, placed in zip(picture.boxes, layout.boxes, strict=True):
            if box.kind == kind:
                yield _box(box, placed)
        yield "</g>"


def _box(box: Box, placed: PlacedBox) -> str:
    x, y, width, height = placed.x, placed.y, placed.width, placed.height
    if box.shape == "ellipse":
        shape = f'<ellipse cx="{number(x)}" cy="{number(y)}" rx="{number(width / 2)}" ry="{number(height / 2)}"/>'
    else:
        corner = ' rx="7"' if box.shape == "rounded" else ""
        shape = (
            f'<rect x="{number(x - width / 2)}" y="{number(y - height / 2)}" width="{number(width)}" '
            f'height="{number(height)}"{corner}/>'
        )
    lines = label_lines(box.lines)
    baseline = y - (len(lines) - 1) * LINE_HEIGHT / 2 + FONT_SIZE * BASELINE
    spans = "".join(
        f'<tspan x="{number(x)}" y="{number(baseline + row * LINE_HEIGHT)}"'
        # The first line names the op or the value, the others tell its type.
        + (f' fill="{MUTED_COLOUR}"' if row else "")
        + f">{xml_text(line)}</tspan>"
        for row, line in enumerate(lines)
    )
    text = f'<text text-anchor="middle" fill="{TEXT_COLOUR}" stroke="none">{spans}</text>'
    return f"<g><title>{xml_text(tooltip_of(box))}</title>{shape}{text}</g>"
