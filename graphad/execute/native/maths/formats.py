"""The floating-point formats, and taking their numbers apart: exponents, significands, signs.

What may enter: constants of a format and the few integer instructions that read or build its bits.
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.ir.frozen import frozen


@frozen(slots=True)
class Format:
    """A binary floating-point format.

    Attributes:
        bits: the kind of integers of its width.
        mantissa: stored bits of the significand.
        bias: of the exponent.
        round_to_integer: 1.5 * 2^mantissa; adding it leaves an integer, in the lowest bits.
        tiny: the smallest normal number.
        huge: where sums come near overflow: above it logarithms take a quarter, beside which 1 is nothing still.
        root_half: the bits of a number just below 2^-1/2, where logarithms cut significands.
        ln2, ln2_low: log(2) as a sum of two positive numbers of the format.
    """

    bits: str
    mantissa: int
    bias: int
    round_to_integer: float
    tiny: float
    huge: float
    root_half: int
    ln2: float
    ln2_low: float

    @property
    def exponent_mask(self) -> int:
        """Bits of the exponent; the bits of infinity."""
        return (2 * self.bias + 1) << self.mantissa

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.mantissa


FORMATS = {
    "f64": Format(
        "u64", 52, 1023, 1.5 * 2.0**52, 2.0**-1022, 2.0**1000, 0x3FE6A09E00000000, math.log(2), 2.3190468138462996e-17
    ),
    "f32": Format(
        "u32", 23, 127, 1.5 * 2.0**23, 2.0**-126, 2.0**120, 0x3F3504F3, 0.6931471228599548, 5.7699990475432854e-08
    ),
}


def format_of(x: Lanes) -> Format:
    """Return the format of a float value."""
    return FORMATS[x.kind]


def power_of_two(shifted: Lanes, kind: str) -> Lanes:
    """2^n of the result's kind, for -bias < n <= bias.

    Args:
        shifted: a float whose lowest bits hold n + bias: ``n + (round_to_integer + bias)``.
        kind: its kind.
    """
    form = FORMATS[kind]
    return (shifted.bitcast(form.bits) << form.mantissa).bitcast(kind)


def two_powers_of_two(shifted: Lanes) -> tuple[Lanes, Lanes]:
    """Two powers of two whose product is 2^n, for n over twice the range of exponents.

    Multiplied one after the other onto a number near 1 they overflow, and round to a denormal, only with the second.

    Args:
        shifted: a float whose lowest bits hold n + 2 bias: ``n + (round_to_integer + 2 bias)``.
    """
    form = format_of(shifted)
    number = shifted.bitcast(form.bits)
    half = (number << (form.mantissa - 1)) & form.exponent_mask
    rest = (number << form.mantissa) - half
    return half.bitcast(shifted.kind), rest.bitcast(shifted.kind)


def split(x: Lanes, lift: Lanes | float = 0.0) -> tuple[Lanes, Lanes]:
    """Take x = 2^k m apart into the floats k - lift and m, for normal positive x, with 2^-1/2 <= m < 2^1/2."""
    form = format_of(x)
    shifted = x.bitcast(form.bits) + (form.one - form.root_half)
    significand = (shifted & ((1 << form.mantissa) - 1)) + form.root_half
    count = 2.0**form.mantissa
    count_bits = (form.bias + form.mantissa) << form.mantissa
    exponent = ((shifted >> form.mantissa) | count_bits).bitcast(x.kind) - (lift + (count + form.bias))
    return exponent, significand.bitcast(x.kind)


def at_most(x: Lanes, bound: float) -> Lanes:
    """Return min(x, bound), nan where x is."""
    return (x.constant(bound) < x).select(bound, x)


def at_least(x: Lanes, bound: float) -> Lanes:
    """Return max(x, bound), nan where x is."""
    return (x.constant(bound) > x).select(bound, x)
