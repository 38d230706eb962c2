"""Blocks: how an array is cut where an op goes over it piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphad.ir.dims import product


def blocks(shape: tuple[int, ...], elements: int) -> Iterator[Any]:
    """Yield indices (of NumPy's basic kind) that cut an array into pieces of at most `elements`."""
    if product(shape) <= elements:
        yield (...,)
        return
    inner, axis = 1, len(shape)
    while axis > 0 and inner * shape[axis - 1] <= elements:
        axis -= 1
        inner *= shape[axis]
    rows = max(1, elements // inner)
    for outer in np.ndindex(*shape[: axis - 1]):
        for start in range(0, shape[axis - 1], rows):
            yield (*outer, slice(start, start + rows), ...)
