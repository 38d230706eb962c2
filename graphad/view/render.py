"""`Picture` to SVG by whichever layout can do it; it always succeeds.

What may enter: the choice between the layouts.
"""

from __future__ import annotations

from graphad.view.dot_layout import layout_with_dot
from graphad.view.drawing import Picture
from graphad.view.geometry import Layout
from graphad.view.layout import layered_layout
from graphad.view.svg import render_svg

MOST_BOXES_FOR_DOT = 2_000
DOT_SECONDS = 10.0


def picture_to_svg(picture: Picture) -> str:
    """Draw `picture` as SVG text: one ``<svg>`` element with a viewBox, well-formed XML, without scripts.

    Never fails for want of a layout program: see `place`.
    """
    return render_svg(picture, place(picture))


def place(picture: Picture) -> Layout:
    """Lay out `picture` with dot, or with the built-in layout.

    The latter if there are over 2,000 boxes, or dot is missing, fails or takes over 10 s.
    """
    placed = layout_with_dot(picture, DOT_SECONDS) if 0 < len(picture.boxes) <= MOST_BOXES_FOR_DOT else None
    return placed or layered_layout(picture)
