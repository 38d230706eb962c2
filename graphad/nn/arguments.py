"""Arguments of functions over spatial axes: one number for all axes, or one for each; padding by name or size."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from graphad.ir.dims import Dim, Size, static
from graphad.numpy.arguments import refuse

Pads = tuple[tuple[Dim, Dim], ...]


def each_axis(value: Any, count: int, what: str) -> tuple[int, ...]:
    """Return a positive number for each of `count` spatial axes."""
    items = [value] * count if not isinstance(value, (tuple, list)) else list(value)
    if len(items) != count:
        refuse(f"{what} must be one number, or one for each of {count} spatial axes, not {value!r}")
    numbers = tuple(operator.index(item) for item in items)
    if any(number < 1 for number in numbers):
        refuse(f"{what} must be positive, not {value!r}")
    return numbers


def pads_of(
    padding: Any, space: Sequence[Dim], kernel: Sequence[Dim], strides: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """Return how much to pad each spatial axis, before and after.

    Args:
        padding: "valid" (none); "same" (as much as gives ceil(size / stride) results, the odd one behind); a number
            for all sides; or for each axis a number or a pair (before, after).
        space, kernel, strides, dilation: one for each spatial axis.
    """
    count = len(space)
    if isinstance(padding, str):
        name = padding.lower()
        if name == "valid":
            return ((0, 0),) * count
        if name != "same":
            refuse(f"padding must be 'same', 'valid', or sizes, not {padding!r}")
        return tuple(_same(*axis) for axis in zip(space, kernel, strides, dilation, strict=True))
    items = [padding] * count if not isinstance(padding, (tuple, list)) else list(padding)
    if len(items) != count:
        refuse(f"padding must be one number, or one or a pair for each of {count} spatial axes, not {padding!r}")
    pads = []
    for item in items:
        low, high = item if isinstance(item, (tuple, list)) else (item, item)
        pads.append((operator.index(low), operator.index(high)))
    return tuple(pads)


def _same(n: Dim, k: Dim, stride: int, dilation: int) -> tuple[Dim, Dim]:
    extent = (k - 1) * dilation + 1
    if stride == 1:
        total: Dim = extent - 1
    elif isinstance(n, Size):
        refuse(f"padding='same' with stride {stride} along an axis of symbolic size {n}: give the sizes instead")
    else:
        total = max((-(-n // stride) - 1) * stride + static(extent) - n, 0)
    before = static(total) // 2
    return before, total - before
