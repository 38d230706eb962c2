"""Recurrences along one axis: running products and extremes, and the linear recurrence that differentiates products."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import TensorType, is_inexact
from graphad.ops.comparison import logical_or, not_equal
from graphad.ops.creation import POSITION, iota, ones
from graphad.ops.indexing import scatter_add
from graphad.ops.joining import concatenate
from graphad.ops.selection import where
from graphad.ops.shape import batch_size, check_axes, flip, spread
from graphad.ops.slicing import pad, slice_
from graphad.ops.sorting import addresses, take_along

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

_FEW = 16
"""With fewer rows than this, Python numbers are faster than NumPy's calls on short arrays."""


def between(x: Tensor, axis: int, start: Dim, stop: Dim) -> Tensor:
    """Return the elements from `start` up to `stop` along one axis."""
    starts = [start if k == axis else 0 for k in range(x.ndim)]
    stops = [stop if k == axis else n for k, n in enumerate(x.shape)]
    return slice_(x, starts, stops)


def delayed(x: Tensor, axis: int) -> Tensor:
    """Return x moved on by one place along `axis`: a zero first, the last element gone."""
    n = x.shape[axis]
    if n == 0:
        return x
    low = [int(k == axis) for k in range(x.ndim)]
    return pad(between(x, axis, 0, n - 1), low, [0] * x.ndim)


def advanced(x: Tensor, axis: int) -> Tensor:
    """Return x moved back by one place along `axis`: the first element gone, a zero last."""
    n = x.shape[axis]
    if n == 0:
        return x
    high = [int(k == axis) for k in range(x.ndim)]
    return pad(between(x, axis, 1, n), [0] * x.ndim, high)


@frozen
class Recurrence(General):
    """y[k] = a[k] y[k-1] + b[k] along one axis, y[-1] = 0; operands a and b.

    Its derivatives are recurrences again: db[k] = g[k] + a[k+1] db[k+1], da[k] = db[k] y[k-1].
    """

    axis: int

    may_raise = False
    samples = (
        sample(real(3, 4), real(3, 4), axis=1),
        sample(real(4, 20), real(4, 20), axis=0),
        sample(real(2, 1), real(2, 1), axis=1),
        sample(real(2, 0), real(2, 0), axis=1),
        sample(real(3, dtype="float32"), real(3, dtype="float32"), axis=0),
        sample(complex_(3), complex_(3), axis=0),
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a != b or not is_inexact(a.dtype):
            fail("operands must have one shape and one real or complex dtype")
        check_axes(a, (self.axis,))
        return a

    def evaluate(self, a: Array, b: Array) -> Array:
        y = np.empty(a.shape, a.dtype)
        a_, b_, y_ = (np.moveaxis(array, self.axis, 0) for array in (a, b, y))
        if y.size == 0:
            return y
        if y.size // len(y_) < _FEW:
            for row in np.ndindex(y_.shape[1:]):
                column = (slice(None), *row)
                pairs = zip(a_[column].tolist(), b_[column].tolist(), strict=True)
                steps = itertools.accumulate(pairs, lambda last, pair: pair[0] * last + pair[1], initial=0.0)
                y_[column] = list(itertools.islice(steps, 1, None))
            return y
        y_[0] = b_[0]
        for k in range(1, len(y_)):
            np.multiply(a_[k], y_[k - 1], out=y_[k])
            np.add(y_[k], b_[k], out=y_[k])
        return y

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        if g is None:
            return None, None
        db = recurrence(advanced(operands[0], self.axis), g, self.axis, backwards=True)
        return db * delayed(results[0], self.axis), db

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        da, db = tangents
        drive = db
        if da is not None:
            through = da * delayed(results[0], self.axis)
            drive = through if db is None else through + db
        return (None if drive is None else recurrence(operands[0], drive, self.axis),)

    def batch(self, batched: tuple[bool, ...], a: Tensor, b: Tensor) -> Tensor:
        a, b = spread(batch_size(batched, (a, b)), batched, (a, b))
        return recurrence(a, b, self.axis + 1)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 2 * results[0].size


@frozen
class Running(General, abstract=True):
    """y[k] = x[0] o ... o x[k] along one axis, for the ufunc o."""

    axis: int

    ufunc: ClassVar[np.ufunc]
    in_place, allocates, may_raise = True, False, False

    def infer(self, x: TensorType) -> TensorType:
        """x's type."""
        check_axes(x, (self.axis,))
        return x

    def evaluate(self, x: Array) -> Array:
        """ufunc.accumulate(x, axis)."""
        return self.ufunc.accumulate(x, axis=self.axis, dtype=x.dtype)

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        """ufunc.accumulate(x, axis, out=out)."""
        self.ufunc.accumulate(x, axis=self.axis, dtype=x.dtype, out=out[0])

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        """The same, one axis further."""
        return apply(type(self)(self.axis + 1), x)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """One an element."""
        return results[0].size


class CumProd(Running):
    """Running product along one axis: ``y[k] = x[0] ... x[k]``.

    dy = recurrence(x, y[k-1] dx[k]): no division, so that zeros are no exception.
    """

    name, ufunc = "cumprod", np.multiply
    samples = (
        sample(real(3, 4), axis=1),
        sample(real(5), axis=0),
        sample(real(2, 1), axis=1),
        sample(real(2, 0), axis=1),
        sample(real(4, low=0.0, high=0.0), axis=0),
        sample(complex_(4), axis=0),
        sample(real(3, 2, dtype="float32"), axis=0),
        sample(integers(4), axis=0),
    )

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        if g is None:
            return (None,)
        sums = recurrence(advanced(operands[0], self.axis), g, self.axis, backwards=True)
        return (sums * self._before(results[0]),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        (t,) = tangents
        if t is None:
            return (None,)
        return (recurrence(operands[0], self._before(results[0]) * t, self.axis),)

    def _before(self, y: Tensor) -> Tensor:
        """Return the product of all elements before each: y moved on by one place, 1 first."""
        k, n = self.axis, y.shape[self.axis]
        if n == 0:
            return y
        first = ones([1 if axis == k else m for axis, m in enumerate(y.shape)], y.dtype)
        return concatenate([first, between(y, k, 0, n - 1)], k)


class RunningExtreme(Running, abstract=True):
    """CumMax and CumMin: NaN stays; of equal elements the first counts, and the gradient flows to it."""

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """Add each cotangent to the element that its result is."""
        (g,) = cotangents
        if g is None:
            return (None,)
        return (scatter_add(g.zeros_like(), addresses(self._source(results[0]), self.axis), g),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The tangent of the element that each result is."""
        (t,) = tangents
        return (None if t is None else take_along(t, self._source(results[0]), self.axis),)

    def _source(self, y: Tensor) -> Tensor:
        """Return the position of the element that each result is: where the results last changed."""
        position = iota(y.shape, self.axis, POSITION)
        # After a first NaN the results differ from themselves; what flows there has no meaning.
        changed = logical_or(not_equal(y, delayed(y, self.axis)), position == 0)
        return apply(CumMax(self.axis), where(changed, position, position.zeros_like()))


_EXTREME_SAMPLES = (
    sample(real(3, 4, distinct=True), axis=1),
    sample(real(6, distinct=True), axis=0),
    sample(real(2, 1), axis=1),
    sample(real(2, 0), axis=1),
    sample(real(4, low=1.0, high=1.0), axis=0, smooth=False),
    sample(integers(5), axis=0),
    sample(booleans(5), axis=0),
)


class CumMax(RunningExtreme):
    """Running maximum along one axis: ``y[k] = max(x[0], ..., x[k])``."""

    name, ufunc, samples = "cummax", np.maximum, _EXTREME_SAMPLES


class CumMin(RunningExtreme):
    """Running minimum along one axis: ``y[k] = min(x[0], ..., x[k])``."""

    name, ufunc, samples = "cummin", np.minimum, _EXTREME_SAMPLES


def recurrence(a: Tensor, b: Tensor, axis: int, backwards: bool = False) -> Tensor:
    """Return y[k] = a[k] y[k-1] + b[k] along `axis`; backwards, y[k] = a[k] y[k+1] + b[k]."""
    if backwards:
        return flip(apply(Recurrence(axis), flip(a, (axis,)), flip(b, (axis,))), (axis,))
    return apply(Recurrence(axis), a, b)


def cumprod(x: Tensor, axis: int) -> Tensor:
    """Return the running product of x along `axis`, in x's dtype."""
    return apply(CumProd(axis), x)


def cummax(x: Tensor, axis: int) -> Tensor:
    """Return the running maximum of x along `axis`."""
    return apply(CumMax(axis), x)


def cummin(x: Tensor, axis: int) -> Tensor:
    """Return the running minimum of x along `axis`."""
    return apply(CumMin(axis), x)
