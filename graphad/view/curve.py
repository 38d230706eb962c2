"""The curve of a memory budget: extra FLOPs and extra time over the bytes that a call takes. Door: `RematCurve.to_svg`.

What may enter: drawing the points of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10

from graphad.execute.curve import RematCurve, extra_share
from graphad.plan.remat import CurvePoint
from graphad.view.drawing import MUTED_COLOUR, Style
from graphad.view.lettering import text_width, xml_text
from graphad.view.svg import MARGIN, number, set_heading, svg_opening
from graphad.view.timeline import (
    AXIS_BELOW,
    AXIS_LEFT,
    AXIS_RIGHT,
    CURVE_COLOUR,
    GRID,
    HATCH,
    HATCH_PATTERN,
    PEAK_COLOUR,
    PLOT_GAP,
    PLOT_WIDTH,
    TICK_SIZE,
    WIDER,
    byte_text,
    byte_ticks,
)

_HEIGHT = 210.0
_UNLIMITED_COLOUR = "#00694e"


@dataclass(frozen=True, slots=True)
class _Plot:
    """One of the two plots: its edges, the bytes across and the highest cost."""

    left: float
    top: float
    bytes: int
    most: float

    def x(self, count: float) -> float:
        return self.left + PLOT_WIDTH * count / max(1, self.bytes)

    def y(self, cost: float) -> float:
        return self.top + _HEIGHT * (1.0 - cost / self.most)


def curve_to_svg(curve: RematCurve) -> str:
    """Draw what the points of `curve` cost over their peaks, with the peak without a budget and the least marked."""
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    title = f"what a memory budget for {curve.graph} costs"
    legend = [(Style("#dbe6f0", CURVE_COLOUR), "planned"), (HATCH, "no plan found")]
    head = set_heading(title, legend, width)
    placed = frontier(curve)
    at = [float(p.peak or 0) for p in placed]
    shares = [100.0 * extra_share(p) for p in placed]
    seconds = [p.seconds for p in placed]
    least, peak = curve.smallest.peak or 0, curve.unlimited.peak or 0
    across = max(peak + peak // 25, 1)
    top = MARGIN + head.height + 34.0
    left = MARGIN + AXIS_LEFT
    flops = _Plot(left, top, across, _highest(shares))
    time = _Plot(left, top + _HEIGHT + PLOT_GAP, across, _highest(seconds))
    tips = [
        f"{p.peak:,} bytes: {p.recomputed:,} ops computed again, {extra_share(p):.2%} more FLOPs, "
        f"{time_text(p.seconds)} more by estimate"
        for p in placed
    ]
    out = [
        svg_opening(width + 2 * MARGIN, time.top + _HEIGHT + AXIS_BELOW + MARGIN, title),
        HATCH_PATTERN,
        *head.elements,
        *_axes(flops, "extra FLOPs", [f"{_plain(tick)} %" for tick in cost_ticks(flops.most)]),
        *_axes(time, "extra time, by estimate", [time_text(tick) for tick in cost_ticks(time.most)]),
    ]
    for plot, costs in ((flops, shares), (time, seconds)):
        out += [*_refused(plot, least), *_line(plot, at, costs, tips), *_marks(plot, least, peak)]
    out += [
        *_mark_names(flops, least, peak),
        f'<text x="{number(left + PLOT_WIDTH / 2)}" y="{number(time.top + _HEIGHT + 34)}" text-anchor="middle" '
        f'fill="{MUTED_COLOUR}">bytes of arena and results</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def frontier(curve: RematCurve) -> list[CurvePoint]:
    """Return the points by rising peak, without those that another beats in both bytes and time."""
    found = [p for p in (curve.smallest, *curve.points, curve.unlimited) if p.peak is not None]
    kept: list[CurvePoint] = []
    for point in sorted(found, key=lambda p: (p.peak, p.seconds)):
        if not kept or point.seconds < kept[-1].seconds:
            kept.append(point)
    return kept


def _highest(costs: Sequence[float]) -> float:
    """Return the top of an axis: a little above the highest cost, and 1 where nothing costs anything."""
    return max(costs, default=0.0) * 1.06 or 1.0


def cost_ticks(most: float) -> list[float]:
    """Choose at most seven values from 0 to `most`: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(most / 6.0))
    step = next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 6.0)
    return [step * k for k in range(int(most / step) + 1)]


def _plain(value: float) -> str:
    return f"{value:.4g}"


def time_text(seconds: float) -> str:
    """Write a duration with three digits at most: 0 s, 12 us, 1.5 ms, 2 s."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale * 0.9995:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns" if seconds else "0 s"


def _axes(plot: _Plot, name: str, ticks: Sequence[str]) -> Iterator[str]:
    bottom = plot.top + _HEIGHT
    yield f'<text x="{number(plot.left - 70)}" y="{number(plot.top - 8)}" fill="{MUTED_COLOUR}">{xml_text(name)}</text>'
    yield f'<g font-size="{TICK_SIZE:g}" fill="{MUTED_COLOUR}">'
    for cost, text in zip(cost_ticks(plot.most), ticks, strict=True):
        y = plot.y(cost)
        yield (
            f'<path d="M{number(plot.left)},{number(y)}h{number(PLOT_WIDTH)}" stroke="{GRID}"/>'
            f'<text x="{number(plot.left - 6)}" y="{number(y + 4)}" text-anchor="end">{text}</text>'
        )
    for count in byte_ticks(plot.bytes):
        x = plot.x(count)
        yield (
            f'<path d="M{number(x)},{number(bottom)}v4" stroke="{MUTED_COLOUR}"/>'
            f'<text x="{number(x)}" y="{number(bottom + 16)}" text-anchor="middle">{byte_text(count)}</text>'
        )
    yield (
        f'<path d="M{number(plot.left)},{number(plot.top)}V{number(bottom)}h{number(PLOT_WIDTH)}" fill="none" '
        f'stroke="{MUTED_COLOUR}"/></g>'
    )


def _refused(plot: _Plot, least: int) -> Iterator[str]:
    yield (
        f'<rect x="{number(plot.left)}" y="{number(plot.top)}" width="{plot.x(least) - plot.left:.2f}" '
        f'height="{number(_HEIGHT)}" fill="{HATCH.fill}"><title>no plan was found</title></rect>'
    )


def _line(plot: _Plot, at: Sequence[float], costs: Sequence[float], tips: Sequence[str]) -> Iterator[str]:
    """Draw a staircase: between two points a budget costs what the point below it costs."""
    parts = [f"M{plot.x(at[0]):.2f},{plot.y(costs[0]):.2f}"]
    for x, cost in zip(at[1:], costs[1:], strict=True):
        parts.append(f"H{plot.x(x):.2f}V{plot.y(cost):.2f}")
    parts.append(f"H{number(plot.left + PLOT_WIDTH)}")
    stairs = "".join(parts)
    bottom = number(plot.top + _HEIGHT)
    yield f'<path d="{stairs}V{bottom}H{plot.x(at[0]):.2f}Z" fill="{CURVE_COLOUR}" fill-opacity="0.14"/>'
    yield f'<path d="{stairs}" fill="none" stroke="{CURVE_COLOUR}" stroke-width="1.5"/>'
    for x, cost, tip in zip(at, costs, tips, strict=True):
        yield (
            f'<circle cx="{plot.x(x):.2f}" cy="{plot.y(cost):.2f}" r="3.5" fill="{CURVE_COLOUR}">'
            f"<title>{xml_text(tip)}</title></circle>"
        )


def _marks(plot: _Plot, least: int, peak: int) -> Iterator[str]:
    for count, colour in ((least, PEAK_COLOUR), (peak, _UNLIMITED_COLOUR)):
        yield (
            f'<path d="M{number(plot.x(count))},{number(plot.top)}v{number(_HEIGHT)}" stroke="{colour}" '
            f'stroke-width="1.3" stroke-dasharray="6 4"/>'
        )


def _mark_names(plot: _Plot, least: int, peak: int) -> Iterator[str]:
    """Write the two figures over the plot, each at its line; the least a line higher where both would not fit."""
    right = plot.left + PLOT_WIDTH
    unlimited, smallest = f"without a budget {byte_text(peak)}", f"least found {byte_text(least)}"
    half, other = text_width(unlimited) * WIDER / 2, text_width(smallest) * WIDER / 2
    x = min(plot.x(peak), right - half)
    y = min(max(plot.x(least), plot.left + other), right - other)
    name_ends = plot.left - 70 + text_width("extra FLOPs") * WIDER
    higher = 18.0 if y + other + 12.0 > x - half or y - other < name_ends + 12.0 else 0.0
    yield (
        f'<text x="{number(x)}" y="{number(plot.top - 8)}" text-anchor="middle" fill="{_UNLIMITED_COLOUR}">'
        f"{unlimited}</text>"
        f'<text x="{number(y)}" y="{number(plot.top - 8 - higher)}" text-anchor="middle" fill="{PEAK_COLOUR}">'
        f"{smallest}</text>"
    )
