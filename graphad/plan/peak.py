"""The peak: what a plan holds at the step with the most live bytes, with the user's lines, largest first.

What may enter: reading a plan at one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graphad.ir.node import Node
from graphad.plan.arena import aligned
from graphad.plan.classes import classified, ops_inside
from graphad.plan.plan import Plan

SHOWN = 10
"""Tensors that tables and pictures show."""


@dataclass(frozen=True, slots=True)
class PeakTensor:
    """A tensor that is held at the peak.

    Attributes:
        bytes: what it takes, of the arena rounded up to the alignment.
        type: its type, "f32[128,256]".
        op: the op that makes it.
        inside: the ops that a group computes together, "tanh mul*5"; empty for a single op.
        memory_class: ``activation``, ``gradient``, ...; ``output`` for a result of the call.
        role: the role of the op.
        file, line, source: the user's line; "", 0 and "" where it is not known.
        scope: the user's scope.
        start, end: first and last step at which it is live; of a result, all of them.
        sharing: how many values lie there in turn.
    """

    bytes: int
    type: str
    op: str
    inside: str
    memory_class: str
    role: str
    file: str
    line: int
    source: str
    scope: str
    start: int
    end: int
    sharing: int

    @property
    def place(self) -> str:
        """Return "file.py:12: source text"; empty where the line is not known."""
        if not self.file:
            return ""
        short = f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"
        return f"{short}: {self.source}" if self.source else short

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, `memory_class` as "class"."""
        found = asdict(self)
        return {"class" if name == "memory_class" else name: value for name, value in found.items()}


def peak_tensors(plan: Plan) -> list[PeakTensor]:
    """Return what a call holds at the peak, the largest first: what is live in the arena, and the results.

    Results are arrays of the caller, made when a call begins: they are held at every step.
    """
    step = plan.peak_step
    found = [
        _tensor(b.node, b.label, aligned(b.size), name, (b.start, b.end), b.sharing)
        for b, name in classified(plan)
        if b.start <= step <= b.end
    ]
    last = max(len(plan.lifetimes.steps) - 1, 0)
    for value in plan.graph.outputs[: plan.results]:
        label = f"{value.node.op.name} {value.type}"
        found.append(_tensor(value.node, label, int(value.type.nbytes), "output", (0, last), 1))
    return sorted(found, key=lambda tensor: -tensor.bytes)


def _tensor(node: Node, label: str, size: int, name: str, steps: tuple[int, int], sharing: int) -> PeakTensor:
    op, _, type_ = label.rpartition(" ")
    at = node.location
    return PeakTensor(
        size,
        type_,
        op,
        ops_inside(node),
        name,
        node.role,
        at.file if at else "",
        at.line if at else 0,
        at.source if at else "",
        node.scope,
        *steps,
        sharing,
    )


def peak_table(tensors: Sequence[PeakTensor], shown: int = SHOWN) -> list[str]:
    """Write the largest tensors as lines of a table, with the user's line of each."""
    rows = [("bytes", "type", "class", "role", "op", "line")]
    for t in tensors[:shown]:
        inside = f" ({_shortened(t.inside, 28)})" if t.inside else ""
        rows.append((f"{t.bytes:,}", t.type, t.memory_class, t.role, t.op + inside, t.place))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join((row[0].rjust(widths[0]), *(row[k].ljust(widths[k]) for k in range(1, 5)), row[5])).rstrip()
        for row in rows
    ]
    rest = tensors[shown:]
    if rest:
        lines.append(f"{sum(t.bytes for t in rest):>{widths[0]},}  in {len(rest):,} more")
    return lines


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
