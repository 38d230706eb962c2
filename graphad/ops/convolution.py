"""Convolution: one op for forward, transposed and gradient convolutions in any number of spatial axes.

How it is computed with NumPy stands in `convolution_numpy.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least, divides, equal, product, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Bilinear
from graphad.ir.samples import complex_, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.creation import zeros
from graphad.ops.shape import batch_size, flip, reshape, transpose
from graphad.ops.slicing import strided_size

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]
Pads = tuple[tuple[Dim, Dim], ...]


def dilated(n: Dim, step: int) -> Dim:
    """Return the extent of n elements that lie `step` apart."""
    if step == 1 or n == 0:
        return n
    at_least(n, 1)
    return (n - 1) * step + 1


@frozen
class Conv(Bilinear):
    """y[n,o,t] = sum over i, k of x'[n, i, t*stride + k*dilation] w[o,i,k], where x' is x spread out and padded.

    x is [batch, channels in, *space], w is [channels out, channels in / groups, *kernel], y [batch, channels out,
    *space]; t, k and the attributes, but for `groups`, have one entry for each spatial axis. x' has
    ``lhs_dilation - 1`` zeros between the elements of x, and `padding` (before, after) zeros round them; negative
    padding cuts. Channels fall into `groups` that do not mix. The kernel is not reversed (`jax.lax.conv`,
    `torch.nn.functional.conv2d`).
    """

    strides: tuple[int, ...]
    padding: Pads
    dilation: tuple[int, ...]
    lhs_dilation: tuple[int, ...]
    groups: Dim = 1

    samples = (
        sample(real(2, 3, 6), real(4, 3, 3), strides=(1,), padding=((0, 0),), dilation=(1,), lhs_dilation=(1,)),
        sample(real(1, 1, 8), real(1, 1, 3), strides=(2,), padding=((2, 1),), dilation=(2,), lhs_dilation=(1,)),
        sample(
            real(2, 4, 5, 4),
            real(6, 2, 3, 2),
            strides=(2, 1),
            padding=((1, 1), (0, 1)),
            dilation=(1, 2),
            lhs_dilation=(1, 1),
            groups=2,
            symbolic={"groups": "d4/d2"},
        ),
        sample(real(2, 2, 3), real(3, 2, 4), strides=(1,), padding=((2, 3),), dilation=(1,), lhs_dilation=(3,)),
        sample(real(1, 2, 4), real(2, 2, 2), strides=(2,), padding=((1, 2),), dilation=(1,), lhs_dilation=(3,)),
        sample(
            real(2, 3, 6),
            real(3, 1, 2),
            strides=(1,),
            padding=((-1, 1),),
            dilation=(1,),
            lhs_dilation=(1,),
            groups=3,
            symbolic={"groups": "d3"},
        ),
        sample(
            real(1, 1, 3, 2, 3),
            real(2, 1, 2, 1, 2),
            strides=(1, 1, 1),
            padding=((0, 0),) * 3,
            dilation=(1, 1, 1),
            lhs_dilation=(1, 1, 1),
        ),
        sample(real(2, 3), real(4, 3), strides=(), padding=(), dilation=(), lhs_dilation=()),
        sample(real(0, 1, 4), real(2, 1, 2), strides=(1,), padding=((0, 0),), dilation=(1,), lhs_dilation=(1,)),
        sample(real(2, 1, 1), real(2, 1, 2), strides=(1,), padding=((0, 0),), dilation=(1,), lhs_dilation=(1,)),
        sample(
            real(2, 2, 5, dtype="float32"),
            real(1, 2, 3, dtype="float32"),
            strides=(1,),
            padding=((1, 1),),
            dilation=(1,),
            lhs_dilation=(1,),
        ),
        sample(complex_(1, 2, 4), complex_(2, 2, 2), strides=(1,), padding=((1, 0),), dilation=(1,), lhs_dilation=(1,)),
        sample(complex_(1, 1, 4), complex_(1, 1, 2), strides=(1,), padding=((0, 0),), dilation=(1,), lhs_dilation=(1,)),
        sample(integers(2, 2, 5), integers(3, 2, 2), strides=(1,), padding=((1, 0),), dilation=(1,), lhs_dilation=(2,)),
    )

    def infer(self, x: TensorType, w: TensorType) -> TensorType:
        if x.dtype != w.dtype or x.dtype.kind == "b":
            fail("operands must be numbers of one dtype")
        count = x.ndim - 2
        if count < 0 or w.ndim != x.ndim:
            fail("operands must be [batch, channels, *space] and [channels out, channels in / groups, *kernel]")
        given = (self.strides, self.padding, self.dilation, self.lhs_dilation)
        if any(len(attribute) != count for attribute in given):
            fail(f"needs one stride, padding and dilation for each of the {count} spatial axes")
        if any(step < 1 for step in (*self.strides, *self.dilation, *self.lhs_dilation)):
            fail("strides and dilations must be positive")
        if not (at_least(self.groups, 1) and divides(self.groups, w.shape[0])):
            fail(f"the {w.shape[0]} channels out do not fall into {self.groups} groups")
        if not equal(x.shape[1], w.shape[1] * self.groups):
            fail(f"the kernel is for {w.shape[1] * self.groups} channels in, not for {x.shape[1]}")
        return x.with_shape((x.shape[0], w.shape[0], *self._space(x.shape[2:], w.shape[2:])))

    def _space(self, space: Sequence[Dim], kernel: Sequence[Dim]) -> list[Dim]:
        """Return the spatial sizes of the result."""
        sizes = []
        for axis, (n, k) in enumerate(zip(space, kernel, strict=True)):
            low, high = self.padding[axis]
            padded = low + dilated(n, self.lhs_dilation[axis]) + high
            extent = dilated(k, self.dilation[axis])
            if not at_least(padded + 1, extent):
                fail(f"the kernel's extent {extent} exceeds the padded size {padded} of spatial axis {axis}")
            sizes.append(strided_size(padded + 1 - extent, self.strides[axis]))
        return sizes

    def evaluate(self, x: Array, w: Array) -> Array:
        space = [static(n) for n in self._space(x.shape[2:], w.shape[2:])]
        y = np.empty((x.shape[0], w.shape[0], *space), x.dtype)
        self.evaluate_into((y,), x, w)
        return y

    def evaluate_into(self, out: tuple[Array, ...], x: Array, w: Array) -> None:
        from graphad.ops.convolution_numpy import convolve

        (y,) = out
        target = y if y.flags.c_contiguous else np.empty(y.shape, y.dtype)
        pads = tuple((static(low), static(high)) for low, high in self.padding)
        convolve(target, x, w, self.strides, pads, self.dilation, self.lhs_dilation, static(self.groups))
        if target is not y:
            np.copyto(y, target)

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """Those of the way that takes most, and a result that does not lie densely."""
        from graphad.ops.convolution_numpy import temporary_bytes

        y, x, w = (tuple(map(static, t.shape)) for t in (*results, *operands))
        pads = tuple([(static(low), static(high)) for low, high in self.padding])
        item = results[0].dtype.itemsize
        own = temporary_bytes(y, x, w, item, pads, self.lhs_dilation, static(self.groups))
        return own + int(results[0].nbytes)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        if g is None:
            return None, None
        x, w = operands
        return transposed_conv(g, w, x.shape[2:], self), self._pull_to_kernel(g, x, w)

    def _pull_to_kernel(self, g: Tensor, x: Tensor, w: Tensor) -> Tensor:
        """Return dw[o,i,k] = sum over n, t of x'[n, i, t*stride + k*dilation] g[n,o,t]: batch and channels swapped."""
        groups, space = self.groups, x.shape[2:]
        if groups == 1:
            image = transpose(x, _order(x.ndim, 1, 0))
        else:
            n, inner = x.shape[0], x.shape[1] // groups
            split = transpose(reshape(x, (n, groups, inner, *space)), _order(x.ndim + 1, 2, 1, 0))
            image = reshape(split, (inner, groups * n, *space))
        kernel = transpose(g, _order(g.ndim, 1, 0))
        pads = []
        for axis, (low, _) in enumerate(self.padding):
            high = (
                dilated(w.shape[2 + axis], self.dilation[axis])
                - 1
                + dilated(g.shape[2 + axis], self.strides[axis])
                - low
                - dilated(space[axis], self.lhs_dilation[axis])
            )
            pads.append((low, high))
        pulled = conv(image, kernel, self.dilation, pads, self.strides, self.lhs_dilation, groups)
        return transpose(pulled, _order(w.ndim, 1, 0))

    def batch(self, batched: tuple[bool, ...], x: Tensor, w: Tensor) -> Tensor:
        size = batch_size(batched, (x, w))
        space = self._space(x.shape[2 + batched[0] :], w.shape[2 + batched[1] :])
        if batched == (True, False):
            y = apply(self, reshape(x, (size * x.shape[1], *x.shape[2:])), w)
            return reshape(y, (size, x.shape[1], *y.shape[1:]))
        groups, out = self.groups, w.shape[1] // self.groups
        if batched == (False, True):
            # The samples' kernels side by side, inside each group.
            kernels = transpose(reshape(w, (size, groups, out, *w.shape[2:])), _order(w.ndim + 1, 1, 0))
            y = apply(self, x, reshape(kernels, (groups * size * out, *w.shape[2:])))
            y = reshape(y, (x.shape[0], groups, size, out, *space))
            y = transpose(y, _order(y.ndim, 2, 0, 1))
            return reshape(y, (size, x.shape[0], groups * out, *space))
        n = x.shape[1]
        if size == 0:
            return zeros((0, n, w.shape[1], *space), x.dtype)
        # Each sample is a group of its own.
        image = reshape(transpose(x, _order(x.ndim, 1, 0)), (n, size * x.shape[2], *x.shape[3:]))
        kernels = reshape(w, (size * w.shape[1], *w.shape[2:]))
        y = conv(image, kernels, self.strides, self.padding, self.dilation, self.lhs_dilation, size * self.groups)
        y = reshape(y, (n, size, w.shape[1], *space))
        return transpose(y, _order(y.ndim, 1, 0))

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 2 * results[0].size * product(operands[1].shape[1:])


def _order(ndim: int, *front: int) -> tuple[int, ...]:
    """Return the permutation that puts the axes `front` first, the rest in their order."""
    return (*front, *(k for k in range(ndim) if k not in front))


def conv(
    x: Tensor,
    w: Tensor,
    strides: Sequence[int],
    padding: Sequence[tuple[Dim, Dim]],
    dilation: Sequence[int],
    lhs_dilation: Sequence[int],
    groups: Dim = 1,
) -> Tensor:
    """Return the convolution of [batch, channels, *space] with [channels out, channels in / groups, *kernel]."""
    pads = tuple((low, high) for low, high in padding)
    return apply(Conv(tuple(strides), pads, tuple(dilation), tuple(lhs_dilation), groups), x, w)


def turned_kernel(w: Tensor, groups: Dim) -> Tensor:
    """Return the kernel of the transposed convolution: reversed in space, channels in and out of each group swapped."""
    turned = flip(w, range(2, w.ndim))
    if groups == 1:
        return transpose(turned, _order(w.ndim, 1, 0))
    out, inner, kernel = w.shape[0] // groups, w.shape[1], w.shape[2:]
    swapped = transpose(reshape(turned, (groups, out, inner, *kernel)), _order(w.ndim + 1, 0, 2, 1))
    return reshape(swapped, (groups * inner, out, *kernel))


def transposed_conv(g: Tensor, w: Tensor, space: Sequence[Dim], forward: Conv) -> Tensor:
    """Apply the transpose of ``x -> forward(x, w)``, for x of spatial sizes `space`, to g."""
    groups, kernel = forward.groups, w.shape[2:]
    turned = turned_kernel(w, groups)
    pads = []
    for axis, (low, _) in enumerate(forward.padding):
        extent = dilated(kernel[axis], forward.dilation[axis])
        before = extent - 1 - low
        spread = dilated(g.shape[2 + axis], forward.strides[axis])
        pads.append((before, dilated(space[axis], forward.lhs_dilation[axis]) - 1 + extent - spread - before))
    return conv(g, turned, forward.lhs_dilation, pads, forward.dilation, forward.strides, groups)
