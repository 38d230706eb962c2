"""Savings: how the arena of a plan came to its size, stage by stage.

Program order, where every value has bytes of its own from its making to its last read; the schedule; buffers shared in
place; recomputation. Each stage is planned as the last one would be. What may enter: planning a graph again with less.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.plan.arena import aligned, place
from graphad.plan.buffers import find_buffers, is_step
from graphad.plan.lifetimes import lifetimes_in
from graphad.plan.plan import Plan, plan
from graphad.plan.schedule import program_order


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, the bytes of its arena, the most bytes live at once in it, and what was done."""

    name: str
    arena_bytes: int
    lower_bound_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class Savings:
    """What each stage of planning saves. Prints as a table.

    Attributes:
        graph: the graph's name.
        stages: "program order", "schedule", "in place" and, where a budget asks for it, "recomputation" or, if another
            order is enough, "order within the budget".
        separate_bytes: what the values would take if none gave its bytes to a later one.
        result_bytes: the results of a call, the same at every stage.
        recomputed: nodes that are recomputation, views not counted.
        flops: floating-point operations of a call without recomputation.
        extra_flops: those of recomputation.
        budget: the bytes of arena and results that were allowed; None where that is not known.
    """

    graph: str
    stages: tuple[Stage, ...]
    separate_bytes: int
    result_bytes: int
    recomputed: int
    flops: int
    extra_flops: int
    budget: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, with the form's version and the unit."""
        found = asdict(self)
        return {
            "format": "graphad savings",
            "version": 1,
            "units": "bytes",
            **{name: value for name, value in found.items() if name not in ("stages", "budget")},
            "budget_bytes": self.budget,
            "stages": [{**asdict(stage), "peak_bytes": stage.arena_bytes + self.result_bytes} for stage in self.stages],
        }

    def to_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the stages as a waterfall, write the picture to `path` if given, and return it."""
        from graphad.view.savings import savings_to_svg

        svg = savings_to_svg(self)
        if path is not None:
            Path(path).write_text(svg, encoding="utf-8")
        return svg

    def __str__(self) -> str:
        rows = [("stage", "arena bytes", "most live", "saved")]
        before: int | None = None
        for stage in self.stages:
            saved = "" if not before else f"{1 - stage.arena_bytes / before:.1%}"
            rows.append((stage.name, f"{stage.arena_bytes:,}", f"{stage.lower_bound_bytes:,}", saved))
            before = stage.arena_bytes
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        notes = ["", *(stage.note for stage in self.stages)]
        return "\n".join(
            "  ".join((row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in (1, 2, 3)), note)).rstrip()
            for row, note in zip(rows, notes, strict=True)
        )


def savings(planned: Plan, unlimited: Plan | None = None, budget: int | None = None) -> Savings:
    """Plan the graph again with less done for it, and return what each stage saved.

    Args:
        planned: the plan.
        unlimited: the plan of the same graph without a budget. Where it is not given, recomputation is taken out of the
            graph of `planned`; program order is then the order in which the values were first made.
        budget: the bytes of arena and results that were allowed, for the report.
    """
    again = recomputation(planned.graph)
    first = unlimited or (_without_recomputation(planned) if again.nodes else planned)
    stages = [
        _stage("program order", first, program_order(first.graph), "every value until its last read"),
        _stage("schedule", first, first.schedule.nodes, _schedule_note(first)),
        Stage(
            "in place",
            first.arena_bytes,
            first.lower_bound_bytes,
            f"{first.lifetimes.in_place:,} of {len(first.schedule.nodes):,} steps overwrite an operand",
        ),
    ]
    if again.nodes:
        note = f"{len(again.nodes):,} ops again, {again.share:.1%} more FLOPs"
        stages.append(Stage("recomputation", planned.arena_bytes, planned.lower_bound_bytes, note))
    elif planned.arena_bytes != first.arena_bytes:
        note = "another order; nothing is computed again"
        stages.append(Stage("order within the budget", planned.arena_bytes, planned.lower_bound_bytes, note))
    return Savings(
        planned.graph.name,
        tuple(stages),
        _separate_bytes(first),
        planned.result_bytes,
        len(again.nodes),
        again.others,
        again.flops,
        budget,
    )


@dataclass(frozen=True, slots=True)
class Recomputation:
    """What a graph computes again: the nodes (views not counted), their FLOPs, and those of all other nodes."""

    nodes: tuple[Node, ...]
    flops: int
    others: int

    @property
    def share(self) -> float:
        """Return the FLOPs of recomputation as a share of the others."""
        return self.flops / max(self.others, 1)


def recomputation(graph: Graph) -> Recomputation:
    """Find the nodes of a static graph that compute again what it computes elsewhere."""
    again = [n for n in graph.nodes if n.role == "recompute" and n.replica and not n.op.view]
    extra = sum(_flops(node) for node in again)
    return Recomputation(tuple(again), extra, sum(_flops(node) for node in graph.nodes) - extra)


def _flops(node: Node) -> int:
    return 0 if node.op.view else int(node.op.flops(node.input_types, node.types))


def _stage(name: str, first: Plan, order: Sequence[Node], note: str) -> Stage:
    """Plan an order in which no step overwrites an operand."""
    buffers = replace(find_buffers(first.graph, tuple(order)), in_place_steps=[])
    arena = place(lifetimes_in(buffers, first.lifetimes.updates, first.results))
    return Stage(name, arena.nbytes, arena.lower_bound, note)


def _schedule_note(first: Plan) -> str:
    if first.schedule.nodes == program_order(first.graph):
        return "program order kept"
    return "proven to have the lowest peak" if first.schedule.optimal else "reordered"


def _separate_bytes(first: Plan) -> int:
    buffers = replace(find_buffers(first.graph, first.schedule.nodes), in_place_steps=[])
    found = lifetimes_in(buffers, first.lifetimes.updates, first.results)
    return sum(aligned(found.sizes[b]) for b in found.arena_buffers)


def _without_recomputation(planned: Plan) -> Plan:
    """Plan the graph with everything that is computed again replaced by what was computed first."""
    graph = planned.graph
    now: dict[Node, Node] = {}
    made: dict[tuple[int, tuple[Value, ...]], Node] = {}
    for node in graph.nodes:
        if not is_step(node):
            now[node] = node
            continue
        inputs = tuple([Value(now[operand], index) for operand, index in node.inputs])
        # Recomputation has the very op of what it repeats, and its very constants.
        key = (id(node.op), inputs)
        known = made.get(key) if node.role == "recompute" and node.replica else None
        if known is None:
            known = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
            made[key] = known
        now[node] = known
    outputs = [Value(now[node], index) for node, index in graph.outputs]
    merged = graph.with_outputs(outputs, graph.output_names, graph.output_container)
    return plan(merged, planned.lifetimes.updates, planned.results)
