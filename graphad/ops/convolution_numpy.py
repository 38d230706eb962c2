"""How NumPy computes convolutions: five ways, chosen by the sizes.

- `by_windows`: copy the window of every result element (im2col), then one product. The general way.
- `by_results`: for each result element, the product of its window, which is large. For few results: the gradient
  with respect to a kernel.
- `by_spreading`: one product for all places of the kernel, each added where it belongs. For spread-out images:
  transposed convolution.
- `by_multiples`: add multiples of shifted images. For one channel in and out of each group.
- `by_frequencies`: Fourier transforms. For large kernels; errors are then relative to the largest elements.

Arrays here are [batch, groups, channels in, *space] and [groups, channels out, channels in, *kernel].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]

_WINDOW_BYTES = 1 << 20
"""How much `by_windows` copies before it multiplies."""

_FEW_PLACES = 32
"""Kernels with fewer places are not worth a Fourier transform."""


def convolve(
    result: Array,
    x: Array,
    w: Array,
    strides: Sizes,
    padding: Sequence[tuple[int, int]],
    dilation: Sizes,
    lhs_dilation: Sizes,
    groups: int,
) -> None:
    """Write the convolution that `graphad.ops.convolution.Conv` describes into the contiguous `result`."""
    n, out, inner, space = x.shape[0], w.shape[0] // groups, w.shape[1], result.shape[2:]
    if not (result.size and w.size and x.size):
        result.fill(0)
        return
    y = result.reshape(n, groups, out, *space)
    x = x.reshape(n, groups, inner, *x.shape[2:])
    w = w.reshape(groups, out, inner, *w.shape[2:])
    if any(step > 1 for step in lhs_dilation):
        if all(step == 1 for step in strides):
            by_spreading(y, x, w, padding, dilation, lhs_dilation)
            return
        x = spread_out(x, lhs_dilation)
    x = padded(x, padding)
    places, results = int(np.prod(w.shape[3:])), int(np.prod(space))
    if _frequencies_pay(y, x, w) and np.isfinite(x).all() and np.isfinite(w).all():
        by_frequencies(y, x, w, strides, dilation)
    elif inner == 1 and out == 1:
        by_multiples(y, x, w, strides, dilation)
    elif results * 4 <= places:
        by_results(y, x, w, strides, dilation)
    else:
        by_windows(y, x, w, strides, dilation)


def temporary_bytes(
    result: Sizes,
    x: Sizes,
    w: Sizes,
    itemsize: int,
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sizes,
    groups: int,
) -> int:
    """Return the most bytes that `convolve` allocates at once for arrays of these shapes, whichever way it takes."""
    images, results, places = x[0] * x[1], math.prod(result[2:]), math.prod(w[2:])
    if any(step > 1 for step in lhs_dilation):
        # The product of one place is there while that of the next is made, of a part of the kernel.
        spreading = 2 * result[0] * result[1] * math.prod(x[2:]) + w[0] * w[1]
    else:
        spreading = 0
    spread = [max((n - 1) * step + 1, 0) for n, step in zip(x[2:], lhs_dilation, strict=True)]
    grown = [n + max(low, 0) + max(high, 0) for n, (low, high) in zip(spread, padding, strict=True)]
    image = images * (math.prod(spread) * (spread != list(x[2:])) + math.prod(grown) * (grown != spread))
    sample = x[1] * places * results
    ways = [max(sample, min(x[0] * sample, _WINDOW_BYTES // itemsize))]
    if results * 4 <= places:
        ways.append(2 * images * places + result[0] * result[1])
    if w[1] == 1 and w[0] == groups:
        ways.append(math.prod(result))
    if places >= _FEW_PLACES:
        points = math.prod(map(fast_length, grown))
        ways.append(3 * (images + w[0] * w[1] + result[0] * result[1]) * points)
    return itemsize * max(spreading, image + max(ways))


def at(*index: Any) -> Any:
    """Return an index of several parts."""
    return index


def padded(x: Array, padding: Sequence[tuple[int, int]]) -> Array:
    """Return x with zeros round its spatial axes, or cut where padding is negative."""
    cut = [slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape[3:], padding, strict=True)]
    x = x[at(..., *cut)] if cut else x
    grown = [(max(low, 0), max(high, 0)) for low, high in padding]
    if not any(low or high for low, high in grown):
        return x
    shape = [low + n + high for n, (low, high) in zip(x.shape[3:], grown, strict=True)]
    result = np.zeros((*x.shape[:3], *shape), x.dtype)
    result[at(..., *(slice(low, low + n) for n, (low, _) in zip(x.shape[3:], grown, strict=True)))] = x
    return result


def spread_out(x: Array, steps: Sizes) -> Array:
    """Return x with ``step - 1`` zeros between the elements of each spatial axis."""
    shape = [(n - 1) * step + 1 if n else 0 for n, step in zip(x.shape[3:], steps, strict=True)]
    result = np.zeros((*x.shape[:3], *shape), x.dtype)
    result[at(..., *(slice(None, None, step) for step in steps))] = x
    return result


def shifts(kernel: Sizes, dilation: Sizes) -> Iterator[tuple[Sizes, Sizes]]:
    """Give each place in the kernel and how far it lies from the first."""
    for place in itertools.product(*map(range, kernel)):
        yield place, tuple(k * step for k, step in zip(place, dilation, strict=True))


def _window(shift: Sizes, space: Sizes, strides: Sizes) -> tuple[slice, ...]:
    """Return what of the image one place of the kernel meets, for all results."""
    return tuple(
        slice(first, first + (n - 1) * step + 1, step) for first, n, step in zip(shift, space, strides, strict=True)
    )


def by_multiples(y: Array, x: Array, w: Array, strides: Sizes, dilation: Sizes) -> None:
    """Add multiples of shifted images: one channel in, one out."""
    space = y.shape[3:]
    if y.size == y.shape[-1] and len(space) == 1 and strides == (1,) and dilation == (1,):
        y[0, 0, 0] = np.correlate(x[0, 0, 0], np.conj(w[0, 0, 0]), "valid")
        return
    y.fill(0)
    term = np.empty_like(y)
    for place, shift in shifts(w.shape[3:], dilation):
        weights = w[at(slice(None), slice(None), 0, *place)].reshape(w.shape[0], 1, *(1,) * len(space))
        np.multiply(x[at(..., *_window(shift, space, strides))], weights, out=term)
        np.add(y, term, out=y)


def by_windows(y: Array, x: Array, w: Array, strides: Sizes, dilation: Sizes) -> None:
    """Copy windows to [batch, groups, channels in * kernel, *space] and multiply the kernel by them."""
    kernel, space = w.shape[3:], y.shape[3:]
    groups, out, inner = w.shape[:3]
    results, places = int(np.prod(space)), int(np.prod(kernel))
    matrix = w.reshape(groups, out, inner * places)
    sample_bytes = groups * inner * places * results * x.itemsize
    count = max(1, min(len(x), _WINDOW_BYTES // sample_bytes))
    windows = np.empty((count, groups, inner, *kernel, *space), x.dtype)
    for start in range(0, len(x), count):
        part = x[start : start + count]
        held = windows[: len(part)]
        for place, shift in shifts(kernel, dilation):
            held[at(slice(None), slice(None), slice(None), *place)] = part[at(..., *_window(shift, space, strides))]
        columns = held.reshape(len(part), groups, inner * places, results)
        np.matmul(matrix, columns, out=y[start : start + count].reshape(len(part), groups, out, results))


def _frequencies_pay(y: Array, x: Array, w: Array) -> bool:
    """Estimate whether Fourier transforms take less than half the time of products (which are exacter).

    The speeds, in operations a nanosecond, were measured (tools/bench/conv.py); only their ratios matter.
    """
    places, points = int(np.prod(w.shape[3:])), int(np.prod(x.shape[3:]))
    if x.dtype.kind != "f" or places < _FEW_PLACES:
        return False
    pairs = y.shape[0] * w.shape[0] * w.shape[1] * w.shape[2]
    single = w.shape[1] == w.shape[2] == 1
    speed = 15 if not single or y.size == y.shape[-1] else 2.5
    direct = 2 * pairs * places * int(np.prod(y.shape[3:])) / speed
    transformed = x.size + (w.size // places + y.shape[0] * w.shape[0] * w.shape[1]) * points
    return bool(direct > 2 * (transformed * np.log2(points + 1) / 2.3 + 8 * pairs * points / 5))


def fast_length(n: int) -> int:
    """Return the smallest number from n on without prime factors above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def by_frequencies(y: Array, x: Array, w: Array, strides: Sizes, dilation: Sizes) -> None:
    """Multiply the transform of the image by the conjugate of the kernel's, and transform back."""
    if any(step > 1 for step in dilation):
        w = spread_out(w, dilation)
    axes = tuple(range(3, x.ndim))
    # Results whose window lies inside are right on a circle of the image's size.
    lengths = [fast_length(n) for n in x.shape[3:]]
    spectrum, kernel = np.fft.rfftn(x, lengths, axes), np.fft.rfftn(w, lengths, axes)
    if w.shape[2] == 1:
        mixed = spectrum * np.conj(kernel[:, :, 0])
    else:
        mixed = np.einsum("ngi...,goi...->ngo...", spectrum, np.conj(kernel))
    circle = np.fft.irfftn(mixed, lengths, axes)
    origin = (0,) * len(axes)
    np.copyto(y, circle[at(..., *_window(origin, y.shape[3:], strides))])


def by_results(y: Array, x: Array, w: Array, strides: Sizes, dilation: Sizes) -> None:
    """Multiply the window of each result, as a row for each sample, by the whole kernel."""
    groups, out = w.shape[:2]
    matrix = w.reshape(groups, out, -1).transpose(0, 2, 1)
    for place in itertools.product(*map(range, y.shape[3:])):
        first = [t * step for t, step in zip(place, strides, strict=True)]
        window = x[at(..., *_window(tuple(first), w.shape[3:], dilation))]
        rows = np.moveaxis(window, 0, 1).reshape(groups, len(x), -1)
        y[at(..., *place)] = np.matmul(rows, matrix).transpose(1, 0, 2)


def by_spreading(
    y: Array, x: Array, w: Array, padding: Sequence[tuple[int, int]], dilation: Sizes, lhs_dilation: Sizes
) -> None:
    """Multiply the kernel of each place by the image, and add the product to every `lhs_dilation`-th result."""
    y.fill(0)
    image = x.shape[3:]
    flat = x.reshape(*x.shape[:3], -1)
    for place, shift in shifts(w.shape[3:], dilation):
        targets, sources = [], []
        for axis, step in enumerate(lhs_dilation):
            # Element j of the image lies at result j * step + origin; keep those that are inside.
            origin = padding[axis][0] - shift[axis]
            first = max(0, -(origin // step))
            count = max(0, min(image[axis], (y.shape[3 + axis] - 1 - origin) // step + 1) - first)
            sources.append(slice(first, first + count))
            start = first * step + origin
            targets.append(slice(start, start + max(0, (count - 1) * step + 1), step) if count else slice(0, 0))
        if any(s.stop == s.start for s in sources):
            continue
        product = np.matmul(w[at(slice(None), slice(None), slice(None), *place)], flat)
        y[at(..., *targets)] += product.reshape(*y.shape[:3], *image)[at(..., *sources)]
