"""Lowering of matrix products with epilogues.

What may enter: how `Finished` products become kernels, and which products take which epilogues. Importing it enters
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from graphad.execute.native import products
from graphad.execute.native.accumulation import Accumulate
from graphad.execute.native.code import Module
from graphad.execute.native.epilogues import Finished
from graphad.execute.native.finishing import finished, finishes, key_of
from graphad.execute.native.lowering import FLOPS_PER_NS, Lowered, element_strides, moving_nanoseconds, product_of
from graphad.execute.native.product_ends import End, Epilogue
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.product import Matmul

Array = np.ndarray[Any, Any]

COSTLIEST = 160
"""Instructions an element (`own_weight`) of an epilogue that a product takes."""

AXES = 3
"""Axes of a product that takes epilogues, at most: the matrices of longer stacks may lie unevenly."""


def _work(node: Node) -> int:
    """Return how costly an epilogue of a product may be."""
    a, made = node.inputs[0].type, node.types[0]
    if made.dtype not in (np.float32, np.float64) or made.ndim > AXES or not made.size:
        return 0
    m, n, k = int(made.shape[-2]), int(made.shape[-1]), int(a.shape[-1])
    return COSTLIEST if products.takes_epilogues(m, n, k) else 0


@finishes(Matmul, _work)
def _finished_matmul(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    a, b, *read = operands
    return _finished(module, node.op, (a, b), None, read, results)


@finishes(Accumulate, _work)
def _finished_sum(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    a, b, c0, *read = operands
    return _finished(module, node.op, (a, b), c0, read, results)


def _finished(
    module: Module, op: Any, factors: tuple[Array, Array], addend: Array | None, read: Sequence[Array],
    results: Sequence[Array],
) -> Lowered | None:  # fmt: skip
    assert isinstance(op, Finished)
    like = next((x for x in results if x.dtype == factors[0].dtype), None)
    kept = np.empty(results[0].shape, factors[0].dtype) if like is None else like
    product = product_of(*factors, kept)
    if product is None:
        return None
    if addend is not None:
        assert isinstance(op.product.op, Accumulate)
        rows, columns = element_strides(addend)
        product = replace(product, alpha=op.product.op.factor, beta=1.0, strides_c0=(0, rows, columns))
    epilogue = Epilogue(key_of(op), tuple(map(_end, read)), tuple(map(_end, results)), partial(finished, op))
    kernel = products.finished_kernel(module, product, epilogue)
    arrays = [*factors, *read, *results, *([] if addend is None else [addend])]
    flops = 2.0 * product.batch * product.m * product.n * product.k
    return Lowered((kernel,), max(flops / FLOPS_PER_NS, moving_nanoseconds(sum(x.nbytes for x in arrays))))


def _end(x: Array) -> End:
    strides = element_strides(x)
    return End(DTYPE_NAMES[x.dtype], (strides[0] if x.ndim == 3 else 0, strides[-2], strides[-1]))
