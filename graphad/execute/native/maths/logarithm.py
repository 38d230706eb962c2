"""Logarithms, and what is made of one: logit, x log(y), x log(1 + y), relative entropy.

x = 2^k m with 2^-1/2 <= m < 2^1/2, and log(m) by a polynomial: in s = (m - 1) / (m + 1) for f64 (as fdlibm's e_log.c
has it), in m - 1 for f32, where it is short enough to save the division. Coefficients are minimax fits (Remez
exchange, 48 digits).
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import polynomial_in_two, sum_of_ordered
from graphad.execute.native.maths.formats import format_of, split

ATANH_TERMS = (
    0.6666666666666734, 0.39999999999416397, 0.28571428742117616, 0.2222219859311837, 0.18183563590798982,
    0.15314063264580044, 0.1479587311658606,
)  # fmt: skip
"""(log(1 + f) / s - 2) / s^2 by s^2, where s = f / (2 + f): relative error of the logarithm below 2^-59."""

LOG_TERMS = (0.3333333, -0.25000823, 0.20001228, -0.16623338, 0.14201735, -0.13160372, 0.12761818, -0.07634264)
"""(log(1 + f) - f + f^2 / 2) / f^3 by f, for f32: relative error of the logarithm below 2^-27."""

LIFT = {"f64": 54, "f32": 25}
"""Denormals are multiplied by 2^LIFT, which makes them normal."""


def log_rest(m: Lanes, f: Lanes, half_square: Lanes) -> Lanes:
    """log(m) - f + f^2 / 2, for f = m - 1, 2^-1/2 <= m < 2^1/2 and f^2 / 2."""
    if f.kind == "f64":
        s = f / (m + 1.0)
        z = s * s
        return s * z.fma(polynomial_in_two(z, z * z, ATANH_TERMS), half_square)
    z = f * f
    return z * f * polynomial_in_two(f, z, LOG_TERMS)


def parts(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return k and m of ``x = 2^k m``, denormals too.

    Where there is no such k it is what makes the logarithm right: -inf at 0, inf at inf, nan at nan and below 0.
    """
    form, lift = format_of(x), LIFT[x.kind]
    small = x < form.tiny
    nowhere = x.equals(0.0).select(x.constant(math.inf), math.nan)
    lifted = (x > 0.0).select(x.constant(lift), nowhere)
    k, m = split(small.select(x * 2.0**lift, x), small.select(lifted, 0.0))
    return (x < math.inf).select(k, x), m


def log(x: Lanes) -> Lanes:
    """y = log(x), the natural logarithm; -inf at 0, nan below.

    Args:
        x: f32 or f64.
    """
    form = format_of(x)
    k, m = parts(x)
    f = m - 1.0
    half_square = f * 0.5 * f
    rest = k.fma(form.ln2_low, log_rest(m, f, half_square))
    return k.fma(form.ln2, f - (half_square - rest))
