"""The length of a vector of two."""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes

_BIG, _SMALL = 2.0**500, 2.0**-450
_SHRINK, _GROW = 2.0**-600, 2.0**600


def hypot(x: Lanes, y: Lanes) -> Lanes:
    """(x^2 + y^2)^(1/2) without overflow: below 1.1 ulp in f64, 0.51 in f32.

    inf where one is infinite, though the other be nan. f32 is computed in f64, where its squares are exact.
    """
    infinite = x.abs().equals(math.inf) | y.abs().equals(math.inf)
    if x.kind == "f32":
        a, b = x.convert("f64"), y.convert("f64")
        length = a.fma(a, b * b).sqrt().convert("f32")
    else:
        a, b = x.abs(), y.abs()
        swapped = a < b
        large, small = swapped.select(b, a), swapped.select(a, b)
        big, tiny = large > _BIG, large < _SMALL
        scale = big.select(x.constant(_SHRINK), tiny.select(x.constant(_GROW), 1.0))
        back = big.select(x.constant(_GROW), tiny.select(x.constant(_SHRINK), 1.0))
        large, small = large * scale, small * scale
        length = large.fma(large, small * small).sqrt() * back
    return infinite.select(math.inf, length)
