"""Order: sorted elements, the permutations that sort, and positions in sorted arrays.

Ops that compare elements to place them may enter here. NaN counts as larger than any number, as in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, Size, at_least, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General
from graphad.ir.samples import booleans, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.creation import POSITION, iota, zeros
from graphad.ops.indexing import gather, scatter_set
from graphad.ops.shape import batch_size, check_axes, same_shape, spread

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Sort(General):
    """The elements along one axis in ascending order; equal ones keep their order, as far as derivatives go."""

    axis: int

    in_place, may_raise = True, False
    samples = (
        sample(real(3, 4, distinct=True), axis=1),
        sample(real(4, 2, distinct=True), axis=0),
        sample(real(2, 1), axis=1),
        sample(real(2, 0), axis=1),
        sample(real(3, 2, dtype="float32", distinct=True), axis=0),
        sample(real(4, low=1.0, high=1.0), axis=0, smooth=False),
        sample(integers(5), axis=0),
        sample(booleans(2, 3), axis=1),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        return x

    def evaluate(self, x: Array) -> Array:
        return np.sort(x, axis=self.axis)

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        np.copyto(out[0], x)
        out[0].sort(axis=self.axis)

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """One line and room to merge in: with a single line, twice the result."""
        return 2 * sum([int(t.nbytes) for t in results])

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        if g is None:
            return (None,)
        return (take_along(g, inverse_permutation(argsort(operands[0], self.axis), self.axis), self.axis),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        (t,) = tangents
        return (None if t is None else take_along(t, argsort(operands[0], self.axis), self.axis),)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return sort(x, self.axis + 1)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return comparisons(operands[0], self.axis)


def comparisons(x: TensorType, axis: int) -> Dim:
    """Return about how many comparisons sort x along an axis: log2 of its size an element."""
    n = x.shape[axis]
    return x.size * (1 if isinstance(n, Size) else max(1, n.bit_length()))


@frozen
class ArgSort(General):
    """Positions along one axis of the elements in ascending order; equal ones keep their order."""

    axis: int

    name = "argsort"
    no_gradient, may_raise, copies = "its result is an integer", False, 1.5
    samples = (
        sample(real(3, 4), axis=1),
        sample(real(4, 2), axis=0),
        sample(real(2, 1), axis=1),
        sample(real(2, 0), axis=1),
        sample(integers(6, low=0, high=3), axis=0),
        sample(booleans(2, 5), axis=1),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        return x.with_dtype(POSITION)

    def evaluate(self, x: Array) -> Array:
        return np.argsort(x, axis=self.axis, kind="stable").astype(POSITION, copy=False)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return argsort(x, self.axis + 1)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return comparisons(operands[0], self.axis)


@frozen
class ArgPartition(General):
    """Positions along one axis, arranged so that those at `kth` are where sorting would put them.

    Smaller elements lie before each of them, larger ones behind it, in an order that only the executor knows.
    """

    axis: int
    kth: tuple[int, ...]

    name = "argpartition"
    no_gradient, may_raise, copies = "its result is an integer", False, 1.5
    samples = (
        sample(real(3, 4), axis=1, kth=(1,)),
        sample(real(5, 2), axis=0, kth=(0, 3)),
        sample(real(2, 1), axis=1, kth=(0,)),
        sample(integers(6, low=0, high=3), axis=0, kth=(2,)),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        if not all(k >= 0 and at_least(x.shape[self.axis], k + 1) for k in self.kth):
            fail(f"places {self.kth} are outside axis {self.axis} of {x}")
        return x.with_dtype(POSITION)

    def evaluate(self, x: Array) -> Array:
        return np.argpartition(x, self.kth, axis=self.axis).astype(POSITION, copy=False)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return argpartition(x, self.axis + 1, self.kth)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size


@frozen
class SearchSorted(General):
    """How many elements of the sorted a are smaller than v; with `or_equal`, smaller or equal.

    a is [*batch, n] and v [*batch, ...], with as many batch axes as a has beyond one.
    """

    or_equal: bool = False

    name = "searchsorted"
    no_gradient, may_raise, copies = "its result is an integer", False, 1.5
    samples = (
        sample(real(5, low=0.0, high=0.0), real(2, 3)),
        sample(real(1), real(), or_equal=True),
        sample(real(0), real(3)),
        sample(integers(3, low=1, high=2), integers(4, low=0, high=3)),
        sample(integers(3, low=1, high=2), integers(4, low=0, high=3), or_equal=True),
        sample(real(2, 4, low=1.0, high=1.0), real(2, 3)),
        sample(real(2, 3, 1), real(2, 3)),
    )

    def infer(self, a: TensorType, v: TensorType) -> TensorType:
        if a.dtype != v.dtype:
            fail("operands must have one dtype")
        count = a.ndim - 1
        if count < 0 or v.ndim < count or not same_shape(a.shape[:-1], v.shape[:count]):
            fail("operands must be [*batch, n] and [*batch, ...]")
        return v.with_dtype(POSITION)

    def evaluate(self, a: Array, v: Array) -> Array:
        found = np.empty(v.shape, POSITION)
        side: Any = "right" if self.or_equal else "left"
        for at in np.ndindex(a.shape[:-1]):
            found[at] = np.searchsorted(a[at], v[at], side)
        return found

    def batch(self, batched: tuple[bool, ...], a: Tensor, v: Tensor) -> Tensor:
        if batched == (False, True) and a.ndim == 1:
            return apply(self, a, v)
        a, v = spread(batch_size(batched, (a, v)), batched, (a, v))
        return apply(self, a, v)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        n = operands[0].shape[-1]
        return results[0].size * (1 if isinstance(n, Size) else max(1, static(n).bit_length()))


def sort(x: Tensor, axis: int) -> Tensor:
    """Return the elements of x in ascending order along `axis`."""
    return apply(Sort(axis), x)


def argsort(x: Tensor, axis: int) -> Tensor:
    """Return the i64 positions that sort x along `axis`, stably."""
    return apply(ArgSort(axis), x)


def argpartition(x: Tensor, axis: int, kth: tuple[int, ...]) -> Tensor:
    """Return i64 positions along `axis`, those at `kth` as sorting would give them."""
    return apply(ArgPartition(axis, kth), x)


def searchsorted(a: Tensor, v: Tensor, or_equal: bool = False) -> Tensor:
    """Return the i64 number of elements of each sorted row of a that are smaller than (or equal to) each of v."""
    return apply(SearchSorted(or_equal), a, v)


def addresses(index: Tensor, axis: int) -> list[Tensor]:
    """Return index tensors for every axis: `index` along `axis`, the own position along all others."""
    return [index if k == axis else iota(index.shape, k, POSITION) for k in range(index.ndim)]


def take_along(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Return y[i, k, j] = x[i, index[i, k, j], j] for k along `axis`; all other axes of the two are equal."""
    return gather(x, addresses(index, axis))


def inverse_permutation(order: Tensor, axis: int) -> Tensor:
    """Return for each position along `axis` where in the permutation `order` it stands."""
    return scatter_set(zeros(order.shape, POSITION), addresses(order, axis), iota(order.shape, axis, POSITION))
