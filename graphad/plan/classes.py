"""Classes of memory: what each buffer of a plan counts as, and the bytes of each class at each step.

Pictures, tables and JSON ask here, so that they agree. What may enter: reading plans; nothing is decided here.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node
from graphad.plan.arena import aligned
from graphad.plan.buffers import live_bytes
from graphad.plan.plan import PlacedBuffer, Plan

CLASSES = ("activation", "gradient", "tangent", "update", "recompute", "workspace")
"""What a buffer of the arena may count as, in the order of pictures and tables."""

OUTSIDE = ("parameter", "state", "input", "constant", "output")
"""What memory outside the arena may count as."""

_BEHIND = frozenset({"backward", "update"})
_CLASS_OF_ROLE = {"backward": "gradient", "update": "update", "tangent": "tangent", "recompute": "recompute"}
_UNTOLD = frozenset({"broadcast_to", "reshape", "transpose"})


def classified(plan: Plan) -> list[tuple[PlacedBuffer, str]]:
    """Return the buffers of the arena, each with its class.

    The class is ``gradient``, ``update``, ``tangent`` or ``recompute`` by the role of the op that makes the buffer. Of
    what the forward pass makes, ``activation`` is what is kept until the backward pass, or all if there is none, and
    ``workspace`` is what is freed before.
    """
    steps = plan.lifetimes.steps
    behind = next((number for number, node in enumerate(steps) if node.role in _BEHIND), None)
    return [(buffer, _class(buffer, behind)) for buffer in plan.placed()] if steps else []


def _class(buffer: PlacedBuffer, behind: int | None) -> str:
    """Name the class of a buffer; `behind` is the first step of the backward pass or of an update."""
    if isinstance(buffer.node.op, Input):
        return "workspace"  # the old value of state, kept aside while the new one is written
    made_by_role = _CLASS_OF_ROLE.get(buffer.node.role)
    if made_by_role is not None:
        return made_by_role
    return "activation" if behind is None or buffer.end >= behind else "workspace"


def live_by_class(plan: Plan) -> dict[str, list[int]]:
    """Return the bytes of each class live at each step, in the order of `CLASSES`; they add up to `Plan.live_bytes`."""
    count = len(plan.lifetimes.steps)
    by_class: dict[str, list[PlacedBuffer]] = {}
    for buffer, name in classified(plan):
        by_class.setdefault(name, []).append(buffer)
    return {
        name: live_bytes(
            np.array([b.start for b in by_class[name]]),
            np.array([b.end for b in by_class[name]]),
            np.array([aligned(b.size) for b in by_class[name]]),
            count,
        ).tolist()
        for name in CLASSES
        if name in by_class
    }


def outside(plan: Plan) -> dict[str, int]:
    """Return the bytes of each class outside the arena, without what there is none of.

    A ``parameter`` is an argument that was traced as one, has an initial value, or has its gradient among the outputs;
    ``state`` is what an Executable keeps, ``input`` every other argument, ``output`` the results of a call.
    """
    graph = plan.graph
    outputs = set(graph.output_names)
    parameters = sum(
        int(type_.nbytes)
        for position, (value, name, type_) in enumerate(
            zip(graph.inputs, graph.input_names, graph.input_types, strict=True)
        )
        if position not in plan.lifetimes.updates
        and (
            name in graph.initial
            or f"grad.{name}" in outputs
            or (isinstance(value.node.op, Input) and value.node.op.kind == "parameter")
        )
    )
    counts = (
        parameters,
        plan.state_bytes,
        plan.input_bytes - parameters,
        plan.constant_bytes,
        plan.result_bytes,
    )
    return {name: count for name, count in zip(OUTSIDE, counts, strict=True) if count}


def ops_inside(node: Node) -> str:
    """Write the ops that a group computes together, "tanh mul*5 sum"; empty for a node that is no group."""
    body = getattr(node.op, "body", None)
    if body is None or not hasattr(body, "nodes"):
        return ""
    names = [inner.op.name for inner in body.nodes if not isinstance(inner.op, (Input, Constant))]
    counts = Counter(name for name in names if name not in _UNTOLD) or Counter(names)
    return " ".join(name if times == 1 else f"{name}*{times}" for name, times in counts.items())
