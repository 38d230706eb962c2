"""Live bytes by class: what kind of memory is alive at each step, stacked, with the peak marked.

What may enter: sums over the buffers of a plan and their picture; which class a buffer has is `memory`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphad.plan.arena import aligned
from graphad.plan.plan import Plan
from graphad.view.drawing import MUTED_COLOUR
from graphad.view.lettering import clipped, printable, text_width, xml_text
from graphad.view.memory import timeline
from graphad.view.svg import MARGIN, number, set_heading, svg_opening
from graphad.view.timeline import (
    ARENA_HEIGHT,
    AXIS_BELOW,
    AXIS_LEFT,
    AXIS_RIGHT,
    PLOT_WIDTH,
    Axes,
    buffer_style,
    byte_text,
    draw_axes,
)

_PEAK_COLOUR = "#b3261e"


@dataclass(frozen=True, slots=True)
class LiveBytes:
    """Bytes live at each step by class.

    Attributes:
        title: what the picture is called.
        steps: the op of each step.
        parameter_bytes: bytes of the parameters, alive throughout and outside the arena.
        classes: the arena's bytes of each class, one number for each step; over all classes they add up to
            `Plan.live_bytes`.
        peak_step: the first step with the most bytes.
    """

    title: str
    steps: tuple[str, ...]
    parameter_bytes: int
    classes: dict[str, tuple[int, ...]]
    peak_step: int

    def total(self, step: int) -> int:
        """Return the bytes of the arena and the parameters at a step."""
        return self.parameter_bytes + sum(counts[step] for counts in self.classes.values())

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of the picture."""
        return {
            "title": self.title,
            "steps": list(self.steps),
            "parameter_bytes": self.parameter_bytes,
            "classes": {kind: list(counts) for kind, counts in self.classes.items()},
            "peak_step": self.peak_step,
            "highest_bytes": self.total(self.peak_step) if self.steps else self.parameter_bytes,
        }


def live_bytes_by_class(plan: Plan) -> LiveBytes:
    """Sum the buffers of `plan` by class at each step, sizes rounded up to the alignment."""
    found = timeline(plan)
    count = len(found.steps)
    changes: dict[str, list[int]] = {}
    for r in found.rectangles:
        change = changes.setdefault(r.kind, [0] * (count + 1))
        change[r.start_step] += aligned(r.size)
        change[r.end_step + 1] -= aligned(r.size)
    classes: dict[str, tuple[int, ...]] = {}
    for kind in sorted(changes):
        live, row = 0, []
        for difference in changes[kind][:count]:
            live += difference
            row.append(live)
        classes[kind] = tuple(row)
    parameters = dict(found.outside).get("parameter", 0)
    return LiveBytes(f"live bytes of {plan.graph.name}", found.steps, parameters, classes, found.peak_step)


def live_bytes_to_svg(live: LiveBytes) -> str:
    """Draw the classes as a stack over the steps, the parameters at the bottom, with the peak marked."""
    count = len(live.steps)
    most = max((live.total(step) for step in range(count)), default=live.parameter_bytes)
    bands = {"parameter": (live.parameter_bytes,) * count} if live.parameter_bytes else {}
    bands.update(live.classes)
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    head = set_heading(live.title, [(buffer_style(kind), kind) for kind in bands], width)
    top = MARGIN + head.height + 18.0
    axes = Axes(MARGIN + AXIS_LEFT, top, PLOT_WIDTH, ARENA_HEIGHT, count, most)
    out = [
        svg_opening(width + 2 * MARGIN, top + ARENA_HEIGHT + AXIS_BELOW + MARGIN, live.title),
        *head.elements,
        *draw_axes(axes, "live bytes"),
        *_bands(bands, axes),
        *_peak(live, axes),
        f'<text x="{number(axes.left + axes.width / 2)}" y="{number(top + ARENA_HEIGHT + 34)}" '
        f'text-anchor="middle" fill="{MUTED_COLOUR}">step of the schedule</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def _bands(bands: dict[str, tuple[int, ...]], axes: Axes) -> Iterator[str]:
    floor = [0] * axes.steps
    for kind, counts in bands.items():
        ceiling = [low + count for low, count in zip(floor, counts, strict=True)]
        there = [f"{axes.x(k + side):.2f},{axes.y(high):.2f}" for k, high in enumerate(ceiling) for side in (0, 1)]
        back = [f"{axes.x(k + side):.2f},{axes.y(low):.2f}" for k, low in enumerate(floor) for side in (0, 1)]
        style = buffer_style(kind)
        if there:
            yield (
                f'<polygon points="{" ".join(there + back[::-1])}" fill="{style.fill}" stroke="{style.stroke}" '
                f'stroke-width="0.8"><title>{xml_text(kind)}</title></polygon>'
            )
        floor = ceiling


def _peak(live: LiveBytes, axes: Axes) -> Iterator[str]:
    if not live.steps:
        return
    step = live.peak_step
    x, y = axes.x(step + 0.5), axes.y(live.total(step))
    text = f"peak {byte_text(live.total(step))} at step {step} ({clipped(printable(live.steps[step]))})"
    half = text_width(text) * 1.06 / 2
    centre = min(max(x, axes.left + 20.0 + half), axes.left + axes.width - half)
    yield (
        f'<path d="M{number(x)},{number(y)}V{number(axes.top + axes.height)}" stroke="{_PEAK_COLOUR}" '
        f'stroke-dasharray="2 3"/>'
        f'<circle cx="{number(x)}" cy="{number(y)}" r="4" fill="{_PEAK_COLOUR}"/>'
        f'<text x="{number(centre)}" y="{number(axes.top - 8)}" text-anchor="middle" fill="{_PEAK_COLOUR}">'
        f"{xml_text(text)}</text>"
    )
