"""Node: one application of an op. Value: one of its typed results."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from graphad.ir.location import Location
from graphad.ir.types import TensorType

if TYPE_CHECKING:
    from graphad.ir.op import Op

ROLES = ("forward", "backward", "tangent", "update", "recompute")

_serial = itertools.count().__next__


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class Node:
    """An op applied to values; immutable, compared by identity.

    `serial` grows with creation. Inputs exist before the node that uses them, so sorting nodes by it is a topological
    order, and the user's program order where no pass has rebuilt a node.
    """

    op: Op
    inputs: tuple[Value, ...]
    types: tuple[TensorType, ...]
    location: Location | None = None
    scope: str = ""
    role: str = "forward"
    replica: int = 0
    serial: int = field(default_factory=_serial)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """Return the values this node gives."""
        return tuple(Value(self, i) for i in range(len(self.types)))

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """Return the types of the operands."""
        return tuple(v.node.types[v.index] for v in self.inputs)

    def __repr__(self) -> str:
        operands = ", ".join(str(t) for t in self.input_types)
        results = ", ".join(str(t) for t in self.types)
        where = f" at {self.location.short}" if self.location else ""
        return f"<{self.op.name}({operands}) -> {results}{where}>"


class Value(NamedTuple):
    """Result `index` of `node`: the key that passes use; equal when node and index are the same.

    A named tuple, because hashing one costs a third of what a frozen dataclass's generated `__hash__` does, and
    because a node that held its own values would be a reference cycle that keeps big constants alive.
    """

    node: Node
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody wants of a value

    @property
    def type(self) -> TensorType:
        """Return the type of the value."""
        return self.node.types[self.index]

    def __repr__(self) -> str:
        return f"Value({self.node!r}, {self.index})"
