"""Integer arithmetic of lanes that is more than one instruction: NumPy's division, shifts, powers, common divisors.

What may enter: formulas on "iN" and "uN" lanes. Results are NumPy's where C leaves them undefined: 0 for a zero
divisor, wrapping for the lowest integer over -1, all bits shifted out for a count beyond the width.
"""

from __future__ import annotations

from graphad.execute.native.lanes import Lanes, bits_of
from graphad.execute.native.loops import repeat


def absolute(x: Lanes) -> Lanes:
    """|x|; the lowest integer stays itself."""
    return x if x.kind[0] == "u" else (x < 0).select(-x, x)


def sign(x: Lanes) -> Lanes:
    """-1, 0 or 1."""
    positive = (x > 0).convert(x.kind)
    return positive if x.kind[0] == "u" else positive - (x < 0).convert(x.kind)


def maximum(a: Lanes, b: Lanes) -> Lanes:
    """The larger."""
    return (a > b).select(a, b)


def minimum(a: Lanes, b: Lanes) -> Lanes:
    """The smaller."""
    return (a < b).select(a, b)


# Division


def _truncated_quotient(a: Lanes, b: Lanes) -> Lanes:
    """a / b towards zero; 0 where b is 0."""
    zero = b.equals(0)
    signed = a.kind[0] == "i"
    flips = b.equals(-1) if signed else None
    bits = bits_of(a.kind)
    if a.count == 1 or bits == 64 or not b.text.startswith("%"):
        # The instruction (LLVM multiplies instead for a constant b); it traps on what is not to be divided.
        wrong = zero | flips if flips is not None else zero
        safe = wrong.select(1, b)
        quotient = a.with_(f"{'sdiv' if signed else 'udiv'} {a.type} {a.text}, {safe.text}")
    else:
        # In floats whose rounding is finer than 1/|a|: a quotient below an integer stays below it.
        wide, middle = ("f32", "i32") if bits <= 16 else ("f64", a.kind)
        quotient = (a.convert(wide) / b.convert(wide)).convert(middle).convert(a.kind)
    if flips is not None:
        quotient = flips.select(-a, quotient)
    return zero.select(0, quotient)


def floor_divide(a: Lanes, b: Lanes) -> Lanes:
    """floor(a / b); 0 where b is 0."""
    quotient = _truncated_quotient(a, b)
    if a.kind[0] == "u":
        return quotient
    rest = a - quotient * b
    return quotient - (_crosses(rest, b) & b.differs(0)).convert(a.kind)


def remainder(a: Lanes, b: Lanes) -> Lanes:
    """a - floor(a / b) b, with the sign of b; 0 where b is 0."""
    rest = fmod(a, b)
    return rest if a.kind[0] == "u" else _crosses(rest, b).select(rest + b, rest)


def fmod(a: Lanes, b: Lanes) -> Lanes:
    """a - trunc(a / b) b, with the sign of a; 0 where b is 0."""
    return b.equals(0).select(0, a - _truncated_quotient(a, b) * b)


def _crosses(rest: Lanes, b: Lanes) -> Lanes:
    """Return where a truncated quotient is not the floor: the rest is not 0 and has not the sign of b."""
    return rest.differs(0) & ((rest ^ b) < 0)


def reciprocal(x: Lanes) -> Lanes:
    """1 / x towards zero; at 0 what a cast of inf gives: the lowest integer for "i32" and "i64", else 0."""
    at_zero = -(1 << (bits_of(x.kind) - 1)) if x.kind in ("i32", "i64") else 0
    unit = x.equals(1)
    if x.kind[0] == "i":
        unit = unit | x.equals(-1)
    return x.equals(0).select(at_zero, unit.select(x, 0))


# Shifts and bits


def shift_left(a: Lanes, b: Lanes) -> Lanes:
    """a 2^b; 0 where b is not less than the width (or negative)."""
    return _within(a, b).select(a << b, 0)


def shift_right(a: Lanes, b: Lanes) -> Lanes:
    """a / 2^b, rounded down; only the sign stays where b is not less than the width (or negative)."""
    rest = a >> (bits_of(a.kind) - 1) if a.kind[0] == "i" else 0
    return _within(a, b).select(a >> b, rest)


def _within(a: Lanes, b: Lanes) -> Lanes:
    bits = bits_of(a.kind)
    return b.bitcast(f"u{bits}") < bits


def count_ones(x: Lanes) -> Lanes:
    """Return the number of bits set in |x|, as "u8"."""
    return absolute(x).intrinsic("ctpop").convert("u8")


# Loops


def power(a: Lanes, b: Lanes) -> Lanes:
    """a^b for b >= 0, wrapping."""
    unsigned = f"u{bits_of(b.kind)}"

    def square(base: Lanes, rest: Lanes, product: Lanes) -> tuple[Lanes, Lanes, Lanes]:
        return base * base, rest >> 1, (rest & 1).differs(0).select(product * base, product)

    start = (a, b.bitcast(unsigned), a.constant(1))
    return repeat(start, lambda base, rest, product: rest.differs(0), square)[2]


def gcd(a: Lanes, b: Lanes) -> Lanes:
    """Greatest common divisor of |a| and |b|; gcd(0, b) = |b|.

    Stein's algorithm: twos are shifted out, and the smaller odd number is subtracted from the larger.
    """
    unsigned = f"u{bits_of(a.kind)}"
    x, y = absolute(a).bitcast(unsigned), absolute(b).bitcast(unsigned)
    odd = _odd(y)

    def subtract(left: Lanes, right: Lanes) -> tuple[Lanes, Lanes]:
        done = right.equals(0)
        low, high = minimum(left, right), maximum(left, right)
        return done.select(left, low), done.select(right, _odd(high - low))

    start = (x.equals(0).select(odd, _odd(x)), odd)
    common, _ = repeat(start, lambda left, right: right.differs(0), subtract)
    both = x | y
    return both.equals(0).select(0, common << _trailing_zeros(both)).bitcast(a.kind)


def lcm(a: Lanes, b: Lanes) -> Lanes:
    """Least common multiple of |a| and |b|, wrapping; 0 where one is 0."""
    unsigned = f"u{bits_of(a.kind)}"
    x, y = absolute(a).bitcast(unsigned), absolute(b).bitcast(unsigned)
    return (_truncated_quotient(x, gcd(x, y)) * y).bitcast(a.kind)


def _odd(x: Lanes) -> Lanes:
    """Return x without its factors of two; 0 of 0."""
    return x.equals(0).select(0, x >> _trailing_zeros(x))


def _trailing_zeros(x: Lanes) -> Lanes:
    """Return the number of factors of two; the width for 0."""
    return ((x - 1) & ~x).intrinsic("ctpop")
