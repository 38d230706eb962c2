"""Casts of lanes between the real dtypes, as `astype` makes them on x86-64, whatever machine the code runs on.

What may enter: conversions whose results, out-of-range floats and nan included, are NumPy's. There C's conversion is
undefined and NumPy gives what the processor's instruction gives: the "indefinite integer", the lowest signed one.
"""

from __future__ import annotations

from graphad.execute.native.lanes import Lanes


def cast(x: Lanes, kind: str) -> Lanes:
    """Return x as another kind: floats truncated towards zero, integers wrapped, anything but 0 true.

    A float that no integer of the kind is near goes the way of the instruction NumPy uses: kinds of up to 16 bits wrap
    the 32-bit result, "u32" the 64-bit one, and "u64" converts x - 2^63 from 2^63 on.
    """
    if x.kind[0] != "f" or kind[0] == "f" or kind == "bool":
        return x.convert(kind)
    if kind == "u64":
        return _to_u64(x)
    if kind in ("i64", "u32"):
        return _truncated(x, 64).convert(kind)
    return _truncated(x, 32).convert(kind)


def _truncated(x: Lanes, bits: int) -> Lanes:
    """Return x truncated to a signed integer; the lowest one where it has none."""
    limit = 2.0 ** (bits - 1)
    inside = (x >= -limit) & (x < limit)
    # Outside, the converted value is poison, and not selected.
    return inside.select(x.convert(f"i{bits}"), -(1 << (bits - 1)))


def _to_u64(x: Lanes) -> Lanes:
    half = 2.0**63
    large = x >= half
    low = _truncated(large.select(x - half, x), 64)
    return large.select(low ^ (-(1 << 63)), low).bitcast("u64")
