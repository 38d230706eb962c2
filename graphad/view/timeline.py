"""The memory timeline: where every buffer lies in the arena and when, over the curve of live bytes.

Time runs right in steps of the schedule, addresses run up from 0.  What may enter: drawing plain numbers over
steps; the plan itself is `graphad.plan`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log10

from graphad.view.drawing import BOX_STYLES, MUTED_COLOUR, TEXT_COLOUR, Style, box_style
from graphad.view.lettering import clipped, printable, text_width, xml_text
from graphad.view.svg import MARGIN, number, set_heading, svg_opening

PLOT_WIDTH = 960.0
ARENA_HEIGHT = 380.0
CURVE_HEIGHT = 170.0
AXIS_LEFT = 82.0
AXIS_RIGHT = 16.0
PLOT_GAP = 54.0
AXIS_BELOW = 44.0
TICK_SIZE = 11.0
# The fonts that stand in for Helvetica are wider.
WIDER = 1.18
# Room at the left end over a plot for the name of its upright axis.
_NAME_WIDTH = 20.0
# Classes of memory that are no kinds of boxes.
_BUFFER_STYLES = {
    "activation": Style("#cfe3f5", "#2f6c9e"),
    "gradient": BOX_STYLES["backward"],
    "workspace": Style("#dde3ea", "#6d7680"),
    "state": BOX_STYLES["update"],
    # Its boxes are nearly as light a blue as activations.
    "output": Style("#8fb6dd", "#14375e"),
}
HATCH = Style("url(#unused)", "#b9bec5")
HATCH_PATTERN = (
    '<defs><pattern id="unused" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="7" height="7" fill="#f7f8f9"/><path d="M0,0V7" stroke="#c9cdd3" stroke-width="1.4"/>'
    "</pattern></defs>"
)
"""The pattern that `HATCH` fills with; it must stand in the picture."""
GRID = "#dfe3e8"
BOUND_COLOUR = "#7a3b8f"
PEAK_COLOUR = "#b3261e"
CURVE_COLOUR = "#1f5f99"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """One buffer: `size` bytes at `offset`, live from `start_step` to `end_step`, both included."""

    start_step: int
    end_step: int
    offset: int
    size: int
    label: str = ""
    kind: str = "forward"
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A memory plan as plain numbers; `live_bytes` has one value for each of `steps`.

    `outside` names what needs memory but is not in the arena, (kind, bytes) each; `holes` are unused addresses with
    something live above them.

    Raises ValueError if the lengths differ, the peak is no step, or a rectangle or hole lies outside the steps or
    the arena.
    """

    rectangles: tuple[Rectangle, ...]
    arena_bytes: int
    lower_bound_bytes: int
    steps: tuple[str, ...]
    live_bytes: tuple[int, ...]
    peak_step: int
    title: str = "memory timeline"
    outside: tuple[tuple[str, int], ...] = ()
    holes: tuple[Rectangle, ...] = ()

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.live_bytes):
            raise ValueError(f"{len(self.steps)} steps have {len(self.live_bytes)} values of live bytes")
        if self.steps and not 0 <= self.peak_step < len(self.steps):
            raise ValueError(f"the peak is at step {self.peak_step} of {len(self.steps)}")
        for r in (*self.rectangles, *self.holes):
            if not 0 <= r.start_step <= r.end_step < len(self.steps):
                raise ValueError(f"{r.label!r} lives from step {r.start_step} to {r.end_step} of {len(self.steps)}")
            if r.offset < 0 or r.size < 0 or r.offset + r.size > self.arena_bytes:
                raise ValueError(
                    f"{r.label!r} at {r.offset}, {r.size} bytes, is outside the arena of {self.arena_bytes}"
                )


def byte_text(count: float) -> str:
    """Write a number of bytes with a binary unit and about three digits: 0 B, 512 B, 1.5 KiB, 20 MiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    level = 0
    while count >= 1024 and level < len(units) - 1:
        count /= 1024
        level += 1
    digits = f"{count:.2f}" if count < 10 else f"{count:.1f}" if count < 100 else f"{count:.0f}"
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits} {units[level]}"


def byte_ticks(top: int) -> list[int]:
    """Choose at most nine values from 0 to `top` bytes, multiples of a power of two, to read as KiB or MiB."""
    step = 1
    while top / step > 8:
        step *= 2
    return list(range(0, top + 1, step))


def step_ticks(count: int, most: int = 12) -> list[int]:
    """Choose about `most` step numbers from 0 to `count` - 1: multiples of 1, 2 or 5 times a power of ten."""
    if count <= 1:
        return list(range(count))
    power = 10 ** max(0, int(log10(count / most)) if count > most else 0)
    step = next(power * factor for factor in (1, 2, 5, 10, 20, 50) if count / (power * factor) <= most)
    return list(range(0, count, step))


@dataclass(frozen=True, slots=True)
class Axes:
    """A plot: its left edge, upper edge and size, the number of steps across and the bytes up."""

    left: float
    top: float
    width: float
    height: float
    steps: int
    bytes: int

    def x(self, step: float) -> float:
        return self.left + self.width * step / max(1, self.steps)

    def y(self, count: float) -> float:
        return self.top + self.height * (1.0 - count / max(1, self.bytes))


def buffer_style(kind: str) -> Style:
    """Look up the style of a kind of buffer: that of its boxes, but never white, which here means unused."""
    style = _BUFFER_STYLES.get(kind) or box_style(kind)
    return replace(style, fill="#dde3ea") if style.fill == "#ffffff" else style


def timeline_to_svg(timeline: Timeline) -> str:
    """Draw a memory timeline as SVG text: one rectangle per buffer above, bytes live at each step below.

    The dashed line is the lower bound (no plan can peak below it); the peak is marked with its step and its
    bytes.
    """
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    present = {r.kind for r in timeline.rectangles}
    known = (*_BUFFER_STYLES, *BOX_STYLES)
    kinds = [kind for kind in known if kind in present] + sorted(present.difference(known))
    legend = [(buffer_style(kind), kind) for kind in kinds]
    if timeline.holes:
        legend.append((HATCH, "hole: unused, something live above"))
    legend += [(buffer_style(kind), f"{kind} {byte_text(count)}, outside") for kind, count in timeline.outside]
    head = set_heading(timeline.title, legend, width)
    steps = len(timeline.steps)
    arena_top = MARGIN + head.height + 18.0
    arena = Axes(MARGIN + AXIS_LEFT, arena_top, PLOT_WIDTH, ARENA_HEIGHT, steps, timeline.arena_bytes)
    curve_top = arena_top + ARENA_HEIGHT + PLOT_GAP
    most = max((timeline.arena_bytes, timeline.lower_bound_bytes, *timeline.live_bytes))
    curve = Axes(MARGIN + AXIS_LEFT, curve_top, PLOT_WIDTH, CURVE_HEIGHT, steps, most)
    out = [
        svg_opening(width + 2 * MARGIN, curve_top + CURVE_HEIGHT + AXIS_BELOW + MARGIN, timeline.title),
        HATCH_PATTERN,
        *head.elements,
        *draw_axes(arena, f"address in the arena of {byte_text(timeline.arena_bytes)}"),
        *_holes(timeline, arena),
        *_rectangles(timeline, arena),
        *_bound_in_arena(timeline, arena),
        *draw_axes(curve, "live bytes"),
        *_curve(timeline, curve),
        f'<text x="{number(curve.left + curve.width / 2)}" y="{number(curve_top + CURVE_HEIGHT + 34)}" '
        f'text-anchor="middle" fill="{MUTED_COLOUR}">step of the schedule</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def draw_axes(axes: Axes, name: str) -> Iterator[str]:
    """Draw the grid, the ticks of both axes and the name of the upright axis (over it, so that it reads level)."""
    yield from draw_bytes(axes, name)
    bottom = axes.top + axes.height
    yield f'<g font-size="{TICK_SIZE:g}" fill="{MUTED_COLOUR}">'
    for step in step_ticks(axes.steps):
        # The middle of a step's column is where the step is.
        x = axes.x(step + 0.5)
        yield (
            f'<path d="M{number(x)},{number(bottom)}v4" stroke="{MUTED_COLOUR}"/>'
            f'<text x="{number(x)}" y="{number(bottom + 16)}" text-anchor="middle">{step}</text>'
        )
    yield "</g>"


def draw_bytes(axes: Axes, name: str) -> Iterator[str]:
    """Draw the upright axis: grid, ticks in bytes, its name; and the line at the bottom, without ticks."""
    bottom = axes.top + axes.height
    yield f'<text x="{number(axes.left - 70)}" y="{number(axes.top - 8)}" fill="{MUTED_COLOUR}">{xml_text(name)}</text>'
    yield f'<g font-size="{TICK_SIZE:g}" fill="{MUTED_COLOUR}">'
    for count in byte_ticks(axes.bytes):
        y = axes.y(count)
        yield (
            f'<path d="M{number(axes.left)},{number(y)}h{number(axes.width)}" stroke="{GRID}"/>'
            f'<text x="{number(axes.left - 6)}" y="{number(y + 4)}" text-anchor="end">{byte_text(count)}</text>'
        )
    yield f'<path d="M{number(axes.left)},{number(axes.top)}V{number(bottom)}H{number(axes.left + axes.width)}" '
    yield f'fill="none" stroke="{MUTED_COLOUR}"/></g>'


def _rectangles(timeline: Timeline, axes: Axes) -> Iterator[str]:
    """Draw the buffers, one group per kind; a label stands in a rectangle only where all of it fits."""
    for kind in dict.fromkeys(r.kind for r in timeline.rectangles):
        style = buffer_style(kind)
        yield f'<g fill="{style.fill}" stroke="{style.stroke}" stroke-width="0.8">'
        for r in timeline.rectangles:
            if r.kind != kind:
                continue
            x, y = axes.x(r.start_step), axes.y(r.offset + r.size)
            width, height = axes.x(r.end_step + 1) - x, axes.y(r.offset) - y
            tip = r.tooltip or f"{r.label}\n{byte_text(r.size)} at {r.offset}, steps {r.start_step} to {r.end_step}"
            # A rectangle of a pixel or two would be all outline.
            outline = ' stroke="none"' if min(width, height) < 2.5 else ""
            yield (
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{max(height, 0.1):.2f}"{outline}>'
                f"<title>{xml_text(tip)}</title></rect>"
            )
            shown = _fitting(r.label, width - 6.0) if height >= 12.0 else ""
            if shown:
                yield (
                    f'<text x="{number(x + width / 2)}" y="{number(y + height / 2 + 3.6)}" font-size="10" '
                    f'fill="{TEXT_COLOUR}" stroke="none" text-anchor="middle" pointer-events="none">'
                    f"{xml_text(shown)}</text>"
                )
        yield "</g>"


def fitted(text: str, width: float, size: float) -> str:
    """Shorten a line to a width in pixels, and say so with an ellipsis."""
    line = printable(text).replace("\n", " ")
    if text_width(line, size) * WIDER <= width:
        return line
    while line and text_width(line, size) * WIDER > width - size:
        line = line[:-1]
    return line + "…"


def _fitting(label: str, width: float) -> str:
    """Return a label, else what stands before its ": ", whichever fits into a width; "" where neither does."""
    whole = printable(label).replace("\n", " ")
    for text in (clipped(whole), whole.partition(": ")[0]):
        if text_width(text, 10.0) * WIDER <= width:
            return text
    return ""


def _holes(timeline: Timeline, axes: Axes) -> Iterator[str]:
    yield f'<g fill="{HATCH.fill}">'
    for hole in timeline.holes:
        x, y = axes.x(hole.start_step), axes.y(hole.offset + hole.size)
        tip = f"unused: {byte_text(hole.size)} at {hole.offset}, steps {hole.start_step} to {hole.end_step}"
        yield (
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{axes.x(hole.end_step + 1) - x:.2f}" '
            f'height="{axes.y(hole.offset) - y:.2f}"><title>{tip}</title></rect>'
        )
    yield "</g>"


def _bound_in_arena(timeline: Timeline, axes: Axes) -> Iterator[str]:
    """Draw the lower bound as a line across the addresses; the arena is what lies above it too much."""
    bound, arena = timeline.lower_bound_bytes, timeline.arena_bytes
    y = axes.y(bound)
    above = f"{arena / bound - 1:.2%} under the arena's top" if bound and arena > bound else "the arena's top"
    yield (
        f'<path d="M{number(axes.left)},{number(y)}h{number(axes.width)}" stroke="{BOUND_COLOUR}" '
        f'stroke-width="1.3" stroke-dasharray="6 4"/>'
    )
    yield _note(axes.left + axes.width, axes.top - 8.0, "end", BOUND_COLOUR, f"lower bound {byte_text(bound)}, {above}")
    if timeline.steps:
        x = axes.x(timeline.peak_step + 0.5)
        yield (
            f'<path d="M{number(x)},{number(axes.top)}v{number(axes.height)}" stroke="{PEAK_COLOUR}" '
            f'stroke-dasharray="2 3" pointer-events="none"/>'
        )


def _curve(timeline: Timeline, axes: Axes) -> Iterator[str]:
    """Draw the live bytes as a staircase with the area under it, the lower bound and the peak."""
    floor = axes.top + axes.height
    if timeline.live_bytes:
        stairs = _staircase(timeline.live_bytes, axes)
        start, end = number(axes.left), number(axes.left + axes.width)
        area = f"M{start},{number(floor)}{stairs}V{number(floor)}Z"
        yield f'<path d="{area}" fill="{CURVE_COLOUR}" fill-opacity="0.14"/>'
        first = number(axes.y(timeline.live_bytes[0]))
        yield f'<path d="M{start},{first}{stairs}H{end}" fill="none" stroke="{CURVE_COLOUR}" stroke-width="1.5"/>'
        yield from _step_tooltips(timeline, axes)
    bound = axes.y(timeline.lower_bound_bytes)
    bound_text = f"lower bound {byte_text(timeline.lower_bound_bytes)}"
    yield (
        f'<path d="M{number(axes.left)},{number(bound)}h{number(axes.width)}" stroke="{BOUND_COLOUR}" '
        f'stroke-width="1.3" stroke-dasharray="6 4"/>'
    )
    peak_text = ""
    peak_x = axes.left
    if timeline.live_bytes:
        peak = timeline.live_bytes[timeline.peak_step]
        peak_x, peak_y = axes.x(timeline.peak_step + 0.5), axes.y(peak)
        name = clipped(printable(timeline.steps[timeline.peak_step]).replace("\n", " "))
        peak_text = f"peak {byte_text(peak)} at step {timeline.peak_step} ({name})"
        yield (
            f'<path d="M{number(peak_x)},{number(peak_y)}V{number(floor)}" stroke="{PEAK_COLOUR}" '
            f'stroke-dasharray="2 3"/>'
            f'<circle cx="{number(peak_x)}" cy="{number(peak_y)}" r="4" fill="{PEAK_COLOUR}"/>'
        )
    # Both texts stand over the plot, where no curve passes: the peak's at its step, the bound's at the other
    # side.
    right = axes.left + axes.width
    if peak_text:
        half = text_width(peak_text) * WIDER / 2
        centre = min(max(peak_x, axes.left + _NAME_WIDTH + half), right - half)
        yield _note(centre, axes.top - 8.0, "middle", PEAK_COLOUR, peak_text)
        bound_width = text_width(bound_text) * WIDER + 20.0
        left_free = centre - half - (axes.left + _NAME_WIDTH)
        at_right = right - (centre + half) >= bound_width
        if not at_right and left_free >= bound_width:
            yield _note(centre - half - 20.0, axes.top - 8.0, "end", BOUND_COLOUR, bound_text)
            return
        if not at_right:
            yield _note(right, axes.top - 24.0, "end", BOUND_COLOUR, bound_text)
            return
    yield _note(right, axes.top - 8.0, "end", BOUND_COLOUR, bound_text)


def _note(x: float, y: float, anchor: str, colour: str, text: str) -> str:
    return f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" fill="{colour}">{xml_text(text)}</text>'


def _staircase(values: Sequence[int], axes: Axes) -> str:
    """Write the tops of the columns as vertical and horizontal lines, one pair for each change of value."""
    parts = [f"V{number(axes.y(values[0]))}"]
    for step, (one, other) in enumerate(pairwise(values), 1):
        if one != other:
            parts.append(f"H{axes.x(step):.2f}V{number(axes.y(other))}")
    parts.append(f"H{number(axes.left + axes.width)}")
    return "".join(parts)


def _step_tooltips(timeline: Timeline, axes: Axes) -> Iterator[str]:
    """Lay an invisible column that names it over each step, unless columns would be narrower than a pixel."""
    if len(timeline.steps) > axes.width:
        return
    yield '<g fill="#000000" fill-opacity="0">'
    for step, (name, live) in enumerate(zip(timeline.steps, timeline.live_bytes, strict=True)):
        yield (
            f'<rect x="{axes.x(step):.2f}" y="{number(axes.top)}" width="{axes.width / axes.steps:.2f}" '
            f'height="{number(axes.height)}">'
            f"<title>{xml_text(f'step {step}: {name}, {byte_text(live)}')}</title></rect>"
        )
    yield "</g>"
