"""Node: one application of an op. Value: one of its typed results."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from graphad.ir.frozen import refuse
from graphad.ir.location import Location
from graphad.ir.types import TensorType

if TYPE_CHECKING:
    from graphad.ir.op import Op

ROLES = ("forward", "backward", "tangent", "update", "recompute")

_serial = itertools.count().__next__
_new = object.__new__
new_value: Callable[[type[Value], tuple[Node, int]], Value] = tuple.__new__
"""Makes a Value in half the time that its own constructor takes."""


class _OpenNode:
    """A node while its fields are set: plain stores cost a third of a frozen dataclass's, and graphs are all nodes."""

    __slots__ = ("__weakref__", "inputs", "location", "op", "replica", "role", "scope", "serial", "types")

    op: Op
    inputs: tuple[Value, ...]
    types: tuple[TensorType, ...]
    location: Location | None
    scope: str
    role: str
    replica: int
    serial: int


class Node(_OpenNode):
    """An op applied to values; immutable, compared by identity.

    `serial` grows with creation. Inputs exist before the node that uses them, so sorting nodes by it is a topological
    order, and the user's program order where no pass has rebuilt a node.
    """

    __slots__ = ()

    def __new__(
        cls,
        op: Op,
        inputs: tuple[Value, ...],
        types: tuple[TensorType, ...],
        location: Location | None = None,
        scope: str = "",
        role: str = "forward",
        replica: int = 0,
    ) -> Node:
        """Make a node."""
        return new_node(op, inputs, types, location, scope, role, replica)

    def with_inputs(self, inputs: tuple[Value, ...]) -> Node:
        """Return a node like this one with other operands, of the same types."""
        return new_node(self.op, inputs, self.types, self.location, self.scope, self.role, self.replica)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        refuse(f"a node cannot be changed (it was asked to set {name!r})")

    def __delattr__(self, name: str) -> NoReturn:
        refuse(f"a node cannot be changed (it was asked to delete {name!r})")

    def __reduce__(self) -> tuple[type[Node], tuple[object, ...]]:
        return Node, (self.op, self.inputs, self.types, self.location, self.scope, self.role, self.replica)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """Return the values this node gives."""
        if len(self.types) == 1:
            return (new_value(Value, (self, 0)),)
        return tuple([Value(self, i) for i in range(len(self.types))])

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """Return the types of the operands."""
        return tuple([v[0].types[v[1]] for v in self.inputs])

    def __repr__(self) -> str:
        operands = ", ".join(str(t) for t in self.input_types)
        results = ", ".join(str(t) for t in self.types)
        where = f" at {self.location.short}" if self.location else ""
        return f"<{self.op.name}({operands}) -> {results}{where}>"


def new_node(
    op: Op,
    inputs: tuple[Value, ...],
    types: tuple[TensorType, ...],
    location: Location | None,
    scope: str,
    role: str,
    replica: int,
) -> Node:
    """Make a node, a fifth faster than its class does."""
    made = _new(_OpenNode)
    made.op = op
    made.inputs = inputs
    made.types = types
    made.location = location
    made.scope = scope
    made.role = role
    made.replica = replica
    made.serial = _serial()
    made.__class__ = Node  # from here on it refuses stores
    return made  # type: ignore[return-value]  # its class has just become Node


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
