"""Reverse mode: one walk backwards over the nodes between inputs and outputs, VJP rules, sums of cotangents.

The result is ordinary nodes, so derivatives of derivatives need nothing new. `None` means that no gradient flows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from graphad.autodiff.between import between, substitute_tensors
from graphad.ir.collector import collector_paused
from graphad.ir.emit import Emission, emitting, follow, handle
from graphad.ir.errors import DerivativeError
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.types import is_inexact
from graphad.ops.arithmetic import Mul
from graphad.ops.shape import BroadcastTo
from graphad.tracing.tensor import Tensor

if TYPE_CHECKING:
    from graphad.autodiff.checkpointing import Recomputation
    from graphad.autodiff.templates import Templates


@collector_paused()
def pullback(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    role: str = "backward",
) -> list[Tensor | None]:
    """Return ``sum over outputs of cotangent * d output / d input`` for each of `inputs`.

    Args:
        outputs: tensors that may depend on `inputs`.
        cotangents: one an output, of its type, or None for zero.
        inputs: any tensors, also intermediate ones; where one depends on another, that one's gradient goes through it.
        role: role of the nodes made; they carry the line and scope of the forward node they derive from.

    Returns:
        A tensor of each input's type, or None where no gradient flows (independent, integer or stopped).

    Raises:
        DerivativeError: an op on the way has no VJP rule; names the op and the user's line.
    """
    wanted = {t.value for t in inputs}
    nodes = _differentiable(between([t.value for t in outputs], wanted), wanted)
    again = _recomputation(wanted) if any(node.scope for node in nodes) else None
    active = set(nodes)
    sums: dict[Value, Tensor] = {}
    with emitting(role) as here:
        templates = _templates(here) if len(nodes) >= MANY else None
        for output, cotangent in zip(outputs, cotangents, strict=True):
            if cotangent is not None and is_inexact(output.dtype):
                _expect_type(cotangent, output.value, output.value.node, "the given cotangent")
                follow(output.value.node)
                _add_to(sums, output.value, cotangent)
        for node in reversed(nodes):
            results = node.outputs
            if sums.keys().isdisjoint(results):
                continue
            received: tuple[Tensor | None, ...]
            if len(results) == 1 and results[0] not in wanted:
                received = (sums.pop(results[0]),)
            else:
                received = tuple([sums.get(v) if v in wanted else sums.pop(v, None) for v in results])
            given = None if templates is None else templates.pulled(node, received[0], results)
            if given is None:
                given = pull_node(node, received, again, templates)
            for value, pulled in zip(node.inputs, given, strict=True):
                maker = value[0]
                if pulled is None or not (maker in active or value in wanted):
                    continue
                type_ = maker.types[value[1]]
                if type_.dtype.kind in "fc" or is_inexact(type_.dtype):
                    made = pulled.value
                    if made[0].types[made[1]] is not type_:
                        _expect_type(pulled, value, node, "the VJP rule's cotangent")
                    known = sums.get(value)
                    if known is None:
                        sums[value] = pulled
                    elif templates is None:
                        follow(node)
                        sums[value] = known + pulled
                    else:
                        sums[value] = templates.sum(known, pulled, node)
    return [sums.get(t.value) for t in inputs]


MANY = 100
"""Nodes to walk over from which some are enough alike for rules by template to pay."""


def _recomputation(kept: Collection[Value]) -> Recomputation:
    from graphad.autodiff.checkpointing import Recomputation

    return Recomputation(kept)


def _templates(here: Emission) -> Templates:
    from graphad.autodiff.templates import Templates

    return Templates(here)


def _differentiable(nodes: Sequence[Node], inputs: Collection[Value]) -> list[Node]:
    """Return those of `nodes` that depend on `inputs` by a path of floating-point values that no op stops."""
    active: set[Node] = set()
    found: list[Node] = []
    for node in nodes:
        if node.op.no_gradient:
            continue
        for value in node.inputs:
            if (value[0] in active or value in inputs) and value[0].types[value[1]].dtype.kind in "fcV":
                active.add(node)
                found.append(node)
                break
    return found


def pull_node(
    node: Node,
    cotangents: tuple[Tensor | None, ...],
    again: Recomputation | None = None,
    templates: Templates | None = None,
) -> Sequence[Tensor | None]:
    """Apply the VJP rule of one node, reading what `again` computes anew; DerivativeError where there is no rule."""
    op = node.op
    by_template = templates is not None and templates.fits(op) and type(cotangents[0]) is Tensor
    if not by_template:
        if op.no_gradient:
            return (None,) * len(node.inputs)
        if not type(op).has_rule("vjp"):
            raise _no_derivative(node, "it has no VJP rule")
    read: Sequence[Value] = node.inputs
    made: Sequence[Value] = node.outputs
    if again is not None and node.scope:
        read = [again.seen_from(node, value) for value in read]
        made = [again.seen_from(node, value) for value in made]
    if type(op) is Mul and _is_one(cotangents[0]) and not any(value[0].op.name == "log" for value in read):
        # Where the product that differentiation begins with is left out, no pass need rebuild what is made of it.
        # Beside a logarithm it stays: by it `stabilize` knows the derivative of x log(x).
        return handle(read[1]), handle(read[0])
    slots = None
    if by_template:
        assert templates is not None and cotangents[0] is not None
        slots = [cotangents[0].value, *read, *made]
        again_made = templates.apply(node, slots)
        if again_made is not None:
            return again_made
    follow(node)
    operands = tuple([handle(value) for value in read])
    results = tuple([handle(value) for value in made])
    try:
        pulled = op.vjp(cotangents, operands, results)
    except DerivativeError as error:
        if error.location is not None:
            raise
        raise _no_derivative(node, error.message) from error
    if slots is not None and templates is not None:
        templates.learn(node, slots, pulled)
    return pulled


def _is_one(cotangent: Tensor | None) -> bool:
    """Tell whether a cotangent is a constant 1, repeated or not."""
    if cotangent is None:
        return False
    node = cotangent.value[0]
    if type(node.op) is BroadcastTo:
        node = node.inputs[0][0]
    return type(node.op) is Constant and node.op.array.ndim == 0 and bool(node.op.array == 1)


def transpose_linear(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor | None], inputs: Sequence[Tensor], role: str
) -> list[Tensor | None]:
    """Pull `cotangents` back through outputs that are linear in `inputs`, and keep no use of `inputs`.

    The transpose of a linear map is the same wherever it is taken, so uses of `inputs` that remain are taken at zero.
    """
    pulled = pullback(outputs, cotangents, inputs, role)
    found = [t for t in pulled if t is not None]
    if between([t.value for t in found], [t.value for t in inputs]):
        found = substitute_tensors(found, inputs, [t.zeros_like() for t in inputs])
    supply = iter(found)
    return [None if t is None else next(supply) for t in pulled]


def _add_to(sums: dict[Value, Tensor], value: Value, term: Tensor) -> None:
    known = sums.get(value)
    sums[value] = term if known is None else known + term


def _expect_type(cotangent: Tensor, value: Value, node: Node, what: str) -> None:
    made = cotangent.value
    given, wanted = made[0].types[made[1]], value[0].types[value[1]]
    if given is not wanted and given != wanted:
        raise DerivativeError(
            f"{node.op.name}: {what} has the type {cotangent.type}, but the value it belongs to is {value.type}",
            location=node.location,
        )


def _no_derivative(node: Node, reason: str) -> DerivativeError:
    operands = ", ".join(str(t) for t in node.input_types)
    return DerivativeError(
        f"cannot differentiate {node.op.name}({operands}): {reason}. Give it one with ga.custom_vjp, "
        "or keep the gradient out with ga.stop_gradient",
        location=node.location,
    )
