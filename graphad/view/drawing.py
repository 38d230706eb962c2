"""What a picture of a graph is made of: boxes, arrows, nested clusters, a title and a legend.

Nothing here knows graphad's IR, DOT or SVG.  `graphad.view` turns a graph into a `Picture`; `layout`, `dot`
and `svg` turn a `Picture` into coordinates and text.  What may enter: frozen data about *what* is drawn, and
the one table of colours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

Shape = Literal["rounded", "box", "ellipse"]
Rank = Literal["below", "beside", "free"]


@dataclass(frozen=True, slots=True)
class Style:
    """The colours of one kind of box or arrow; `dashed` also tells kinds apart without colour."""

    fill: str
    stroke: str
    dashed: bool = False
    stroke_width: float = 1.0


# Light fills under dark text (contrast at least 12:1).  Hues follow Okabe and Ito, "Color Universal Design"
# (2008), and neighbouring kinds also differ in outline, so that the kinds stay apart for colour-blind readers
# and in greyscale print.
TEXT_COLOUR = "#1a1a1a"
MUTED_COLOUR = "#555555"
BOX_STYLES: dict[str, Style] = {
    "input": Style("#d3e8fa", "#0072b2", stroke_width=1.5),
    "parameter": Style("#fff3b0", "#8a6d00", stroke_width=1.5),
    "constant": Style("#e6e6e6", "#767676", dashed=True),
    "forward": Style("#ffffff", "#404040"),
    "backward": Style("#fcd9bd", "#b84a00"),
    "tangent": Style("#e3d7f5", "#5b3a9e"),
    "update": Style("#c5eddb", "#00694e"),
    "recompute": Style("#fbdbe9", "#a8326f", dashed=True),
    "output": Style("#b9d3ee", "#14375e", stroke_width=2.5),
    "fused": Style("#ece2d0", "#6b4a1c", stroke_width=2.0),
}
ARROW_STYLES: dict[str, Style] = {
    "data": Style("#404040", "#404040"),
    "gradient": Style("#b84a00", "#b84a00"),
    "saved": Style("#7c8da0", "#7c8da0", dashed=True),
    "state": Style("#00694e", "#00694e"),
}
_UNKNOWN_BOX = Style("#f5f5f5", "#404040")
_UNKNOWN_ARROW = Style("#404040", "#404040")


@dataclass(frozen=True, slots=True)
class Box:
    """Name one thing drawn as a box.

    `key` is unique in its picture.  `lines` are the lines of its label.  `kind` picks a style from
    `BOX_STYLES` (an unknown kind is drawn light grey).  `tooltip` is shown while the pointer rests on the
    box; empty means the label.  `cluster` is the path of nested frames that the box sits in, outermost first.
    """

    key: str
    lines: tuple[str, ...]
    kind: str = "forward"
    shape: Shape = "rounded"
    tooltip: str = ""
    cluster: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """Draw an arrow from the box `source` to the box `target` (keys); the head is always at `target`.

    `rank` says what the arrow asks of the layout: ``below`` puts the target at least one row below the
    source, ``beside`` lets it share the source's row but not rise above it, ``free`` asks nothing.
    `reversed` swaps the two ends for that request only: the target sits above its source, so that a chain
    running backwards lies beside the chain it came from.
    """

    source: str
    target: str
    label: str = ""
    kind: str = "data"
    reversed: bool = False
    rank: Rank = "below"

    @property
    def upper(self) -> str:
        """The key of the end that the layout puts higher."""
        return self.target if self.reversed else self.source

    @property
    def lower(self) -> str:
        """The key of the end that the layout puts lower."""
        return self.source if self.reversed else self.target


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold everything that is drawn.  `legend` lists (kind of box, text) in the order shown.

    Raises ValueError if two boxes share a key or an arrow ends at a box that is not there.
    """

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        keys = {box.key for box in self.boxes}
        if len(keys) != len(self.boxes):
            seen: set[str] = set()
            twice = next(box.key for box in self.boxes if box.key in seen or seen.add(box.key))  # type: ignore[func-returns-value]
            raise ValueError(f"two boxes have the key {twice!r}")
        for arrow in self.arrows:
            for key in (arrow.source, arrow.target):
                if key not in keys:
                    raise ValueError(f"the arrow {arrow.source!r} -> {arrow.target!r} ends at {key!r}, which is no box")


def rows_between(arrow: Arrow, upper: Box, lower: Box) -> int:
    """Count the rows by which a layout puts the lower end of `arrow` under its upper end, at least.

    Arrows between two separate clusters take two, so that a parameter of the second cluster, in the row
    above its first op, is already under the first cluster: the frames then stand over each other instead of
    drifting apart sideways.  A label takes the row in the middle.
    """
    shared = min(len(upper.cluster), len(lower.cluster))
    separate = upper.cluster[:shared] != lower.cluster[:shared]
    if separate:
        return 2
    if arrow.rank == "beside":
        return 0
    return 2 if arrow.label else 1


def box_style(kind: str) -> Style:
    """Look up the style of a kind of box."""
    return BOX_STYLES.get(kind, _UNKNOWN_BOX)


def arrow_style(kind: str) -> Style:
    """Look up the style of a kind of arrow."""
    return ARROW_STYLES.get(kind, _UNKNOWN_ARROW)


def legend_of(boxes: Collection[Box]) -> tuple[tuple[str, str], ...]:
    """List the kinds that occur among `boxes`, in the order of `BOX_STYLES`, each named by itself."""
    present = {box.kind for box in boxes}
    known = [kind for kind in BOX_STYLES if kind in present]
    return tuple((kind, kind) for kind in (*known, *sorted(present - BOX_STYLES.keys())))


def lay_backward_beside_forward(arrows: Collection[Arrow], backward: Collection[str]) -> tuple[Arrow, ...]:
    """Turn arrows so that the boxes `backward` (keys) lie beside the boxes they differentiate, not below them all.

    A backward pass runs from the last forward box to the first.  Drawn downwards it doubles the picture, and
    every activation it uses becomes an edge across nearly all rows, which layered layouts pay for in
    crossings and in time.  So an arrow between two backward boxes is reversed for the layout, and an arrow
    from a forward box into a backward box asks only that its target is not above it; each gradient then
    settles in the row of the activation it uses.  All the requests together stay acyclic as long as no
    forward box uses a backward one.
    """
    backward_keys = frozenset(backward)
    return tuple(_beside(arrow, backward_keys) for arrow in arrows)


def _beside(arrow: Arrow, backward: frozenset[str]) -> Arrow:
    if arrow.target not in backward:
        return arrow
    if arrow.source in backward:
        kind = "gradient" if arrow.kind == "data" else arrow.kind
        return replace(arrow, reversed=True, rank="below", kind=kind)
    kind = "saved" if arrow.kind == "data" else arrow.kind
    return replace(arrow, rank="beside", kind=kind)
