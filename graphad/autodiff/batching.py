"""Batching: the nodes between inputs and outputs again, on operands with one more axis in front.

`op.batch` says how; where an op has no such rule the batch is unrolled: slice, apply, stack. Values that do not depend
on a batched input are shared, not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import graphad.ops as ops
from graphad.autodiff.between import between
from graphad.ir.dims import Dim, Size
from graphad.ir.emit import apply_all, emitting, handle
from graphad.ir.errors import GraphadError, SymbolicSizeError
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import make_input


def batch_values(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], batches: Sequence[Tensor], size: Dim
) -> list[tuple[Tensor, bool]]:
    """Return `outputs` computed for a batch of `inputs`.

    Args:
        outputs: tensors that may depend on `inputs`.
        inputs: distinct tensors.
        batches: for each input a tensor of its type with one more axis, of size `size`, in front.
        size: the batch size; 0 and 1 are sizes like others, a symbolic one needs a rule in every op on the way.

    Returns:
        For each output the tensor and whether it has the batch axis (in front); without it, it does not depend on
        `inputs`.
    """
    batched: dict[Value, Tensor] = {t.value: b for t, b in zip(inputs, batches, strict=True)}
    with emitting() as here:
        for node in between([t.value for t in outputs], batched.keys()):
            here.location, here.scope, here.role, here.replica = (
                node.location,
                node.scope,
                node.role,
                node.replica,
            )
            flags = tuple([value in batched for value in node.inputs])
            operands = tuple([batched[value] if value in batched else handle(value) for value in node.inputs])
            for i, result in enumerate(_batch_node(node, flags, operands, size)):
                batched[Value(node, i)] = result
    return [(batched[t.value], True) if t.value in batched else (t, False) for t in outputs]


def with_batch_axis(x: Tensor, size: Dim) -> Tensor:
    """Return x repeated along a new leading axis of `size`."""
    return ops.broadcast_to(x, (size, *x.shape))


def batch_graph(graph: Graph, size: Dim) -> Graph:
    """Return the graph whose inputs and outputs all have one more axis, of `size`, in front."""
    stand_ins = [
        make_input(name, type_.with_shape((size, *type_.shape)))
        for name, type_ in zip(graph.input_names, graph.input_types, strict=True)
    ]
    results = batch_values(
        [handle(value) for value in graph.outputs], [handle(v) for v in graph.inputs], stand_ins, size
    )
    outputs = [t if has else with_batch_axis(t, size) for t, has in results]
    return Graph(
        graph.name,
        tuple(t.value for t in stand_ins),
        tuple(t.value for t in outputs),
        graph.input_names,
        graph.output_names,
        graph.input_container,
        graph.output_container,
        assumptions=graph.assumptions,
    )


def _batch_node(node: Node, flags: tuple[bool, ...], operands: tuple[Tensor, ...], size: Dim) -> tuple[Tensor, ...]:
    if not type(node.op).has_rule("batch"):
        return unroll(node, flags, operands, size)
    results = node.op.batch(flags, *operands)
    results = results if isinstance(results, tuple) else (results,)
    for result, type_ in zip(results, node.types, strict=True):
        if result.dtype != type_.dtype or result.shape != (size, *type_.shape):
            raise GraphadError(
                f"the batching rule of {node.op.name} gave {result.type} for a batch of {size} results {type_}",
                location=node.location,
            )
    return results


def unroll(node: Node, flags: tuple[bool, ...], operands: tuple[Tensor, ...], size: Dim) -> tuple[Tensor, ...]:
    """Apply the node's op to each element of the batch and stack the results: the fallback for any op."""
    if isinstance(size, Size):
        raise SymbolicSizeError(
            f"op {node.op.name} has no batching rule, so its batch is unrolled, but the batch size `{size}` is not "
            "known; bind it first, or map over a fixed size",
            location=node.location,
        )
    if size == 0:
        return tuple(ops.zeros((0, *type_.shape), type_.dtype) for type_ in node.types)
    each = [
        apply_all(node.op, *(_element(x, k) if has else x for x, has in zip(operands, flags, strict=True)))
        for k in range(size)
    ]
    return tuple(ops.stack([results[i] for results in each]) for i in range(len(node.types)))


def _element(x: Tensor, k: int) -> Tensor:
    """Return ``x[k]``."""
    rest = x.shape[1:]
    ones = (1,) * x.ndim
    return ops.reshape(ops.slice_(x, (k, *(0,) * len(rest)), (k + 1, *rest), ones), rest)
