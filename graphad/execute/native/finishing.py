"""Finishing: the code of epilogues, which every kind of product writes where its sums are complete.

What may enter: what the kernels of convolutions and of matrix products share of `Finished` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphad.execute.native import elementwise
from graphad.execute.native.code import Module
from graphad.execute.native.epilogues import TAKES, Finished
from graphad.execute.native.lanes import Lanes, constant
from graphad.execute.native.lowering import Lower, Lowered, lowers_step
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.shape import BroadcastTo

Array = np.ndarray[Any, Any]

_TABLE: dict[type[Op], Lower] = {}
"""Lowerings of `Finished` steps, by the class of their product."""


def finishes(product: type[Op], takes: Callable[[Node], int]) -> Callable[[Lower], Lower]:
    """Enter a function as the lowering of products of a class with epilogues; `takes` as `epilogues.TAKES` has it."""

    def enter(function: Lower) -> Lower:
        TAKES[product] = takes
        _TABLE[product] = function
        return function

    return enter


@lowers_step(Finished)
def _finished(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    assert isinstance(node.op, Finished)
    return _TABLE[type(node.op.product.op)](module, node, operands, results)


def finished(op: Finished, sums: Lanes, operands: Sequence[Lanes]) -> list[Lanes]:
    """Write an epilogue and return the results, each of as many lanes as there are sums.

    Args:
        op: whose epilogue.
        sums: results of the product.
        operands: the elements of `op.operands` at the same places: as many lanes, or one for all.
    """
    values = {Value(op.product, 0): sums, **dict(zip(op.operands, operands, strict=True))}
    for node in op.members:
        kind = DTYPE_NAMES[node.types[0].dtype]
        if isinstance(node.op, Constant):
            made = constant(sums.code, kind, node.op.array.item())
        elif isinstance(node.op, BroadcastTo):
            made = values[node.inputs[0]]
        else:
            made = elementwise.emit(node.op, *[values[v] for v in node.inputs])
        values[Value(node, 0)] = made
    return [values[v].spread(sums.count) for v in op.body.outputs]


def key_of(op: Finished) -> str:
    """Return a text that tells epilogues apart: equal texts are equal code."""
    number = {value: k for k, value in enumerate((Value(op.product, 0), *op.operands))}
    parts = [",".join(DTYPE_NAMES[v.type.dtype] for v in number)]
    for node in op.members:
        number[Value(node, 0)] = len(number)
        kind = DTYPE_NAMES[node.types[0].dtype]
        if isinstance(node.op, Constant):
            parts.append(f"{kind}:{node.op.array.tobytes().hex()}")
        elif isinstance(node.op, BroadcastTo):
            parts.append(f"={number[node.inputs[0]]}")
        else:
            parts.append(f"{node.op!r}({','.join(str(number[v]) for v in node.inputs)})")
    return ";".join([*parts, ",".join(str(number[v]) for v in op.body.outputs)])
