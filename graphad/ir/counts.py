"""Counting a graph: ops, floating-point operations, bytes moved, parameters, live bytes in program order.

Sums of symbolic sizes stay symbolic; the live peak exists for static graphs only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graphad.ir.dims import Dim, Size
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input, SizeValue
from graphad.ir.node import Node
from graphad.ir.types import TensorType

LEAVES = (Input, Constant, SizeValue)


@frozen
class Counts:
    """What a graph costs.

    Attributes:
        ops: nodes that compute (inputs, constants and sizes do not).
        flops: floating-point operations, as `Op.flops` counts them.
        bytes_moved: bytes read and written by ops that are not views.
        parameters: elements of the parameter inputs.
        peak_bytes: the most bytes alive at once when the nodes run in the graph's order, constants and inputs counted
            throughout, views at no cost; None where sizes are symbolic.
    """

    ops: int
    flops: Dim
    bytes_moved: Dim
    parameters: Dim
    peak_bytes: int | None


def count(graph: Graph) -> Counts:
    """Count a graph in one walk over its nodes."""
    ops = 0
    parameters: Dim = 0
    # Symbolic arithmetic is slow, so equal terms are gathered first.
    flops: Counter[Dim] = Counter()
    moved: dict[TensorType, int] = {}
    for node in graph.nodes:
        kind = type(node.op)
        if kind in LEAVES:
            if kind is Input and node.op.kind == "parameter":  # type: ignore[attr-defined]
                parameters = parameters + node.types[0].size
            continue
        ops += 1
        if node.op.view:
            continue
        types = node.input_types
        flops[node.op.flops(types, node.types)] += 1
        for type_ in (*types, *node.types):
            moved[type_] = moved.get(type_, 0) + 1
    return Counts(ops, total(flops), _bytes(moved), parameters, peak_bytes(graph.nodes, graph))


def total(terms: Counter[Dim]) -> Dim:
    """Return the sum of the terms, each as often as counted."""
    result: Dim = 0
    for term, times in terms.items():
        result = result + term * times
    return result


def _bytes(types: dict[TensorType, int]) -> Dim:
    result: Dim = 0
    for type_, times in types.items():
        result = result + type_.nbytes * times
    return result


def peak_bytes(schedule: Sequence[Node], graph: Graph) -> int | None:
    """Return the most bytes alive at once when `graph` runs in the order `schedule`; None for symbolic sizes.

    A view keeps the buffer it looks into alive and has none of its own. Inputs, constants and outputs stay.
    """
    sizes: dict[Node, int] = {}
    owner: dict[Node, Node] = {}
    known: dict[TensorType, int] = {}
    last: dict[Node, int] = {}
    for step, node in enumerate(schedule):
        owner[node] = owner[node.inputs[0].node] if node.op.view and node.inputs else node
        size = 0
        if owner[node] is node:
            for type_ in node.types:
                found = known.get(type_)
                if found is None:
                    nbytes = type_.nbytes
                    if isinstance(nbytes, Size):
                        return None
                    found = known[type_] = nbytes
                size += found
        sizes[node] = size
        last[owner[node]] = step
        for value in node.inputs:
            last[owner[value[0]]] = step
    forever = len(schedule)
    for value in graph.outputs:
        last[owner[value.node]] = forever
    dying: dict[int, int] = {}
    live = 0
    for node in schedule:
        if type(node.op) in LEAVES:
            live += sizes[node]
        elif owner[node] is node and last[node] < forever:
            dying[last[node]] = dying.get(last[node], 0) + sizes[node]
    peak = live
    for step, node in enumerate(schedule):
        if type(node.op) not in LEAVES:
            live += sizes[node]
        peak = max(peak, live)
        live -= dying.get(step, 0)
    return peak
