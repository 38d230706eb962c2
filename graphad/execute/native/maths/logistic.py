"""The logistic function and logarithms of sums of exponentials."""

from __future__ import annotations

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import sum_of_ordered
from graphad.execute.native.maths.exponential import EXP_BOUNDS, exp_inside
from graphad.execute.native.maths.formats import at_least


def expit(x: Lanes) -> Lanes:
    """y = 1 / (1 + e^-x), the logistic function, through e^-|x|, which does not overflow.

    Args:
        x: f32 or f64.
    """
    power = exp_inside(at_least(-x.abs(), EXP_BOUNDS[x.kind].low))
    above, error = sum_of_ordered(power.constant(1.0), power)
    quotient = (x < 0.0).select(power, 1.0) / above
    # The error matters most where `above` is near 1, so that dividing it by `above` is not worth the trouble.
    return quotient.fma(-error, quotient)
