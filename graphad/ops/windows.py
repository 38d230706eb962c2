"""Windows that slide over a tensor: their sums, largest and smallest elements, and where these stand.

A window has one size, stride and dilation (distance of its elements) for each axis, 1 on axes that it does not slide
over. Padding is not part of these ops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphad.ir.dims import Dim, at_least, product, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General, Linear, Op
from graphad.ir.samples import complex_, integers, real, sample
from graphad.ir.types import TensorType, is_complex
from graphad.ops.creation import POSITION, iota
from graphad.ops.indexing import gather, scatter_add
from graphad.ops.shape import reshape
from graphad.ops.slicing import pad, strided_size

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Window(Op, abstract=True):
    """What ops on windows share: attributes, the result's shape, and batching."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]

    def windowed(self, x: TensorType) -> TensorType:
        """Return the type with one element for each window."""
        if not len(self.size) == len(self.strides) == len(self.dilation) == x.ndim:
            fail(f"needs one size, stride and dilation for each of the {x.ndim} axes of {x}")
        if any(n < 1 for n in (*self.size, *self.strides, *self.dilation)):
            fail("sizes, strides and dilations of windows must be positive")
        shape = []
        for axis, (n, extent, step) in enumerate(zip(x.shape, self.extents(), self.strides, strict=True)):
            if not at_least(n, extent - 1):
                fail(f"the window's extent {extent} exceeds axis {axis} of {x}")
            shape.append(strided_size(n - extent + 1, step))
        return x.with_shape(shape)

    def extents(self) -> list[int]:
        """Return how far a window reaches along each axis."""
        return [(n - 1) * step + 1 for n, step in zip(self.size, self.dilation, strict=True)]

    def infer(self, x: TensorType) -> TensorType:
        """One element of x's dtype for each window."""
        return self.windowed(x)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        """The same windows, one axis further."""
        return apply(type(self)((1, *self.size), (1, *self.strides), (1, *self.dilation)), x)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """One for each element and axis of a window: axes are reduced one after the other."""
        return results[0].size * sum(n - 1 for n in self.size)

    def shifted(self, x: Array, axis: int) -> Iterator[Array]:
        """Give, for each place along one axis of the window, the elements that stand there."""
        n = static(strided_size(x.shape[axis] - self.extents()[axis] + 1, self.strides[axis]))
        for k in range(self.size[axis]):
            first = k * self.dilation[axis]
            last = first + max(0, (n - 1) * self.strides[axis] + 1) if n else first
            yield x[(slice(None),) * axis + (slice(first, last, self.strides[axis]),)]


class FoldedWindow(Window, abstract=True):
    """y = x[first] o ... o x[last] of each window, for the ufunc o, one axis after the other."""

    ufunc: ClassVar[np.ufunc]

    def evaluate(self, x: Array) -> Array:
        """Fold along every axis that the window slides over."""
        y = x
        for axis in reversed(range(x.ndim)):
            if self.size[axis] == self.strides[axis] == 1:
                continue
            parts = self.shifted(y, axis)
            first = next(parts)
            second = next(parts, None)
            if second is None:
                y = first
                continue
            y = self.ufunc(first, second, dtype=x.dtype)
            for part in parts:
                self.ufunc(y, part, out=y, dtype=x.dtype)
        return np.array(y) if np.may_share_memory(x, y) else y

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """What one axis gives, and what the next makes of it; and buffers of NumPy's iterator over strided arrays."""
        shape = [static(n) for n in operands[0].shape]
        item = results[0].dtype.itemsize
        held = most = 0
        for axis, (extent, step) in reversed(list(enumerate(zip(self.extents(), self.strides, strict=True)))):
            shape[axis] = static(strided_size(shape[axis] - extent + 1, step))
            made = math.prod(shape) * item
            most = max(most, held + made)
            held = made
        return most + 3 * min(np.getbufsize(), math.prod(static(n) for n in operands[0].shape)) * item


_SAMPLES = (
    sample(real(3, 4, distinct=True), size=(2, 2), strides=(1, 2), dilation=(1, 1)),
    sample(real(2, 8, distinct=True), size=(1, 3), strides=(1, 2), dilation=(1, 2)),
    sample(real(2, 3, 4, distinct=True), size=(1, 2, 3), strides=(1, 1, 1), dilation=(1, 1, 1)),
    sample(real(5, distinct=True), size=(1,), strides=(1,), dilation=(1,)),
    sample(real(1, 4, distinct=True), size=(1, 4), strides=(1, 1), dilation=(1, 1)),
    sample(real(0, 3), size=(1, 2), strides=(1, 1), dilation=(1, 1)),
    sample(real(3, 5, dtype="float32", distinct=True), size=(2, 2), strides=(1, 1), dilation=(1, 1)),
    sample(integers(4, 4), size=(2, 2), strides=(2, 2), dilation=(1, 1)),
)
_TIES = (sample(real(3, 4, low=1.0, high=1.0), size=(2, 2), strides=(1, 1), dilation=(1, 1), smooth=False),)


class WindowSum(FoldedWindow, Linear):
    """y = sum of the elements of each window, in x's dtype."""

    ufunc = np.add
    samples = (*_SAMPLES, sample(complex_(4), size=(2,), strides=(1,), dilation=(1,)))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        low: list[Dim] = []
        high: list[Dim] = []
        gaps = []
        for n, m, extent, step in zip(x.shape, g.shape, self.extents(), self.strides, strict=True):
            gap = 0 if m == 0 else step - 1
            spread = m if gap == 0 else (m - 1) * step + 1
            low.append(extent - 1)
            high.append(n - spread)
            gaps.append(gap)
        return window_sum(pad(g, low, high, gaps), self.size, (1,) * x.ndim, self.dilation)


class WindowExtreme(FoldedWindow, General, abstract=True):
    """WindowMax and WindowMin: NaN wins; of equal elements the first in row-major order gets the gradient."""

    largest: ClassVar[bool]
    may_raise = False

    def infer(self, x: TensorType) -> TensorType:
        """One element of x's dtype for each window; complex numbers have no order."""
        return fail(f"is not defined for {x.dtype}") if is_complex(x.dtype) else self.windowed(x)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """Add each cotangent to the element that was chosen."""
        (g,) = cotangents
        (x,) = operands
        if g is None:
            return (None,)
        flat = scatter_add(reshape(x, (x.size,)).zeros_like(), [self._chosen(x)], g)
        return (reshape(flat, x.shape),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The tangents of the elements that were chosen."""
        (t,) = tangents
        return (None if t is None else gather(reshape(t, (t.size,)), [self._chosen(operands[0])]),)

    def _chosen(self, x: Tensor) -> Tensor:
        return apply(WindowPosition(self.size, self.strides, self.dilation, self.largest), x)


class WindowMax(WindowExtreme):
    """y = largest element of each window."""

    ufunc, largest = np.maximum, True
    samples = _SAMPLES + _TIES


class WindowMin(WindowExtreme):
    """y = smallest element of each window."""

    ufunc, largest = np.minimum, False
    samples = _SAMPLES + _TIES


@frozen
class WindowPosition(Window, General):
    """y = position in the flattened x of the first largest (or smallest) element of each window; of the first NaN."""

    largest: bool = True

    no_gradient, may_raise = "its result is an integer", False
    samples = (
        *_SAMPLES,
        sample(real(3, 4, low=1.0, high=1.0), size=(2, 2), strides=(1, 1), dilation=(1, 1), largest=False),
    )

    def infer(self, x: TensorType) -> TensorType:
        return self.windowed(x).with_dtype(POSITION)

    def evaluate(self, x: Array) -> Array:
        better = np.greater if self.largest else np.less
        value, where = x, np.arange(x.size, dtype=POSITION).reshape(x.shape)
        # The last axis first: of equal elements the first in row-major order is kept.
        for axis in reversed(range(x.ndim)):
            if self.size[axis] == self.strides[axis] == 1:
                continue
            pairs = zip(self.shifted(value, axis), self.shifted(where, axis), strict=True)
            value, where = (part.copy() for part in next(pairs))
            for other, place in pairs:
                wins = better(other, value)
                if x.dtype.kind == "f":
                    wins |= np.isnan(other) & ~np.isnan(value)
                np.copyto(value, other, where=wins)
                np.copyto(where, place, where=wins)
        return np.array(where)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        positions = apply(WindowPosition((1, *self.size), (1, *self.strides), (1, *self.dilation), self.largest), x)
        # Positions count from each sample's own start.
        return positions - iota(positions.shape, 0, POSITION) * product(x.shape[1:])


def window_sum(x: Tensor, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Return the sum of each window of x."""
    return apply(WindowSum(tuple(size), tuple(strides), tuple(dilation)), x)


def window_max(x: Tensor, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Return the largest element of each window of x."""
    return apply(WindowMax(tuple(size), tuple(strides), tuple(dilation)), x)


def window_min(x: Tensor, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Return the smallest element of each window of x."""
    return apply(WindowMin(tuple(size), tuple(strides), tuple(dilation)), x)
