"""Cheapest cut: the values to read, of all sets of values that others can be computed from, that cost least.

What flows from values that can only be read to those that are wanted, through values as wide as they are costly; of the
cheapest cuts the one next to what is wanted is taken, so that least is computed again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from graphad.plan.flow import Network

T = TypeVar("T", bound=Hashable)


def cheapest_cut(operands: Mapping[T, Sequence[T]], costs: Mapping[T, int], wanted: Sequence[T]) -> tuple[set[T], int]:
    """Return the values to read, and what they cost together.

    Args:
        operands: what each value is computed from; those that can only be read are not in it. A value without operands
            need never be read.
        costs: of reading each.
        wanted: the values that must be read or computed.
    """
    network = Network()
    known: dict[T, int] = {}

    def entered(value: T) -> int:
        """Return the node that a value's operands lead to; its readers begin at the next one."""
        at = known.get(value)
        if at is None:
            at = known[value] = network.node()
            network.edge(at, network.node(), costs[value])
            stack.append(value)
        return at

    stack: list[T] = []
    for value in wanted:
        network.bond(entered(value) + 1, network.sink)
    while stack:
        value = stack.pop()
        at = known[value]
        if value not in operands:
            network.bond(network.source, at)
        for operand in operands.get(value, ()):
            network.bond(entered(operand) + 1, at)
    cost = network.flow()
    beyond = network.beyond()
    return {value for value, at in known.items() if beyond[at + 1] and not beyond[at]}, cost
