"""Bounds that recomputation is measured against: what no plan goes below, and the best division of a chain."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node
from graphad.plan.buffers import byte_size
from graphad.plan.flow import Network

UNITS = 1 << 20
"""Units of a network's edges in an operation."""


def least_again(graph: Graph, room: int, turns: Iterable[Node]) -> float:
    """Return floating-point operations of matrix products that every plan within `room` bytes runs once more, at least.

    When a node (a turn) has run for the first time, all that it depends on has run. What its dependants read is then
    among the bytes that are held, beside what the turn reads and makes, or is made again. The least that this costs,
    whatever the order and however steps are grouped, is at least what a relaxation costs in which a price is paid for
    each byte and the room's worth is given back (Lagrange); the cheapest choice at a price is a minimum cut. Products
    run as wholes, views lie where what they view does, and all else is made again for nothing.
    """
    return max([_least_again_after(graph, room, turn) for turn in turns], default=0.0)


def _least_again_after(graph: Graph, room: int, turn: Node) -> float:
    depends = _upwards([turn])
    after = _downwards(graph, turn)
    needed = [v.node for node in graph.nodes if node in after and node is not turn for v in node.inputs]
    needed = [node for node in dict.fromkeys(needed) if node not in after]
    wanted = [node for node in _upwards(needed) if not isinstance(node.op, (Input, Constant))]
    there = {turn, *[_viewed(v.node) for v in turn.inputs]}
    left = room - sum(_bytes(node) for node in there)

    def relaxed(price: float) -> tuple[float, int]:
        """Return the least cost at a price, less what the room is worth, and the bytes that it keeps."""
        network = Network()
        kept_or_again = {node: network.node() for node in wanted}
        again = {node: network.node() for node in wanted}
        sizes = {node: 0 if node in there else _bytes(node) for node in wanted}
        for node in needed:
            if node in again:
                network.bond(network.source, kept_or_again[node])
        for node in wanted:
            if node.op.view:
                network.bond(kept_or_again[node], again[node])
            else:
                network.edge(kept_or_again[node], again[node], int(sizes[node] * price * UNITS))
            if node in depends and node.op.name == "matmul":
                network.edge(again[node], network.sink, int(node.op.flops(node.input_types, node.types)) * UNITS)
            for value in node.inputs:
                if value.node in again:
                    network.bond(again[node], kept_or_again[value.node])
        cost = network.flow() / UNITS
        beyond = network.beyond()
        kept = sum(sizes[node] for node in wanted if not beyond[kept_or_again[node]] and beyond[again[node]])
        return cost - price * left, kept

    low, high = 0.0, 1e6
    best = 0.0
    for _ in range(40):
        price = (low + high) / 2
        bound, kept = relaxed(price)
        best = max(best, bound)
        low, high = (price, high) if kept > left else (low, price)
    return best


def _upwards(nodes: Iterable[Node]) -> dict[Node, None]:
    """Return nodes and all that they depend on."""
    found = dict.fromkeys(nodes)
    stack = list(found)
    while stack:
        for value in stack.pop().inputs:
            if value.node not in found:
                found[value.node] = None
                stack.append(value.node)
    return found


def _downwards(graph: Graph, turn: Node) -> set[Node]:
    """Return a node and all that depends on it."""
    found = {turn}
    for node in graph.nodes:
        if any(value.node in found for value in node.inputs):
            found.add(node)
    return found


def _viewed(node: Node) -> Node:
    while node.op.view:
        node = node.inputs[0].node
    return node


def _bytes(node: Node) -> int:
    return 0 if isinstance(node.op, (Input, Constant)) else sum(byte_size(t) for t in node.types)


NONE_FITS = 10**9


def divided_chain(layers: int, slots: int, reads: int) -> int:
    """Return the forward steps of the best way to reverse a chain that holds what it divides at until it is read.

    As in Griewank and Walther, "Algorithm 799: revolve" (2000), by dynamic programming, in slots as our plays count
    them: a forward step holds what it reads and what it makes, a step back overwrites the last and reads one value, or
    two: what it reverses, and what that was made from. The beginning takes no slot. What is given up before it was
    read for the last time may win another step or two.
    """
    # The first step back reads what is two steps before the end where it reads one value; the last step is run once.
    return _reversed(layers, slots - 1, 0) if reads == 2 else _reversed_by_last(layers, slots - 1) + 1


@cache
def _reversed(length: int, slots: int, end_held: int) -> int:
    """Return the steps that reversing so many steps takes from their beginning; the last value may be held."""
    if length <= 1:
        return 0 if end_held or not length else 1 if slots else NONE_FITS
    found = [
        ahead + _reversed(length - ahead, slots - 1, end_held) + _reversed(ahead, slots, 1)
        for ahead in range(1, length)
        if slots - end_held >= min(ahead, 2)
    ]
    if end_held:
        found.append(_reversed(length, slots, 0))
    return min(found, default=NONE_FITS)


@cache
def _reversed_by_last(length: int, slots: int) -> int:
    """Return the same where a step back reads only the value before the one that it reverses."""
    if length <= 1:
        return 0
    return min(
        [
            ahead + _reversed_by_last(length - ahead, slots - 1) + _reversed_by_last(ahead, slots)
            for ahead in range(1, length)
            if slots >= min(ahead, 2)
        ],
        default=NONE_FITS,
    )
