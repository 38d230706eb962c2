"""Forward mode: tangents pushed from inputs to outputs by JVP rules; double VJP where an op has none."""

from __future__ import annotations

from collections.abc import Sequence

from graphad.autodiff.between import between
from graphad.autodiff.reverse import pull_node, transpose_linear
from graphad.ir.emit import emitting, follow, handle
from graphad.ir.errors import DerivativeError
from graphad.ir.node import Node, Value
from graphad.ir.types import is_inexact
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import make_input


def pushforward(
    outputs: Sequence[Tensor], tangents: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """Return ``sum over inputs of d output / d input * tangent`` for each of `outputs`.

    Args:
        outputs: tensors that may depend on `inputs`.
        tangents: one an input, of its type, or None for zero.
        inputs: distinct tensors, none of which depends on another.

    Returns:
        A tensor of each output's type, or None for zero. The nodes made have the role "tangent".

    Raises:
        DerivativeError: an op on the way has neither a JVP nor a VJP rule; names the op and the user's line.
    """
    known: dict[Value, Tensor] = {}
    for value, tangent in zip(inputs, tangents, strict=True):
        if tangent is not None and is_inexact(value.dtype):
            if tangent.type != value.type:
                raise DerivativeError(f"a tangent of type {tangent.type} was given for a value of {value.type}")
            known[value.value] = tangent
    with emitting("tangent"):
        for node in between([t.value for t in outputs], known.keys()):
            received = tuple([known.get(value) for value in node.inputs])
            if all(t is None for t in received):
                continue
            follow(node)
            for i, pushed in enumerate(_push_node(node, received)):
                if pushed is not None and is_inexact(node.types[i].dtype):
                    if pushed.type != node.types[i]:
                        raise DerivativeError(
                            f"{node.op.name}: the JVP rule's tangent has the type {pushed.type}, not {node.types[i]}",
                            location=node.location,
                        )
                    known[Value(node, i)] = pushed
    return [known.get(t.value) for t in outputs]


def _push_node(node: Node, tangents: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """Apply the JVP rule of one node, or the transpose of its VJP rule."""
    op = node.op
    if op.no_gradient:
        return (None,) * len(node.types)
    if not type(op).has_rule("jvp"):
        return _push_by_double_vjp(node, tangents)
    operands = tuple([handle(value) for value in node.inputs])
    results = tuple([handle(Value(node, i)) for i in range(len(node.types))])
    return op.jvp(tangents, operands, results)


def _push_by_double_vjp(node: Node, tangents: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """Return J t as the transpose of the linear map g -> J^T g that the VJP rule is."""
    stand_ins = tuple(
        make_input(f"cotangent{i}", type_) if is_inexact(type_.dtype) else None for i, type_ in enumerate(node.types)
    )
    pulled = pull_node(node, stand_ins)
    pairs = [(p, t) for p, t in zip(pulled, tangents, strict=True) if p is not None and t is not None]
    given = [s for s in stand_ins if s is not None]
    pushed = iter(transpose_linear([p for p, _ in pairs], [t for _, t in pairs], given, "tangent"))
    return tuple(None if s is None else next(pushed) for s in stand_ins)
