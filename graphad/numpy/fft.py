"""Discrete Fourier transforms: `numpy.fft` on tensors, with its lengths, axes and norms.

float32 stays single precision (complex64), as in NumPy 2; half precision goes to single, integers to double. A
transform of real numbers along an axis of symbolic size n assumes that n is even.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, at_least, equal, product
from graphad.ir.types import complex_dtype, is_complex, real_dtype
from graphad.numpy.arguments import axis_of, check_device, dtype_of, no_out, refuse, size_of
from graphad.numpy.shaping import roll
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_POSITION = np.dtype(np.int64)
_DOUBLE = np.dtype(np.float64)

_SHARES = {"backward": (0.0, 1.0), "ortho": (0.5, 0.5), "forward": (1.0, 0.0)}
"""The power of 1/n that the forward and the inverse transform take, by norm."""


def _scaled(y: Tensor, norm: str | None, inverse: bool, lengths: Sequence[Dim]) -> Tensor:
    """Return y by the factor of a transform of these lengths."""
    mode = norm or "backward"
    if mode not in _SHARES:
        refuse(f"norm must be 'backward', 'ortho' or 'forward', not {norm!r}")
    share = _SHARES[mode][inverse]
    count = product(lengths)
    if share == 0:
        return y
    if isinstance(count, Size):
        n = constant(count, real_dtype(y.dtype))
        factor = ops.cast(1 / (ops.sqrt(n) if share == 0.5 else n), y.dtype)
        return ops.mul(y, ops.broadcast_to(factor, y.shape))
    scaled: Tensor = y * count**-share
    return scaled


def _fitted(x: Tensor, axis: int, n: Any) -> tuple[Tensor, Dim]:
    """Return x cut off, or filled up with zeros, to the length n along an axis, and that length; None leaves it."""
    m = x.shape[axis]
    if n is None:
        return x, m
    length = size_of(n)
    if not at_least(length, 1):
        refuse(f"a Fourier transform needs at least one point, not {length}")
    if equal(length, m):
        return x, length
    if at_least(m, length):
        stops = [length if k == axis else size for k, size in enumerate(x.shape)]
        return ops.slice_(x, (0,) * x.ndim, stops, (1,) * x.ndim), length
    high = [length - m if k == axis else 0 for k in range(x.ndim)]
    return ops.pad(x, (0,) * x.ndim, high), length


def _places(x: Tensor, s: Any, axes: Any) -> tuple[list[int], list[Any]]:
    """Return the axes of a transform over several, and the length that each is fitted to (None: its own)."""
    if axes is None:
        chosen = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
    else:
        chosen = [axis_of(axis, x.ndim) for axis in axes]
    lengths: list[Any] = [None] * len(chosen) if s is None else [None if n in (None, -1) else n for n in s]
    if len(lengths) != len(chosen) or any(axis < 0 for axis in chosen):
        refuse(f"the lengths s={s} and the axes {axes} of a transform of {x.type} do not correspond")
    return chosen, lengths


def _as_complex(a: Any) -> Tensor:
    t = as_tensor(a)
    return ops.cast(t, complex_dtype(t.dtype))


def _as_real(a: Any, function: str) -> Tensor:
    """Return a real operand in single or double precision."""
    t = as_tensor(a)
    if is_complex(t.dtype):
        refuse(f"np.fft.{function} transforms real numbers, not {t.type}; use fft, or transform the real part")
    return ops.cast(t, real_dtype(complex_dtype(t.dtype)))


def _transformed(a: Any, s: Any, axes: Any, norm: str | None, inverse: bool) -> Tensor:
    x = _as_complex(a)
    chosen, lengths = _places(x, s, axes)
    return _along(x, chosen, lengths, norm, inverse)


def _along(x: Tensor, axes: Sequence[int], lengths: Sequence[Any], norm: str | None, inverse: bool) -> Tensor:
    if len(set(axes)) < len(axes):  # an axis named twice is transformed twice, the last first
        for axis, length in zip(reversed(axes), reversed(lengths), strict=True):
            x = _along(x, [axis], [length], norm, inverse)
        return x
    sizes = []
    for axis, length in zip(axes, lengths, strict=True):
        x, n = _fitted(x, axis, length)
        sizes.append(n)
    return _scaled(ops.fft(x, axes, inverse), norm, inverse, sizes)


@implements(np.fft.fft)
def fft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y[k] = sum over j of a[j] e^(-2 pi i jk/n) along `axis`, a cut off or filled up with zeros to n points."""
    no_out(out, "fft.fft")
    return _transformed(a, [n], [axis], norm, False)


@implements(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y[j] = 1/n times the sum over k of a[k] e^(2 pi i jk/n) along `axis`: the inverse of `fft`."""
    no_out(out, "fft.ifft")
    return _transformed(a, [n], [axis], norm, True)


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Tensor:
    """y = fft along each of `axes` (None: all, or the last ``len(s)``), with the lengths `s` (-1: as it is)."""
    no_out(out, "fft.fftn")
    return _transformed(a, s, axes, norm, False)


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Tensor:
    """y = ifft along each of `axes`: the inverse of `fftn`."""
    no_out(out, "fft.ifftn")
    return _transformed(a, s, axes, norm, True)


@implements(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Tensor:
    """y = fft along the last two axes (or `axes`)."""
    return fftn(a, s, axes, norm, out)


@implements(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Tensor:
    """y = ifft along the last two axes (or `axes`)."""
    return ifftn(a, s, axes, norm, out)


# Real numbers: half of their spectrum tells all of it.


@implements(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y[k] = fft(a)[k] for real a and k = 0 ... n // 2; a symbolic n is assumed to be even."""
    no_out(out, "fft.rfft")
    x = _as_real(a, "rfft")
    k = axis_of(axis, x.ndim)
    x, length = _fitted(x, k, n)
    return _scaled(ops.rfft(x, k), norm, False, [length])


@implements(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y = the n real numbers whose half spectrum is a: the inverse of `rfft`; n is 2 (m - 1) for m frequencies."""
    no_out(out, "fft.irfft")
    given = as_tensor(a)
    x = _as_complex(given)
    k = axis_of(axis, x.ndim)
    length = 2 * (x.shape[k] - 1) if n is None else size_of(n)
    x, _ = _fitted(x, k, ops.half_spectrum(length))
    y = _scaled(ops.irfft(x, k, length), norm, True, [length])
    return ops.cast(y, given.dtype) if given.dtype == np.float16 else y


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Tensor:
    """y = rfft along the last of `axes` (None: of all), fft along the others."""
    no_out(out, "fft.rfftn")
    x = _as_real(a, "rfftn")
    chosen, lengths = _last_given(*_places(x, s, axes))
    y = rfft(x, lengths[-1], chosen[-1], norm)
    return _along(y, chosen[:-1], lengths[:-1], norm, False)


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Tensor:
    """y = ifft along all but the last of `axes`, irfft along that: the inverse of `rfftn`."""
    no_out(out, "fft.irfftn")
    x = _as_complex(a)
    chosen, lengths = _last_given(*_places(x, s, axes))
    y = _along(x, chosen[:-1], lengths[:-1], norm, True)
    return irfft(y, lengths[-1], chosen[-1], norm)


def _last_given(axes: list[int], lengths: list[Any]) -> tuple[list[int], list[Any]]:
    if not axes:
        refuse("a transform of real numbers needs at least one axis")
    return axes, lengths


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Tensor:
    """y = rfft along the last axis, fft along the one before (or along `axes`)."""
    return rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Tensor:
    """y = ifft along the last axis but one, irfft along the last (or along `axes`): the inverse of `rfft2`."""
    return irfftn(a, s, axes, norm, out)


_SWAPPED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y = the real spectrum, of n numbers, of a signal that is the conjugate of its mirror image, given its half a."""
    no_out(out, "fft.hfft")
    return irfft(ops.conj(as_tensor(a)), n, axis, _SWAPPED.get(norm, norm))


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: str | None = None, out: None = None) -> Tensor:
    """y = half of the signal whose spectrum is the real a: the inverse of `hfft`."""
    no_out(out, "fft.ihfft")
    return ops.conj(rfft(a, n, axis, _SWAPPED.get(norm, norm)))


# Frequencies


def fftfreq(n: Any, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """y = (0, 1, ..., -2, -1) / (n d): the frequencies of `fft` of n samples with the spacing d."""
    check_device(device)
    length = size_of(n)
    k = ops.iota((length,), 0, _POSITION)
    total = ops.broadcast_to(constant(length, _POSITION), (length,))
    return _per(ops.where(2 * k < total, k, k - total), length, d, dtype)


def rfftfreq(n: Any, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """y = (0, 1, ..., n // 2) / (n d): the frequencies of `rfft` of n samples with the spacing d."""
    check_device(device)
    length = size_of(n)
    return _per(ops.iota((ops.half_spectrum(length),), 0, _POSITION), length, d, dtype)


def _per(k: Tensor, n: Dim, d: Any, dtype: Any) -> Tensor:
    """Return k / (n d)."""
    unit = 1.0 / (constant(n, _DOUBLE) * d)
    frequencies: Tensor = k * unit
    return ops.cast(frequencies, dtype_of(dtype, frequencies.dtype))


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Tensor:
    """y = x with the frequency 0 in the middle of `axes` (None: all); a symbolic size is assumed to be even."""
    return _shifted(x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """y = x with the frequency 0 back at the start of `axes` (None: all): the inverse of `fftshift`."""
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: Any, sign: int) -> Tensor:
    t = as_tensor(x)
    given = range(t.ndim) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
    for axis in given:
        k = axis_of(axis, t.ndim)
        n = t.shape[k]
        t = _halves_swapped(t, k, n // 2) if isinstance(n, Size) else roll(t, sign * (n // 2), k)
    return t


def _halves_swapped(x: Tensor, axis: int, half: Dim) -> Tensor:
    n = x.shape[axis]
    parts = []
    for start, stop in ((half, n), (0, half)):
        starts = [start if k == axis else 0 for k in range(x.ndim)]
        stops = [stop if k == axis else size for k, size in enumerate(x.shape)]
        parts.append(ops.slice_(x, starts, stops, (1,) * x.ndim))
    return ops.concatenate(parts, axis)
