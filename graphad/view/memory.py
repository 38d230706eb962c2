"""`Plan` to `Timeline`: the arena of a planned graph, drawn. Door: `Plan.to_svg`.

What may enter: what each buffer is called; the drawing is `timeline`'s, and the classes are `graphad.plan.classes`'.
"""

from __future__ import annotations

import os
from pathlib import Path

from graphad.plan.classes import classified, ops_inside, outside
from graphad.plan.holes import holes
from graphad.plan.plan import PlacedBuffer, Plan
from graphad.view.timeline import Rectangle, Timeline, byte_text, timeline_to_svg


def plan_to_svg(plan: Plan, path: str | os.PathLike[str] | None = None) -> str:
    """Draw the memory timeline of `plan` as SVG text, and write it to `path` if given.

    Raises OSError if `path` cannot be written.
    """
    return written(timeline_to_svg(timeline(plan)), path)


def written(svg: str, path: str | os.PathLike[str] | None) -> str:
    """Write a finished picture to `path` if one is given, and return it."""
    if path is not None:
        Path(path).write_text(svg, encoding="utf-8")
    return svg


def timeline(plan: Plan) -> Timeline:
    """Read the arena of `plan` as rectangles of address × time, with its holes and the bytes live at each step.

    Arguments, state, constants and results are not in the arena; the legend tells their bytes.
    """
    return Timeline(
        rectangles=tuple(_rectangle(buffer, name) for buffer, name in classified(plan)),
        arena_bytes=plan.arena_bytes,
        lower_bound_bytes=plan.lower_bound_bytes,
        steps=step_names(plan),
        live_bytes=tuple(plan.live_bytes()),
        peak_step=plan.peak_step,
        title=f"memory of {plan.graph.name}",
        outside=tuple(outside(plan).items()),
        holes=tuple(Rectangle(h.start, h.end, h.offset, h.size) for h in holes(plan)),
    )


def step_names(plan: Plan) -> tuple[str, ...]:
    """Name each step by its op and the type of its first result."""
    return tuple(f"{node.op.name} {node.types[0]}" if node.types else node.op.name for node in plan.lifetimes.steps)


def _rectangle(buffer: PlacedBuffer, kind: str) -> Rectangle:
    node = buffer.node
    inside = ops_inside(node)
    label = f"{buffer.label}: {inside}" if inside else buffer.label
    lines = [
        label,
        f"{byte_text(buffer.size)} at {buffer.offset}, steps {buffer.start} to {buffer.end}, {kind}",
    ]
    if buffer.sharing > 1:
        lines.append(f"{buffer.sharing} values lie here in turn")
    if node.location is not None:
        lines.append(f"{node.location.short}: {node.location.source}".rstrip(": "))
    if node.scope:
        lines.append(f"scope {node.scope}")
    return Rectangle(buffer.start, buffer.end, buffer.offset, buffer.size, label, kind, "\n".join(lines))
