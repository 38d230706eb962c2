"""The logistic function and its logarithm."""

from __future__ import annotations

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import sum_of_ordered
from graphad.execute.native.maths.exponential import EXP_BOUNDS, exp_inside
from graphad.execute.native.maths.formats import at_least
from graphad.execute.native.maths.polynomial import polynomial, polynomial_in_two

ATANH_TERMS = {
    "f64": (0.6666666666666631, 0.4000000000015626, 0.2857142854794774, 0.22222223965095647, 0.18181744058691782,
            0.153865575429118, 0.13301000028702128, 0.12105907759244876, 0.08340770384382421, 0.17017510041660563),
    "f32": (0.66666675, 0.39998877, 0.28616902, 0.21427463, 0.24301735),
}  # fmt: skip
"""(log(1 + p) / s - 2) / s^2 by s^2, where s = p / (2 + p), for 0 <= p <= 1 (Remez exchange)."""


def exp_of_negative(x: Lanes) -> Lanes:
    """e^x for x <= 0, or nan."""
    return exp_inside(at_least(x, EXP_BOUNDS[x.kind].low))


def expit(x: Lanes) -> Lanes:
    """y = 1 / (1 + e^-x), the logistic function, through e^-|x|, which does not overflow.

    Args:
        x: f32 or f64.
    """
    power = exp_of_negative(-x.abs())
    above, error = sum_of_ordered(power.constant(1.0), power)
    quotient = (x < 0.0).select(power, 1.0) / above
    # The error matters most where `above` is near 1, so that dividing it by `above` is not worth the trouble.
    return quotient.fma(-error, quotient)


def log1p_of_unit(p: Lanes) -> Lanes:
    """log(1 + p) for 0 <= p <= 1, without taking exponents apart."""
    s = p / (p + 2.0)
    z = s * s
    half_square = p * 0.5 * p
    terms = ATANH_TERMS[p.kind]
    series = polynomial_in_two(z, z * z, terms) if p.kind == "f64" else polynomial(z, terms)
    return p - (half_square - s * z.fma(series, half_square))


def softplus(x: Lanes) -> Lanes:
    """y = log(1 + e^x) without overflow.

    Args:
        x: f32 or f64.
    """
    return (x > 0.0).select(x, 0.0) + log1p_of_unit(exp_of_negative(-x.abs()))


def log_expit(x: Lanes) -> Lanes:
    """y = log(1 / (1 + e^-x)) = -softplus(-x).

    Args:
        x: f32 or f64.
    """
    # -0.0, so that the result is negative where e^-x is 0.
    return (x < 0.0).select(x, -0.0) - log1p_of_unit(exp_of_negative(-x.abs()))
