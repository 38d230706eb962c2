"""Shape ops: the same elements seen in another order, under another shape, or repeated.

Ops whose result is one operand rearranged may enter here; cutting and joining stand in `slicing` and `joining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least, equal, is_one, product, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Linear
from graphad.ir.samples import booleans, integers, real, sample
from graphad.ir.types import TensorType

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Reshape(Linear):
    """The same elements in row-major order under another shape."""

    shape: tuple[Dim, ...]

    view, allocates = True, False
    samples = (
        sample(real(3, 4), shape=(4, 3), symbolic={"shape": ("d4", "d3")}),
        sample(real(3, 4), shape=(12,), symbolic={"shape": ("d3*d4",)}),
        sample(real(), shape=(1, 1)),
        sample(real(0, 3), shape=(3, 0), symbolic={"shape": ("d3", "0")}),
        sample(real(2, 3, 2), shape=(6, 2), symbolic={"shape": ("d2*d3", "d2")}),
        sample(integers(1, 4), shape=(4,), symbolic={"shape": ("d4",)}),
    )

    def infer(self, x: TensorType) -> TensorType:
        if not all(at_least(n, 0) for n in self.shape):
            fail(f"the shape ({','.join(map(str, self.shape))}) has a negative size")
        if not equal(product(self.shape), x.size):
            fail(f"cannot give {x} the shape ({','.join(map(str, self.shape))}): the sizes differ")
        return x.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return x.reshape(tuple(static(n) for n in self.shape))

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        if out[0].flags.c_contiguous:  # then the result, unlike a strided x, takes the other's shape without a copy
            np.copyto(out[0].reshape(x.shape), x)
        else:
            np.copyto(out[0], self.evaluate(x))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return reshape(g, x.shape)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return reshape(x, (x.shape[0], *self.shape))


@frozen
class Transpose(Linear):
    """Permute axes: axis k of the result is axis ``permutation[k]`` of x."""

    permutation: tuple[int, ...]

    view, allocates = True, False
    samples = (
        sample(real(3, 4), permutation=(1, 0)),
        sample(real(2, 3, 4), permutation=(2, 0, 1)),
        sample(real(1, 0, 3), permutation=(1, 2, 0)),
        sample(real(), permutation=()),
        sample(booleans(2, 3), permutation=(1, 0)),
    )

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.permutation) != list(range(x.ndim)):
            fail(f"{self.permutation} is not a permutation of the axes of {x}")
        return x.with_shape([x.shape[axis] for axis in self.permutation])

    def evaluate(self, x: Array) -> Array:
        return x.transpose(self.permutation)

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        inverse = sorted(range(len(self.permutation)), key=self.permutation.__getitem__)
        return transpose(g, inverse)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return transpose(x, (0, *(axis + 1 for axis in self.permutation)))


@frozen
class BroadcastTo(Linear):
    """Repeat along new leading axes and along axes of size 1, by NumPy's rule."""

    shape: tuple[Dim, ...]

    view, allocates = True, False
    samples = (
        sample(real(), shape=(2, 3)),
        sample(real(4), shape=(3, 4), symbolic={"shape": ("3", "d4")}),
        sample(real(3, 1), shape=(2, 3, 4), symbolic={"shape": ("d2", "d3", "d4")}),
        sample(real(1, 3), shape=(1, 3), symbolic={"shape": ("1", "d3")}),
        sample(real(1, 3), shape=(0, 3), symbolic={"shape": ("0", "d3")}),
        sample(integers(1), shape=(5,)),
    )

    def infer(self, x: TensorType) -> TensorType:
        extra = len(self.shape) - x.ndim
        if extra < 0:
            fail(f"cannot broadcast {x} to fewer axes")
        for n, target in zip(x.shape, self.shape[extra:], strict=True):
            # A size that is 1 as it stands stretches to any other, so nothing needs to be assumed of that one.
            if n != 1 and not equal(n, target) and not is_one(n):
                fail(f"cannot broadcast {x} to the shape ({','.join(map(str, self.shape))})")
        return x.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return np.broadcast_to(x, tuple(static(n) for n in self.shape))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        from graphad.ops.reduction import reduce_sum

        extra = len(self.shape) - x.ndim
        stretched = [k for k, n in enumerate(x.shape, extra) if n != self.shape[k]]
        return reshape(reduce_sum(g, (*range(extra), *stretched)), x.shape)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        extra = len(self.shape) - (x.ndim - 1)
        aligned = reshape(x, (x.shape[0], *(1,) * extra, *x.shape[1:]))
        return broadcast_to(aligned, (x.shape[0], *self.shape))


@frozen
class Flip(Linear):
    """The same elements in reverse order along `axes`."""

    axes: tuple[int, ...]

    view, allocates = True, False
    samples = (
        sample(real(3, 4), axes=(0, 1)),
        sample(real(2, 3, 4), axes=(1,)),
        sample(real(1, 0), axes=(0, 1)),
        sample(real(2), axes=()),
        sample(integers(4), axes=(0,)),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, self.axes)
        return x

    def evaluate(self, x: Array) -> Array:
        return np.flip(x, self.axes)

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return flip(g, self.axes)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return flip(x, [axis + 1 for axis in self.axes])


def check_axes(x: TensorType, axes: Sequence[int]) -> None:
    """Fail unless `axes` are distinct axes of x in ascending order."""
    if any(not 0 <= axis < x.ndim for axis in axes) or list(axes) != sorted(set(axes)):
        fail(f"axes {tuple(axes)} are not sorted, distinct axes of {x}")


def same_shape(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    """Tell whether two shapes agree; sizes that are not known to agree count as different (recorded)."""
    return len(a) == len(b) and all(m is n or equal(m, n) for m, n in zip(a, b, strict=True))


def reshape(x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """Return x under another shape (no -1 here); x itself where the shape is the same."""
    shape = tuple(shape)
    return x if shape == x.shape else apply(Reshape(shape), x)


def transpose(x: Tensor, permutation: Sequence[int]) -> Tensor:
    """Return x with its axes permuted; x itself for the identity."""
    permutation = tuple(permutation)
    return x if permutation == tuple(range(x.ndim)) else apply(Transpose(permutation), x)


def broadcast_to(x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """Return x repeated to `shape`; x itself where it has that shape."""
    shape = tuple(shape)
    return x if shape == x.shape else apply(BroadcastTo(shape), x)


def flip(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return x in reverse order along `axes`; x itself for no axes."""
    axes = tuple(sorted(axes))
    return apply(Flip(axes), x) if axes else x


def spread(size: Dim, batched: Sequence[bool], operands: Sequence[Tensor]) -> list[Tensor]:
    """Return the operands of a batching rule, those without the batch axis repeated along it, `size` times."""
    return [x if has else broadcast_to(x, (size, *x.shape)) for x, has in zip(operands, batched, strict=True)]


def batch_size(batched: Sequence[bool], operands: Sequence[Tensor]) -> Dim:
    """Return the size of the batch axis."""
    return operands[list(batched).index(True)].shape[0]


def broadcast_shapes(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Return the shape that NumPy's rule gives for operands of these shapes; fails where there is none."""
    result: list[Dim] = list(shapes[0])
    for shape in shapes[1:]:
        if len(shape) > len(result):
            result[:0] = [1] * (len(shape) - len(result))
        start = len(result) - len(shape)
        for k, n in enumerate(shape, start):
            m = result[k]
            if m is n or n == 1 or m == n:
                continue
            if m == 1 or (m != 1 and not equal(m, n) and is_one(m)):
                result[k] = n
            elif not equal(m, n) and not is_one(n):
                fail(f"shapes ({','.join(map(str, result))}) and ({','.join(map(str, shape))}) do not broadcast")
    return tuple(result)
