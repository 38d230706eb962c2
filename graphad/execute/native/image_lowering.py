"""Lowering of convolutions and sliding windows.

What may enter: how nodes of these families become the kernels of `convolution` and `pooling`. Importing it enters them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from graphad.execute.native.code import Module
from graphad.execute.native.convolution import Epilogue, Layout, convolution_kernels, finishes_vectors, of_op
from graphad.execute.native.epilogues import Finished
from graphad.execute.native.finishing import finished, finishes, key_of
from graphad.execute.native.kernel import Kernel
from graphad.execute.native.lowering import BYTES_PER_NS, FLOPS_PER_NS, Lowered, element_strides, lowers_step
from graphad.execute.native.pooling import (
    extreme_gradient_kernel,
    position_kernel,
    window_kernel,
    windows_of,
)
from graphad.execute.native.target import host
from graphad.execute.native.window_gradients import ExtremeGradient
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.convolution import Conv
from graphad.ops.windows import Window, WindowMax, WindowMin, WindowPosition, WindowSum

Array = np.ndarray[Any, Any]


COSTLIEST = 120
"""Instructions an element (`own_weight`) of an epilogue that a convolution takes."""
COSTLIEST_ONE_BY_ONE = 6
"""The same where the epilogue gets one sum at a time."""


def _taken(node: Node) -> int:
    """Return how costly an epilogue of a convolution may be."""
    op, y = node.op, node.types[0]
    assert isinstance(op, Conv)
    kind = DTYPE_NAMES.get(y.dtype)
    if kind not in ("f32", "f64") or not y.size:
        return 0
    x, w = (type_.shape for type_ in node.input_types)
    c = of_op(op, kind, x, w, y.shape)  # type: ignore[arg-type]  # native graphs are static
    return COSTLIEST if finishes_vectors(c, host().vector_bytes) else COSTLIEST_ONE_BY_ONE


@lowers_step(Conv)
def _conv(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    assert isinstance(node.op, Conv)
    return _convolved(module, node.op, operands, results, None)


@finishes(Conv, _taken)
def _finished_conv(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op = node.op
    assert isinstance(op, Finished) and isinstance(op.product.op, Conv)
    epilogue = Epilogue(key_of(op), len(op.operands), partial(finished, op))
    return _convolved(module, op.product.op, operands, results, epilogue)


def _convolved(
    module: Module, op: Conv, operands: Sequence[Array], results: Sequence[Array], epilogue: Epilogue | None
) -> Lowered | None:
    x, w, *read = operands
    kind = DTYPE_NAMES.get(x.dtype)
    if kind is None or results[0].size == 0:
        return None
    ends = [Layout(DTYPE_NAMES[a.dtype], element_strides(a)) for a in (*read, *results)]
    c = of_op(op, kind, x.shape, w.shape, results[0].shape, element_strides(x), element_strides(w), ends)
    kernels = convolution_kernels(module, c, host().vector_bytes, epilogue)
    if not kernels:
        return None
    moved = sum(a.nbytes for a in (*operands, *results))
    return Lowered(tuple(kernels), max(2.0 * c.products / FLOPS_PER_NS, moved / BYTES_PER_NS), even=True)


@lowers_step(WindowSum, WindowMax, WindowMin)
def _window(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, x, y = node.op, operands[0], results[0]
    assert isinstance(op, Window)
    kind = DTYPE_NAMES.get(x.dtype)
    if kind is None or y.size == 0:
        return None
    w = windows_of(op, kind, x.shape, element_strides(x), element_strides(y))
    return _lowered(window_kernel(module, type(op), w, host().vector_bytes), op, x, y)


@lowers_step(WindowPosition)
def _position(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, x, y = node.op, operands[0], results[0]
    assert isinstance(op, WindowPosition)
    kind = DTYPE_NAMES.get(x.dtype)
    if kind is None or y.size == 0:
        return None
    w = windows_of(op, kind, x.shape, element_strides(x), element_strides(y))
    return _lowered(position_kernel(module, w, op.largest, x.shape, host().vector_bytes), op, x, y)


@lowers_step(ExtremeGradient)
def _gradient(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, (x, g), y = node.op, operands, results[0]
    assert isinstance(op, ExtremeGradient)
    kind = DTYPE_NAMES.get(x.dtype)
    if kind is None or g.size == 0 or not y.flags.c_contiguous:
        return None
    windows = WindowPosition(op.size, op.strides, op.dilation, op.largest)
    w = windows_of(windows, kind, x.shape, element_strides(x), element_strides(g))
    return _lowered(extreme_gradient_kernel(module, w, op.largest, host().vector_bytes), windows, x, g, y)


def _lowered(kernel: Kernel | None, op: Window, *arrays: Array) -> Lowered | None:
    """Return a kernel with its expected time: of the bytes it moves, or of an element of a window each step."""
    if kernel is None:
        return None
    elements = arrays[1].size * math.prod(op.size)
    return Lowered((kernel,), max(sum(a.nbytes for a in arrays) / BYTES_PER_NS, elements / 4.0))
