"""A plan as JSON: plain numbers, strings, lists and mappings with text keys. docs/memory.md describes the form.

What may enter: writing down what a plan and its readings say. A change that takes a name away, or changes what one
means, raises `VERSION`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from graphad.plan.classes import classified, live_by_class, outside
from graphad.plan.holes import holes
from graphad.plan.peak import peak_tensors
from graphad.plan.plan import Plan

VERSION = 1


def document(plan: Plan) -> dict[str, Any]:
    """Return totals, steps, live bytes by class, every buffer and hole of the arena, and the tensors at the peak."""
    return {
        "format": "graphad plan",
        "version": VERSION,
        "units": "bytes",
        "graph": plan.graph.name,
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "peak_bytes": plan.peak_bytes,
        "result_bytes": plan.result_bytes,
        "state_bytes": plan.state_bytes,
        "input_bytes": plan.input_bytes,
        "constant_bytes": plan.constant_bytes,
        "outside": outside(plan),
        "in_place": plan.lifetimes.in_place,
        "steps": [
            {"op": n.op.name, "line": n.location.short if n.location else "", "role": n.role, "scope": n.scope}
            for n in plan.schedule.nodes
        ],
        "live_bytes": plan.live_bytes(),
        "classes": live_by_class(plan),
        "peak_step": plan.peak_step,
        "peak_tensors": [tensor.to_json() for tensor in peak_tensors(plan)],
        "buffers": [
            {
                "start": b.start,
                "end": b.end,
                "offset": b.offset,
                "size": b.size,
                "label": b.label,
                "class": name,
                "role": b.node.role,
                "line": b.node.location.describe() if b.node.location else "",
                "sharing": b.sharing,
            }
            for b, name in classified(plan)
        ],
        "holes": [asdict(hole) for hole in holes(plan)],
    }
