"""Reductions: ops that drop axes. Axes are non-negative and sorted; `keepdims` is a reshape of the result.

Every reduction keeps its operand's dtype (NumPy's widening of small ints in sums is a cast that the array namespace
puts before it), except `ArgMax` and `ArgMin`, which give positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphad.ir.dims import Dim, at_least
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General, Linear, Op
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import TensorType, kind_of
from graphad.ops.cast import cast
from graphad.ops.creation import POSITION
from graphad.ops.shape import broadcast_to, check_axes, reshape, transpose

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def reduced_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    """Return the type of x without `axes`; fails unless they are sorted, distinct axes of x."""
    check_axes(x, axes)
    return x.with_shape([n for k, n in enumerate(x.shape) if k not in axes])


def kept_shape(shape: Sequence[Dim], axes: Sequence[int]) -> tuple[Dim, ...]:
    """Return `shape` with size 1 at `axes`: what keepdims gives."""
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


def spread_over(y: Tensor, shape: Sequence[Dim], axes: Sequence[int]) -> Tensor:
    """Return the result y of a reduction repeated along the reduced `axes` of `shape`."""
    return broadcast_to(reshape(y, kept_shape(shape, axes)) if y.ndim else y, shape)


@frozen
class Reduction(Op, abstract=True):
    """y = x[0] o x[1] o ... over `axes`, for the binary ufunc o."""

    axes: tuple[int, ...]

    ufunc: ClassVar[np.ufunc]
    kinds: ClassVar[str] = "biufc"
    """Kinds (see `kind_of`) of the dtypes that the operand may have."""
    has_identity: ClassVar[bool] = True
    """The reduction of no elements is defined."""
    allocates = False

    def infer(self, x: TensorType) -> TensorType:
        """x without `axes`; without an identity, none of them may be empty."""
        if kind_of(x.dtype) not in self.kinds:
            fail(f"is not defined for {x.dtype}")
        result = reduced_type(x, self.axes)
        if not self.has_identity:
            refuse_empty(x, self.axes)
        return result

    def evaluate(self, x: Array) -> Array:
        """ufunc.reduce(x, axes)."""
        return np.asarray(self.ufunc.reduce(x, axis=self.axes, dtype=x.dtype))

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        """ufunc.reduce(x, axes, out=out)."""
        self.ufunc.reduce(x, axis=self.axes, dtype=x.dtype, out=out[0])

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        """The same reduction, one axis further."""
        return apply(type(self)(tuple(axis + 1 for axis in self.axes)), x)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """One an element."""
        return operands[0].size


def refuse_empty(x: TensorType, axes: Sequence[int]) -> None:
    """Fail where one of `axes` has no elements (a symbolic size is assumed to have some)."""
    for axis in axes:
        if not at_least(x.shape[axis], 1):
            fail(f"axis {axis} of {x} is empty, and there is no result for no elements")


@frozen
class Sum(Reduction, Linear):
    """y = sum of x over `axes`, in x's dtype; 0 for no elements."""

    ufunc = np.add
    samples = (
        sample(real(3, 4), axes=(0, 1)),
        sample(real(2, 3, 4), axes=(1,)),
        sample(real(3), axes=()),
        sample(real(), axes=()),
        sample(real(1, 0, 3), axes=(1,)),
        sample(real(2, 1), axes=(1,)),
        sample(real(3, 2, dtype="float32"), axes=(0,)),
        sample(complex_(3, 4), axes=(1,)),
        sample(integers(3, 4), axes=(1,)),
    )

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return spread_over(g, x.shape, self.axes)


@frozen
class Prod(Reduction, General):
    """y = product of x over `axes`, in x's dtype; 1 for no elements.

    dy/dx[k] is the product of the other elements (`ExclusiveProd`), so that zeros are no exception.
    """

    may_raise = False

    ufunc = np.multiply
    samples = (
        sample(real(3, 4), axes=(0, 1)),
        sample(real(2, 3, 2), axes=(0, 2)),
        sample(real(3, 2), axes=(0,)),
        sample(real(3), axes=()),
        sample(real(2, 0), axes=(1,)),
        sample(real(2, 1), axes=(1,)),
        sample(real(3, low=0.0, high=0.0), axes=(0,)),
        sample(complex_(2, 3), axes=(1,)),
        sample(integers(2, 3), axes=(1,)),
    )

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        (x,) = operands
        return (None if g is None else spread_over(g, x.shape, self.axes) * product_of_others(x, self.axes),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        (t,) = tangents
        return (None if t is None else reduce_sum(t * product_of_others(operands[0], self.axes), self.axes),)


def product_of_others(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return for each element of x the product of all others that `axes` join with it."""
    from graphad.ops.cumulative import exclusive_prod  # few functions have a product

    if len(axes) == 1:
        return exclusive_prod(x, axes[0])
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    order = [*kept, *axes]
    moved = transpose(x, order)
    joined = reshape(moved, (*moved.shape[: len(kept)], _count(x.shape, axes)))
    back = reshape(exclusive_prod(joined, len(kept)), moved.shape)
    return transpose(back, sorted(range(x.ndim), key=order.__getitem__))


def _count(shape: Sequence[Dim], axes: Sequence[int]) -> Dim:
    count: Dim = 1
    for axis in axes:
        count = count * shape[axis]
    return count


@frozen
class Extremum(Reduction, General, abstract=True):
    """Max and Min: NaN wins, as in NumPy; equal extreme elements share the gradient evenly.

    Complex numbers compare by real, then by imaginary part.
    """

    may_raise = False

    has_identity = False

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """g / number of ties where x is extreme, 0 elsewhere."""
        from graphad.ops import where

        (g,) = cotangents
        if g is None:
            return (None,)
        (x,) = operands
        chosen, ties = self._ties(x, results[0])
        return (where(chosen, spread_over(g / ties, x.shape, self.axes), x.zeros_like()),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """Mean of the tangents where x is extreme."""
        from graphad.ops import where

        (t,) = tangents
        if t is None:
            return (None,)
        chosen, ties = self._ties(operands[0], results[0])
        return (reduce_sum(where(chosen, t, t.zeros_like()), self.axes) / ties,)

    def _ties(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return where x is extreme, and how many such elements there are for each of y."""
        chosen = x == spread_over(y, x.shape, self.axes)
        return chosen, reduce_sum(cast(chosen, x.dtype), self.axes)


@frozen
class Max(Extremum):
    """y = largest element of x over `axes`; NaN where there is one."""

    ufunc = np.maximum
    samples = (
        sample(real(3, 4, distinct=True), axes=(0, 1)),
        sample(real(2, 3, 4, distinct=True), axes=(1,)),
        sample(real(0, 3), axes=(1,)),
        sample(real(2, 1), axes=(1,)),
        sample(real(3, distinct=True), axes=()),
        sample(real(2, 3, low=1.0, high=1.0), axes=(1,), smooth=False),
        sample(complex_(3, 4), axes=(0,)),
        sample(integers(3, 4), axes=(0,)),
        sample(booleans(3, 4), axes=(0,)),
    )


@frozen
class Min(Extremum):
    """y = smallest element of x over `axes`; NaN where there is one."""

    ufunc = np.minimum
    samples = (
        sample(real(3, 4, distinct=True), axes=(0, 1)),
        sample(real(2, 3, 4, distinct=True), axes=(1,)),
        sample(real(0, 3), axes=(1,)),
        sample(real(2, 1), axes=(1,)),
        sample(real(3, distinct=True), axes=()),
        sample(real(2, 3, low=1.0, high=1.0), axes=(1,), smooth=False),
        sample(integers(3, 4), axes=(0,)),
    )


@frozen
class Any_(Reduction, General):
    """y = whether some element over `axes` is true; false for no elements."""

    may_raise = False

    name, ufunc, kinds = "any", np.logical_or, "b"
    no_gradient = "its result is a boolean"
    samples = (
        sample(booleans(3, 4), axes=(0, 1)),
        sample(booleans(2, 3), axes=(1,)),
        sample(booleans(2, 0), axes=(1,)),
    )


@frozen
class All(Reduction, General):
    """y = whether every element over `axes` is true; true for no elements."""

    may_raise = False

    ufunc, kinds = np.logical_and, "b"
    no_gradient = "its result is a boolean"
    samples = (
        sample(booleans(3, 4), axes=(0, 1)),
        sample(booleans(2, 3), axes=(1,)),
        sample(booleans(2, 0), axes=(1,)),
    )


@frozen
class ExtremePosition(General, abstract=True):
    """ArgMax and ArgMin: the first of equal elements; the first NaN, where there is one."""

    may_raise, copies = False, 1.1

    axis: int

    no_gradient = "its result is an integer"

    def infer(self, x: TensorType) -> TensorType:
        """i64, x's shape without `axis`, which must not be empty."""
        result = reduced_type(x, (self.axis,))
        refuse_empty(x, (self.axis,))
        return result.with_dtype(POSITION)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        """The same search, one axis further."""
        return apply(type(self)(self.axis + 1), x)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """One comparison an element."""
        return operands[0].size


@frozen
class ArgMax(ExtremePosition):
    """y = position of the largest element of x along `axis`."""

    name = "argmax"
    samples = (
        sample(real(3, 4), axis=0),
        sample(real(2, 3, 4), axis=1),
        sample(real(0, 3), axis=1),
        sample(integers(6, high=-3), axis=0),
        sample(booleans(3, 4), axis=1),
    )

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.argmax(x, axis=self.axis), POSITION)

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        np.argmax(x, axis=self.axis, out=out[0])


@frozen
class ArgMin(ExtremePosition):
    """y = position of the smallest element of x along `axis`."""

    name = "argmin"
    samples = (
        sample(real(3, 4), axis=0),
        sample(real(2, 3, 4), axis=1),
        sample(real(0, 3), axis=1),
        sample(integers(6, high=-3), axis=0),
        sample(booleans(3, 4), axis=1),
    )

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.argmin(x, axis=self.axis), POSITION)

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        np.argmin(x, axis=self.axis, out=out[0])


def _reduce(op: type[Reduction], x: Tensor, axes: Sequence[int]) -> Tensor:
    axes = tuple(sorted(axes))
    return apply(op(axes), x) if axes else x


def reduce_sum(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the sum of x over `axes`; x itself for no axes."""
    return _reduce(Sum, x, axes)


def reduce_prod(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the product of x over `axes`; x itself for no axes."""
    return _reduce(Prod, x, axes)


def reduce_max(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the largest element of x over `axes`; x itself for no axes. An empty axis is an OpTypeError."""
    return _reduce(Max, x, axes)


def reduce_min(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the smallest element of x over `axes`; x itself for no axes. An empty axis is an OpTypeError."""
    return _reduce(Min, x, axes)


def reduce_any(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return whether some element of the boolean x over `axes` is true; x itself for no axes."""
    return _reduce(Any_, x, axes)


def reduce_all(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return whether every element of the boolean x over `axes` is true; x itself for no axes."""
    return _reduce(All, x, axes)


def argmax(x: Tensor, axis: int) -> Tensor:
    """Return the i64 position of the largest element along `axis`. An empty axis is an OpTypeError."""
    return apply(ArgMax(axis), x)


def argmin(x: Tensor, axis: int) -> Tensor:
    """Return the i64 position of the smallest element along `axis`. An empty axis is an OpTypeError."""
    return apply(ArgMin(axis), x)
