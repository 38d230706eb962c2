"""Live bytes by class: what kind of memory is held at each step, stacked, with the peak marked. Door: `Plan.live_svg`.

What may enter: the picture of sums over steps; which class a buffer has is `graphad.plan.classes`'.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphad.plan.classes import live_by_class, outside
from graphad.plan.plan import Plan
from graphad.view.drawing import MUTED_COLOUR
from graphad.view.lettering import printable, text_width, xml_text
from graphad.view.memory import step_names, written
from graphad.view.svg import MARGIN, number, set_heading, svg_opening
from graphad.view.timeline import (
    ARENA_HEIGHT,
    AXIS_BELOW,
    AXIS_LEFT,
    AXIS_RIGHT,
    PEAK_COLOUR,
    PLOT_WIDTH,
    WIDER,
    Axes,
    buffer_style,
    byte_text,
    draw_axes,
)

HELD = ("parameter", "state", "output")
"""Classes outside the arena that are drawn: a call holds them from its first step to its last."""

_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class LiveBytes:
    """Bytes held at each step by class.

    Attributes:
        title: what the picture is called.
        steps: the op of each step.
        held: the bytes of each class of `HELD`.
        beside: the bytes of other classes outside the arena, which are not drawn.
        classes: the arena's bytes of each class, one number for each step; over all classes they add up to
            `Plan.live_bytes`.
        peak_step: the first step with the most bytes.
    """

    title: str
    steps: tuple[str, ...]
    held: dict[str, int]
    beside: dict[str, int]
    classes: dict[str, tuple[int, ...]]
    peak_step: int

    def in_arena(self, step: int) -> int:
        """Return the bytes live in the arena at a step."""
        return sum(counts[step] for counts in self.classes.values())

    def total(self, step: int) -> int:
        """Return the bytes of the arena and of what is held beside it at a step."""
        return sum(self.held.values()) + self.in_arena(step)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of the picture, with the form's version and the unit."""
        return {
            "format": "graphad live bytes",
            "version": 1,
            "units": "bytes",
            "title": self.title,
            "steps": list(self.steps),
            "held": dict(self.held),
            "beside": dict(self.beside),
            "classes": {kind: list(counts) for kind, counts in self.classes.items()},
            "peak_step": self.peak_step,
            "highest_bytes": self.total(self.peak_step) if self.steps else sum(self.held.values()),
        }


def plan_to_live_svg(plan: Plan, path: str | os.PathLike[str] | None = None) -> str:
    """Draw the live bytes of `plan` by class as SVG text, and write it to `path` if given.

    Raises OSError if `path` cannot be written.
    """
    return written(live_bytes_to_svg(live_bytes_by_class(plan)), path)


def live_bytes_by_class(plan: Plan) -> LiveBytes:
    """Sum the buffers of `plan` by class at each step, sizes rounded up to the alignment."""
    away = outside(plan)
    return LiveBytes(
        f"live bytes of {plan.graph.name}",
        step_names(plan),
        {kind: count for kind, count in away.items() if kind in HELD},
        {kind: count for kind, count in away.items() if kind not in HELD},
        {kind: tuple(counts) for kind, counts in live_by_class(plan).items()},
        plan.peak_step,
    )


def live_bytes_to_svg(live: LiveBytes) -> str:
    """Draw the classes as a stack over the steps, what is held throughout at the bottom, with the peak marked."""
    count = len(live.steps)
    most = max((live.total(step) for step in range(count)), default=sum(live.held.values()))
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    head = set_heading(live.title, [(buffer_style(kind), text) for kind, text in _legend(live)], width)
    top = MARGIN + head.height + 18.0
    axes = Axes(MARGIN + AXIS_LEFT, top, PLOT_WIDTH, ARENA_HEIGHT, count, most)
    bands = {**{kind: (held,) * count for kind, held in live.held.items()}, **live.classes}
    out = [
        svg_opening(width + 2 * MARGIN, top + ARENA_HEIGHT + AXIS_BELOW + MARGIN, live.title),
        *head.elements,
        *draw_axes(axes, "bytes held"),
        *_bands(bands, axes),
        *_peak(live, axes),
        f'<text x="{number(axes.left + axes.width / 2)}" y="{number(top + ARENA_HEIGHT + 34)}" '
        f'text-anchor="middle" fill="{MUTED_COLOUR}">step of the schedule</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def _legend(live: LiveBytes) -> Iterator[tuple[str, str]]:
    """Name the classes, those of the arena with their bytes at the peak."""
    for kind, count in live.held.items():
        yield kind, f"{kind} {byte_text(count)} throughout"
    for kind, counts in live.classes.items():
        yield kind, f"{kind} {byte_text(counts[live.peak_step])} at the peak"
    for kind, count in live.beside.items():
        yield kind, f"{kind} {byte_text(count)}, not drawn"


def _bands(bands: dict[str, tuple[int, ...]], axes: Axes) -> Iterator[str]:
    floor: Sequence[int] = [0] * axes.steps
    for kind, counts in bands.items():
        ceiling = [low + count for low, count in zip(floor, counts, strict=True)]
        style = buffer_style(kind)
        if ceiling:
            outline = [*_stairs(ceiling, axes), *reversed(list(_stairs(floor, axes)))]
            yield (
                f'<polygon points="{" ".join(outline)}" fill="{style.fill}" stroke="{style.stroke}" '
                f'stroke-width="0.8"><title>{xml_text(kind)}</title></polygon>'
            )
        floor = ceiling


def _stairs(counts: Sequence[int], axes: Axes) -> Iterator[str]:
    """Write the corners of a staircase, two for each change of value."""
    last = len(counts) - 1
    for k, count in enumerate(counts):
        y = f"{axes.y(count):.2f}"
        if k == 0 or counts[k - 1] != count:
            yield f"{axes.x(k):.2f},{y}"
        if k == last or counts[k + 1] != count:
            yield f"{axes.x(k + 1):.2f},{y}"


def _peak(live: LiveBytes, axes: Axes) -> Iterator[str]:
    if not live.steps:
        return
    step = live.peak_step
    x, y = axes.x(step + 0.5), axes.y(live.total(step))
    name = printable(live.steps[step]).replace("\n", " ")
    name = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    text = f"peak {byte_text(live.total(step))} at step {step} ({name}), {byte_text(live.in_arena(step))} in the arena"
    half = text_width(text) * WIDER / 2
    centre = min(max(x, axes.left + 30.0 + half), axes.left + axes.width - half)
    yield (
        f'<path d="M{number(x)},{number(y)}V{number(axes.top + axes.height)}" stroke="{PEAK_COLOUR}" '
        f'stroke-dasharray="2 3"/>'
        f'<circle cx="{number(x)}" cy="{number(y)}" r="4" fill="{PEAK_COLOUR}"/>'
        f'<text x="{number(centre)}" y="{number(axes.top - 8)}" text-anchor="middle" fill="{PEAK_COLOUR}">'
        f"{xml_text(text)}</text>"
    )
