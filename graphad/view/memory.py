"""`Plan` to `Timeline`: the arena of a planned graph, drawn. Door: `Plan.to_svg`.

What may enter: what each buffer is called, and which class of memory it counts as; the drawing is `timeline`'s.
"""

from __future__ import annotations

import os
from pathlib import Path

from graphad.ir.leaf import Input
from graphad.plan.plan import PlacedBuffer, Plan
from graphad.view.timeline import Rectangle, Timeline, byte_text, timeline_to_svg

_BEHIND = frozenset({"backward", "update"})
_CLASS_OF_ROLE = {"backward": "gradient", "update": "update", "tangent": "tangent", "recompute": "recompute"}


def plan_to_svg(plan: Plan, path: str | os.PathLike[str] | None = None) -> str:
    """Draw the memory timeline of `plan` as SVG text, and write it to `path` if given.

    Raises OSError if `path` cannot be written.
    """
    svg = timeline_to_svg(timeline(plan))
    if path is not None:
        Path(path).write_text(svg, encoding="utf-8")
    return svg


def timeline(plan: Plan) -> Timeline:
    """Read the arena of `plan` as rectangles of address × time, with the bytes live at each step.

    A buffer's class is ``gradient``, ``update``, ``tangent`` or ``recompute`` by the role of the op that makes it. Of
    what the forward pass makes, ``activation`` is what is kept until the backward pass, or all if there is none, and
    ``workspace`` is what is freed before. Arguments, state, constants and results are not in the arena; the legend
    tells their bytes.
    """
    steps = plan.lifetimes.steps
    behind = next((number for number, node in enumerate(steps) if node.role in _BEHIND), None)
    return Timeline(
        rectangles=tuple(_rectangle(buffer, _class(buffer, behind)) for buffer in plan.placed()) if steps else (),
        arena_bytes=plan.arena_bytes,
        lower_bound_bytes=plan.lower_bound_bytes,
        steps=tuple(f"{node.op.name} {node.types[0]}" if node.types else node.op.name for node in steps),
        live_bytes=tuple(plan.live_bytes()),
        peak_step=plan.peak_step,
        title=f"memory of {plan.graph.name}",
        outside=_outside(plan),
    )


def _class(buffer: PlacedBuffer, behind: int | None) -> str:
    """Name the class of a buffer; `behind` is the first step of the backward pass or of an update."""
    if isinstance(buffer.node.op, Input):
        return "workspace"  # the old value of state, kept aside while the new one is written
    made_by_role = _CLASS_OF_ROLE.get(buffer.node.role)
    if made_by_role is not None:
        return made_by_role
    return "activation" if behind is None or buffer.end >= behind else "workspace"


def _rectangle(buffer: PlacedBuffer, kind: str) -> Rectangle:
    node = buffer.node
    lines = [
        buffer.label,
        f"{byte_text(buffer.size)} at {buffer.offset}, steps {buffer.start} to {buffer.end}, {kind}",
    ]
    if buffer.sharing > 1:
        lines.append(f"{buffer.sharing} values lie here in turn")
    if node.location is not None:
        lines.append(f"{node.location.short}: {node.location.source}".rstrip(": "))
    if node.scope:
        lines.append(f"scope {node.scope}")
    return Rectangle(buffer.start, buffer.end, buffer.offset, buffer.size, buffer.label, kind, "\n".join(lines))


def _outside(plan: Plan) -> tuple[tuple[str, int], ...]:
    """Sum the bytes outside the arena by class, leaving out what there is none of."""
    parameters = sum(
        int(type_.nbytes)
        for position, (value, name, type_) in enumerate(
            zip(plan.graph.inputs, plan.graph.input_names, plan.graph.input_types, strict=True)
        )
        if position not in plan.lifetimes.updates and _is_parameter(plan, value.node.op, name)
    )
    found = (
        ("parameter", parameters),
        ("state", plan.state_bytes),
        ("input", plan.input_bytes - parameters),
        ("constant", plan.constant_bytes),
        ("output", plan.result_bytes),
    )
    return tuple((kind, count) for kind, count in found if count)


def _is_parameter(plan: Plan, op: object, name: str) -> bool:
    return name in plan.graph.initial or (isinstance(op, Input) and op.kind == "parameter")
