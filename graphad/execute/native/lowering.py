"""Lowering: what native code a step of a plan becomes, given where its operands and results lie.

What may enter: for each kind of node, the choice of its kernels. A node without an entry is a host step: the op's own
NumPy evaluation, between two native runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphad.execute.native import products
from graphad.execute.native.accumulation import Accumulate
from graphad.execute.native.addresses import SafeScatterAdd, SafeScatterSet
from graphad.execute.native.code import Module
from graphad.execute.native.elementwise import KINDS
from graphad.execute.native.kernel import Kernel
from graphad.execute.native.nest import Nest
from graphad.execute.native.nest_building import nest_of
from graphad.execute.native.nest_code import nest_kernels, partial_bytes
from graphad.execute.native.regions import NONE, Region
from graphad.execute.native.scattering import Scatter, scatter_kernel
from graphad.ir.frozen import frozen, replace
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES, TensorType
from graphad.ops.joining import Concatenate
from graphad.ops.product import Matmul
from graphad.ops.shape import Reshape
from graphad.ops.slicing import UpdateSlice

Array = np.ndarray[Any, Any]

INSTRUCTIONS_PER_NS = 4.0
"""Vector instructions that a thread completes a nanosecond, for estimates of work."""
BYTES_PER_NS = 12.0
"""Bytes that a thread moves a nanosecond to and from memory."""
CACHED_BYTES_PER_NS = 50.0
"""The same where everything fits the second-level cache."""
CACHE_BYTES = 1 << 18
FLOPS_PER_NS = 80.0


@frozen(slots=True)
class Lowered:
    """The native form of a step.

    Attributes:
        kernels: run one after the other, each when all threads have finished the one before.
        nanoseconds: expected time of one thread.
        workspace: bytes of one more buffer, behind the results, that the kernels share.
        even: the kernels take equal parts of the time; else nearly all of it is the first's.
    """

    kernels: tuple[Kernel, ...]
    nanoseconds: float
    workspace: int = 0
    even: bool = False

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the part of the time that each kernel takes."""
        if self.even:
            return (1.0 / len(self.kernels),) * len(self.kernels)
        return (1.0, *(0.0 for _ in self.kernels[1:]))


Lower = Callable[[Module, Node, Sequence[Array], Sequence[Array]], Lowered | None]

_TABLE: dict[type[Op], Lower] = {}


def lowers_step(*classes: type[Op]) -> Callable[[Lower], Lower]:
    """Enter a function as the lowering of steps of these classes."""

    def enter(function: Lower) -> Lower:
        for cls in classes:
            _TABLE[cls] = function
        return function

    return enter


def lowered(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    """Enter the kernels of a step into the module and return their use; None where the op has no native code.

    The arrays tell types and strides only.
    """
    found = _TABLE.get(type(node.op))
    if found is not None:
        return found(module, node, operands, results)
    return region_lowered(module, node.op, operands, results) if isinstance(node.op, Region) else None


def element_strides(array: Array) -> tuple[int, ...]:
    """Return the strides of an array in elements."""
    return tuple([s // array.itemsize for s in array.strides])


def region_lowered(module: Module, region: Region, operands: Sequence[Array], results: Sequence[Array]) -> Lowered:
    """Enter the loop nest of a region."""
    nest = nest_of(region, [element_strides(x) for x in operands], [element_strides(x) for x in results])
    kernels = nest_kernels(module, nest)
    moved = sum(x.nbytes for x in (*operands, *results))
    time = max(nest_nanoseconds(nest), moving_nanoseconds(moved))
    return Lowered(tuple(kernels), time, partial_bytes(nest) if len(kernels) > 1 else 0)


def nest_nanoseconds(nest: Nest) -> float:
    """Return the expected time of a nest on one thread."""
    return nest.work() / max(nest.lanes, 1) / INSTRUCTIONS_PER_NS


def moving_nanoseconds(nbytes: int) -> float:
    """Return the expected time in which a thread reads or writes so many bytes."""
    return nbytes / (CACHED_BYTES_PER_NS if nbytes <= CACHE_BYTES else BYTES_PER_NS)


def lowered_copy(module: Module, source: Array, target: Array) -> Lowered | None:
    """Enter a copy between arrays of one shape; None for element types that native code does not move."""
    moved = source.dtype.itemsize
    if moved not in (1, 2, 4, 8) or not source.size:
        return None
    type_ = TensorType(np.dtype(f"uint{8 * moved}"), source.shape)
    frame = [n for n in source.shape if n != 1]
    axes = iter(range(len(frame)))
    anchor = tuple([NONE if n == 1 else next(axes) for n in source.shape])
    leaf = Node(Input("x", type_), (), (type_,), None, "", "forward", 0)
    value = Value(leaf, 0)
    body = Graph("copy", (value,), (value,), ("x",), ("out",), *flat_containers(1, 1))
    return region_lowered(module, Region(body, tuple(frame), (), (anchor,)), [source], [target])


@lowers_step(Reshape)
def _reshape(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    """A reshape that moves elements: its operand, in order, into its result."""
    return lowered_copy(module, operands[0], results[0].reshape(operands[0].shape))


@lowers_step(Matmul)
def _matmul(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    product = product_of(operands[0], operands[1], results[0])
    if product is None:
        return None
    return _product_lowered(module, product, (*operands, *results))


def _product_lowered(module: Module, product: products.Product, arrays: Sequence[Array]) -> Lowered:
    kernel = products.product_kernel(module, product)
    flops = 2.0 * product.batch * product.m * product.n * product.k
    moved = sum(x.nbytes for x in arrays)
    return Lowered((kernel,), max(flops / FLOPS_PER_NS, moving_nanoseconds(moved)))


@lowers_step(SafeScatterAdd, SafeScatterSet)
def _scatter(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    """A scatter into a result that holds its first operand already (`moves` puts it there)."""
    _, updates, *indices = operands
    kind = DTYPE_NAMES[results[0].dtype]
    parts = _matrix(updates, indices[0].ndim)
    dense = all(x.flags.c_contiguous and x.dtype == np.int64 for x in indices)
    if kind not in KINDS or not dense or parts is None:
        return None
    steps = element_strides(results[0])[: len(indices)]
    (count, part), (between, along) = parts.shape, element_strides(parts)
    scatter = Scatter(kind, isinstance(node.op, SafeScatterAdd), steps, count, part, (between, along))
    return Lowered((scatter_kernel(module, scatter),), (updates.nbytes + 20.0 * indices[0].size) / BYTES_PER_NS)


def _matrix(x: Array, axes: int) -> Array | None:
    """Return an array as a view of two axes, the first for so many leading ones; None where it would take a copy."""
    try:
        return np.reshape(x, (int(np.prod(x.shape[:axes])), int(np.prod(x.shape[axes:]))), copy=False)
    except ValueError:
        return None


def moves(node: Node) -> list[tuple[int, Callable[[Array], Array]]] | None:
    """Return the copies that a step consists of, or begins with: an operand, and the part of the result it goes to.

    None where it does not begin with copies.
    """
    op = node.op
    if isinstance(op, Concatenate):
        found: list[tuple[int, Callable[[Array], Array]]] = []
        start = 0
        for k, value in enumerate(node.inputs):
            stop = start + int(value.type.shape[op.axis])
            if stop > start:
                found.append((k, _part(op.axis, start, stop)))
            start = stop
        return found
    if isinstance(op, UpdateSlice):
        index = (..., *(slice(int(a), int(b), s) for a, b, s in zip(op.starts, op.stops, op.steps, strict=True)))
        return [(0, lambda y: y), (1, lambda y: y[index])]
    if isinstance(op, (SafeScatterAdd, SafeScatterSet)):
        return [(0, lambda y: y)]
    return None


def _part(axis: int, start: int, stop: int) -> Callable[[Array], Array]:
    return lambda y: y[(slice(None),) * axis + (slice(start, stop),)]


@lowers_step(Accumulate)
def _accumulate(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    a, b, c0 = operands
    product = product_of(a, b, results[0])
    if product is None:
        return None
    assert isinstance(node.op, Accumulate)
    rows, columns = element_strides(c0)
    product = replace(product, alpha=node.op.factor, beta=1.0, strides_c0=(0, rows, columns))
    return _product_lowered(module, product, (*operands, *results))


def product_of(a: Array, b: Array, c: Array) -> products.Product | None:
    """Describe ``c = a @ b``; None where native code does not compute it."""
    kind = DTYPE_NAMES.get(c.dtype)
    if kind not in ("f32", "f64") or c.size == 0 or a.shape[-1] == 0:
        return None
    found = [_stacked(x) for x in (a, b, c)]
    if any(x is None for x in found):
        return None
    strides_a, strides_b, strides_c = ((s // c.itemsize for s in x.strides) for x in found if x is not None)
    batch = int(np.prod(c.shape[:-2]))
    return products.Product(
        kind,
        batch,
        c.shape[-2],
        c.shape[-1],
        a.shape[-1],
        tuple(strides_a),  # type: ignore[arg-type]  # three axes
        tuple(strides_b),  # type: ignore[arg-type]
        tuple(strides_c),  # type: ignore[arg-type]
    )


def separate_batches(operands: Sequence[Array], result: Array) -> int:
    """Return how many leading axes of a product must be taken one index at a time: its matrices do not lie evenly."""
    return next(
        n for n in range(result.ndim - 1) if all(_stacked(_first(x, n)) is not None for x in (*operands, result))
    )


def _first(x: Array, axes: int) -> Array:
    return np.asarray(x[(0,) * axes])


def _stacked(x: Array) -> Array | None:
    """Return a stack of matrices as a view with one leading axis; None where it would take a copy."""
    if x.ndim == 2:
        return x[None]
    if x.ndim == 3:
        return x
    shape = (int(np.prod(x.shape[:-2])), *x.shape[-2:])
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return None
