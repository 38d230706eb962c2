"""Making nodes: there is no trace stack; applying an op makes a node.

What a node records beside its op and operands (user line, scope, role, replica) comes from the thread's `emission`.
Transformations set it while they emit, so that a derived node names the user's line of the node it came from.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphad.ir.errors import OpTypeError, RuleViolation
from graphad.ir.location import Location, user_location
from graphad.ir.node import ROLES, Node, Value, new_node, new_value
from graphad.ir.types import DType, TensorType

if TYPE_CHECKING:
    from graphad.ir.dims import Dim
    from graphad.ir.op import Op
    from graphad.tracing.tensor import Tensor

_EMPTY = ""


class Emission(threading.local):
    """What the nodes made by this thread record; `location` None means: look the user's line up."""

    scope: str = _EMPTY
    role: str = "forward"
    replica: int = 0
    location: Location | None = None


emission = Emission()


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Put the nodes made inside under the path `name` ("encoder"; nested scopes join with "/")."""
    if not name or any(c in name for c in '/"\\\n'):
        raise ValueError(f"a scope name must be non-empty, without / or quotes, got {name!r}")
    outer = emission.scope
    emission.scope = f"{outer}/{name}" if outer else name
    try:
        yield
    finally:
        emission.scope = outer


@contextmanager
def role(name: str) -> Iterator[None]:
    """Give the nodes made inside a role, one of `ROLES`: an optimiser's arithmetic is "update"."""
    if name not in ROLES:
        raise ValueError(f"a role is one of {', '.join(ROLES)}, got {name!r}")
    with emitting(name):
        yield


@contextmanager
def emitting(role: str | None = None, location: Location | None = None) -> Iterator[Emission]:
    """Give the nodes made inside a role (and a location); restores everything at the end.

    The yielded `emission` may be pointed at one node after another with `follow`, which costs nothing a node.
    """
    saved = (emission.scope, emission.role, emission.replica, emission.location)
    if role is not None:
        emission.role = role
    if location is not None:
        emission.location = location
    try:
        yield emission
    finally:
        emission.scope, emission.role, emission.replica, emission.location = saved


def follow(node: Node) -> None:
    """Let the nodes made from now on name the location and scope of `node` (inside `emitting`)."""
    emission.location = node.location
    emission.scope = node.scope


def emit(op: Op, inputs: tuple[Value, ...]) -> Node:
    """Make a node: infer its types, and record line, scope and role.

    Raises OpTypeError with the op, the operand types and the user's line where the type rule refuses.
    """
    here = emission
    location = here.location
    if location is None:
        location = user_location()
    try:
        types = op.infer(*[v[0].types[v[1]] for v in inputs])
    except RuleViolation as violation:
        operands = ", ".join(str(v.type) for v in inputs)
        raise OpTypeError(f"{op.name}({operands}): {violation}", location=location) from None
    if not isinstance(types, tuple):
        types = _SINGLE.get((types.dtype, types.shape)) or _single(types)
    return new_node(op, inputs, types, location, here.scope, here.role, here.replica)


def emit_of_types(op: Op, inputs: tuple[Value, ...], types: tuple[TensorType, ...]) -> Tensor:
    """Apply an op with one result to the values of plain tensors, where its types are known already."""
    here = emission
    location = here.location
    if location is None:
        location = user_location()
    node = new_node(op, inputs, types, location, here.scope, here.role, here.replica)
    return _tensor[0](new_value(Value, (node, 0)))


_SINGLE: dict[tuple[DType, tuple[Dim, ...]], tuple[TensorType]] = {}
"""The types of nodes with one result, one object for each: graphs have few, and comparisons then look no further."""
_MOST_TYPES = 10_000


def _single(type_: TensorType) -> tuple[TensorType]:
    if len(_SINGLE) >= _MOST_TYPES:
        _SINGLE.clear()
    return _SINGLE.setdefault((type_.dtype, type_.shape), (type_,))


_tensor: list[type[Tensor]] = []


def set_tensor_class(cls: type[Tensor]) -> None:
    """Name the handle that `apply` gives; `graphad.tracing` does this once, so that rules below it can use it."""
    _tensor[:] = [cls]


def handle(value: Value) -> Tensor:
    """Wrap a value in the plain handle."""
    return _tensor[0](value)


def _handle_class(operands: tuple[Tensor, ...]) -> type[Tensor]:
    plain = _tensor[0]
    for operand in operands:
        if operand.__class__ is not plain and operand.passes_on:
            return operand.__class__
    return plain


def apply(op: Op, *operands: Tensor) -> Tensor:
    """Apply an op with one result to tensors."""
    node = emit(op, tuple([t.value for t in operands]))
    return _handle_class(operands)(new_value(Value, (node, 0)))


def apply_all(op: Op, *operands: Tensor) -> tuple[Tensor, ...]:
    """Apply an op with any number of results to tensors."""
    node = emit(op, tuple([t.value for t in operands]))
    cls = _handle_class(operands)
    return tuple(cls(Value(node, i)) for i in range(len(node.types)))
