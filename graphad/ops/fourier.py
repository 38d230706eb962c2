"""Discrete Fourier transforms, without factors: what the norm modes of the array namespace scale.

``y[k] = sum over j of x[j] e^(-2 pi i jk/n)``, and with `inverse` the other sign. The matrix of a complex transform is
symmetric, so it is its own transpose; those of real sequences have half the spectrum, of which the inner frequencies
stand for two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, Size, at_least, equal, product, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.leaf import SizeValue
from graphad.ir.op import Linear
from graphad.ir.samples import complex_, real, sample
from graphad.ir.types import TensorType, complex_dtype, is_complex, real_dtype
from graphad.ops.complex_parts import conj
from graphad.ops.creation import POSITION, full, iota
from graphad.ops.shape import broadcast_to, check_axes, reshape

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

TYPICAL_LENGTH = 1024
"""What a symbolic length counts for in the number of operations."""


def half_spectrum(n: Dim) -> Dim:
    """Return how many frequencies, n // 2 + 1, the spectrum of n real numbers has; a symbolic n is assumed even."""
    return n // 2 + 1


def _operations(type_: TensorType, axes: Sequence[int]) -> Dim:
    """Return 5 n log2(n) a transform, the customary count."""
    lengths = [type_.shape[k] for k in axes]
    steps = sum(math.log2(max(2, TYPICAL_LENGTH if isinstance(n, Size) else n)) for n in lengths)
    return math.ceil(5 * steps) * product(type_.shape)


@frozen
class Fft(Linear):
    """y[k] = sum over j of x[j] e^(-2 pi i jk/n) along each of `axes`; `inverse`: e^(+2 pi i jk/n)."""

    axes: tuple[int, ...]
    inverse: bool = False

    samples = (
        sample(complex_(4), axes=(0,)),
        sample(complex_(3, 5), axes=(1,), inverse=True),
        sample(complex_(2, 3, 4), axes=(0, 2)),
        sample(complex_(0, 3), axes=(1,)),
        sample(complex_(1, 2), axes=(0,)),
        sample(complex_(4, dtype="complex64"), axes=(0,), inverse=True),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, self.axes)
        if not is_complex(x.dtype):
            fail(f"is defined for complex numbers, not for {x.dtype}")
        for axis in self.axes:
            _refuse_empty(x, axis)
        return x

    def evaluate(self, x: Array) -> Array:
        if self.inverse:
            return np.asarray(np.fft.ifftn(x, axes=self.axes, norm="forward"))
        return np.asarray(np.fft.fftn(x, axes=self.axes))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(self, g)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return fft(x, [axis + 1 for axis in self.axes], self.inverse)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return _operations(operands[0], self.axes)


@frozen
class Rfft(Linear):
    """y[k] = sum over j of x[j] e^(-2 pi i jk/n) along `axis` for real x and k = 0 ... n // 2."""

    axis: int

    samples = (
        sample(real(4), axis=0),
        sample(real(2, 6), axis=1),
        sample(real(4, 2), axis=0),
        sample(real(0, 4), axis=1),
        sample(real(4, dtype="float32"), axis=0),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        wide = complex_dtype(x.dtype)
        if is_complex(x.dtype) or real_dtype(wide) != x.dtype:
            fail(f"is defined for float32 and float64, not for {x.dtype}")
        _refuse_empty(x, self.axis)
        n = x.shape[self.axis]
        return TensorType(wide, _replaced(x.shape, self.axis, half_spectrum(n)))

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.fft.rfft(x, axis=self.axis))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        n = x.shape[self.axis]
        return irfft(conj(g) * _counted(g, self.axis, n, 0.5), self.axis, n)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return rfft(x, self.axis + 1)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return _operations(operands[0], (self.axis,)) // 2


@frozen
class Irfft(Linear):
    """y[j] = sum over k of x[k] e^(2 pi i jk/n) along `axis`, of n = `size` real numbers, x being half their spectrum.

    The other half is the conjugate of this one; of x[0], and of x[n / 2] for even n, the imaginary part is ignored.
    """

    axis: int
    size: Dim

    samples = (
        sample(complex_(3), axis=0, size=4, symbolic={"size": "2*d3-2"}),
        sample(complex_(2, 4), axis=1, size=6, symbolic={"size": "2*d4-2"}),
        sample(complex_(3, 2), axis=0, size=4, symbolic={"size": "2*d3-2"}),
        sample(complex_(3, dtype="complex64"), axis=0, size=4, symbolic={"size": "2*d3-2"}),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        if not is_complex(x.dtype):
            fail(f"is defined for complex numbers, not for {x.dtype}")
        if not at_least(self.size, 1):
            fail("its result would have no elements")
        wanted = half_spectrum(self.size)
        if not equal(x.shape[self.axis], wanted):
            fail(f"{self.size} real numbers have {wanted} frequencies, not {x.shape[self.axis]}")
        return TensorType(real_dtype(x.dtype), _replaced(x.shape, self.axis, self.size))

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.fft.irfft(x, static(self.size), self.axis, norm="forward"))

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        spectrum = conj(rfft(g, self.axis))
        return spectrum * _counted(spectrum, self.axis, self.size, 2)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return irfft(x, self.axis + 1, self.size)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return _operations(results[0], (self.axis,)) // 2


def _refuse_empty(x: TensorType, axis: int) -> None:
    if not at_least(x.shape[axis], 1):
        fail(f"axis {axis} of {x} is empty")


def _replaced(shape: Sequence[Dim], axis: int, size: Dim) -> tuple[Dim, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _counted(spectrum: Tensor, axis: int, n: Dim, inner: float) -> Tensor:
    """Return `inner` at the frequencies that half a spectrum of n real numbers holds for two, 1 at 0 and n / 2."""
    from graphad.ops.comparison import equal as same
    from graphad.ops.comparison import logical_or
    from graphad.ops.selection import where

    m = spectrum.shape[axis]
    k = iota((m,), 0, POSITION)
    total = broadcast_to(apply(SizeValue(n, POSITION)), (m,))
    single = logical_or(same(k, full((m,), 0, POSITION)), same(2 * k, total))
    weights = where(single, full((m,), 1, spectrum.dtype), full((m,), inner, spectrum.dtype))
    lifted = reshape(weights, _replaced((1,) * spectrum.ndim, axis, m))
    return broadcast_to(lifted, spectrum.shape)


def fft(x: Tensor, axes: Sequence[int], inverse: bool = False) -> Tensor:
    """Return the complex transform of x along `axes`, without a factor; x itself for no axes."""
    return apply(Fft(tuple(sorted(axes)), inverse), x) if axes else x


def rfft(x: Tensor, axis: int) -> Tensor:
    """Return the half spectrum of the real x along `axis`."""
    return apply(Rfft(axis), x)


def irfft(x: Tensor, axis: int, size: Dim) -> Tensor:
    """Return the `size` real numbers, without a factor, whose half spectrum along `axis` is x."""
    return apply(Irfft(axis, size), x)
