"""Reduction of large angles by Payne and Hanek."""

from __future__ import annotations

import math

from graphad.execute.native.code import Module
from graphad.execute.native.lanes import Lanes, constant, load
from graphad.execute.native.maths.rare import where_rare
from graphad.ir.frozen import frozen

_BITS = 64 * 20
"""Bits of 2/pi in the table: the largest exponent, 192 bits for the product's precision, and a word of zeros before."""


def _two_over_pi() -> int:
    """Return floor(2/pi 2^(_BITS - 64)), by Machin's formula in integers."""
    scale = 1 << (_BITS + 64)

    def arctan_of_inverse(n: int) -> int:
        term, total, k = scale // n, 0, 0
        while term:
            total += (-1) ** k * term // (2 * k + 1)
            term //= n * n
            k += 1
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return (2 * scale << (_BITS - 64)) // pi


def _table(module: Module) -> str:
    bits = _two_over_pi()
    words = [(bits >> (_BITS - 64 * (k + 1))) & (2**64 - 1) for k in range(_BITS // 64)]
    return module.table("graphad_two_over_pi", "i64", [str(w - (w >> 63 << 64)) for w in words])


def _large(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return r, the rest and q of one f64 x >= 2; r and the rest are nan where x is infinite or nan.

    r is almost always correctly rounded. x = m 2^e with m < 2^53. Bits of 2/pi whose product with x is a multiple of 4
    are left out; of the others the first 192 give the quadrant, and the fraction to 2^-137, while no f64 comes nearer
    to a multiple of pi/2 than 2^-61.
    """
    code = x.code
    table = _table(code.module)
    bits = x.bitcast("u64")
    exponent = bits >> 52
    mantissa = (bits & (2**52 - 1)) | 2**52
    finite = exponent < 2047
    # The first bit of weight 2 or less stands at e - 1, e = exponent - 1075, counted behind the point and the 64 zeros.
    position = finite.select(exponent, 1075) + (64 - 1075 - 2)
    shift = (position & 63).convert("u128")
    place = code.value(f"getelementptr i64, ptr {table}, i64 {(position >> 6).text}")
    words = []
    for k in range(4):
        word = load(code, "u64", code.value(f"getelementptr i64, ptr {place}, i64 {k}"))
        words.append(word.convert("u128"))
    # Three words of 2/pi from `position` on, and their product with the mantissa modulo 2^192.
    high, middle, low = (
        (((words[k] << 64) | words[k + 1]) << shift >> 64).convert("u64").convert("u128") for k in range(3)
    )
    wide = mantissa.convert("u128")
    carry = ((wide * low) >> 64) + wide * middle
    product = carry + ((wide * high) << 64)
    # product / 2^126 is x 2/pi modulo 4: two bits of quadrant, rounded, and a signed fraction.
    quadrant = ((product + (1 << 125)) >> 126).convert("u64")
    fraction = (product << 2).bitcast("i128")
    negative = fraction < 0
    size = negative.select(-fraction, fraction).bitcast("u128")
    code.module.declare("llvm.ctlz.i128", "i128", ["i128", "i1"])
    zeros = Lanes(code, "u128", 1, code.call("i128", "llvm.ctlz.i128", [("i128", size.text), ("i1", "false")]))
    size = size << zeros
    first = (size >> 75).convert("u64").convert("f64")
    second = ((size >> 22).convert("u64") & (2**53 - 1)).convert("f64") * 2.0**-53
    scale = ((1023 - 53 - zeros.convert("u64")) << 52).bitcast("f64")
    half_pi, rest = math.pi / 2, 6.123233995736766e-17
    main = first * half_pi
    error = first.fma(half_pi, -main)
    correction = second.fma(half_pi, first.fma(rest, error))
    r = main + correction
    scale = negative.select(-scale, scale)
    nan = constant(code, "f64", math.nan)
    return finite.select(r * scale, nan), (correction - (r - main)) * scale, quadrant


@frozen(slots=True)
class Angle:
    """The angle q pi/2 + r + rest, |r| <= pi/4, rest below r's last place, q an unsigned integer modulo 4 or more."""

    r: Lanes
    rest: Lanes
    q: Lanes


def _large_in_f32(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return what `_large` does of one f32, rounded to f32."""
    wide, _, q = _large(x.convert("f64"))
    r = wide.convert("f32")
    return r, (wide - r.convert("f64")).convert("f32"), q.convert("u32")


_FORMULAS = {"f64": _large, "f32": _large_in_f32}


def with_large(size: Lanes, limit: float, usual: Angle) -> Angle:
    """Return the angle `size` >= 0: `usual`, but anew where it is above `limit` > 2; nan where it is infinite."""
    kind = size.kind
    parts = usual.r, usual.rest, usual.q
    return Angle(*where_rare(size > limit, [size], parts, f"graphad_large_angles_{kind}", _FORMULAS[kind]))
