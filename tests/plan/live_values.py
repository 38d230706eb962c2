"""An independent account of live memory, from the graph and the arrays that a program really uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.execute.reference import Program
from graphad.ir.node import Value

Span = tuple[int, int]


def span(array: np.ndarray[Any, Any]) -> Span:
    """Return the first and one past the last address of an array."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return low, high


def check_live_values(program: Program) -> None:
    """Check at each step that all values needed later lie apart in the arena, and in it.

    A value is needed until its last reader has run; where the reader is a view into its memory, until the view's last
    reader has. A step may write over an operand only where it may work in place, and exactly.
    """
    graph, steps = program.plan.graph, program.plan.schedule.nodes
    low, high = span(program.arena) if program.arena.size else (0, 0)
    inside: dict[Value, Any] = {}
    for node in steps:
        for value in node.outputs:
            array = program.array(value)
            if array is not None and array.size and low < span(array)[1] and span(array)[0] < high:
                assert low <= span(array)[0] and span(array)[1] <= high, f"{value} leaves the arena"
                inside[value] = array
    needed: dict[Value, int] = {}
    family: dict[Value, Value] = {}
    for step in reversed(range(len(steps))):
        node = steps[step]
        for position, value in enumerate(node.inputs):
            until = step
            if node.op.view and position == 0 and value in inside and node.outputs[0] in inside:
                view, viewed = inside[node.outputs[0]], inside[value]
                if np.may_share_memory(view, viewed) and program.plan.lifetimes.buffer(
                    value
                ) == program.plan.lifetimes.buffer(node.outputs[0]):
                    until = max(step, needed.get(node.outputs[0], step))
                    family[node.outputs[0]] = value
            needed[value] = max(needed.get(value, -1), until)
    copied = {copy.value: copy.step for copy in program.plan.lifetimes.copies}
    for value in graph.outputs:
        if value in inside:
            needed[value] = max(needed.get(value, -1), copied[value])
            root = value
            while root in family:
                root = family[root]
                needed[root] = max(needed.get(root, -1), copied[value])

    live: list[Value] = []
    for step, node in enumerate(steps):
        made = [v for v in node.outputs if v in inside and v not in family]
        for value in made:
            for operand in {v for v in node.inputs if v in inside}:
                if _overlap(inside[value], inside[operand]):
                    assert node.op.in_place and value.type == operand.type, f"step {step} overwrites an operand"
                    assert span(inside[value]) == span(inside[operand])
        live = [v for v in live if needed.get(v, -1) > step]
        for value in made:
            for other in live:
                assert not _overlap(inside[value], inside[other]), f"step {step}: {value} overlaps {other}"
        live += made


def _overlap(a: Any, b: Any) -> bool:
    return span(a)[0] < span(b)[1] and span(b)[0] < span(a)[1]


def poison_between_steps(program: Program) -> None:
    """Make the program fill every part of the arena that the plan calls dead with garbage, after each call it makes."""
    found, arena = program.plan.lifetimes, program.plan.arena
    step_of = {node: step for step, node in enumerate(found.steps)}
    calls: list[Any] = []
    nodes: list[Any] = []
    total = len(program._calls)
    for k, (call, node) in enumerate(zip(program._calls, program._nodes, strict=True)):
        calls.append(call)
        nodes.append(node)
        following = program._nodes[k + 1] if k + 1 < total else None
        if call[0] is np.copyto or (following is not None and program._calls[k + 1][0] is np.copyto):
            continue  # copies to results and state belong to the step before them
        calls.append((_fill, [program, arena, found, step_of.get(node, -1)]))
        nodes.append(node)
    program._calls, program._nodes = calls, nodes
    program.arena.fill(0xA5)


def _fill(program: Program, arena: Any, found: Any, step: int) -> None:
    dead = np.ones(program.arena.size, bool)
    for b in found.arena_buffers:
        if found.starts[b] <= step < found.ends[b]:
            dead[arena.offsets[b] : arena.offsets[b] + found.sizes[b]] = False
    program.arena[dead] = 0xA5
