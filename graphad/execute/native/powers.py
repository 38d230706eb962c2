"""Powers of floats with a fixed exponent: the few that multiplications, divisions and roots make.

What may enter: forms that neither overflow nor underflow where the power does not, at three roundings or fewer.
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes


def power_constant(x: Lanes, exponent: float) -> Lanes | None:
    """x^exponent, with C's `pow` of zeros, infinities and nan; None for an exponent that needs `pow` itself."""
    form = _FORMS.get(exponent)
    return None if form is None else form(x)


def _one(x: Lanes) -> Lanes:
    return x.constant(1.0)


def _same(x: Lanes) -> Lanes:
    return x


def _square(x: Lanes) -> Lanes:
    return x * x


def _cube(x: Lanes) -> Lanes:
    return x * x * x


def _fourth(x: Lanes) -> Lanes:
    return _square(_square(x))


def _inverse(x: Lanes) -> Lanes:
    return 1.0 / x


def _inverse_square(x: Lanes) -> Lanes:
    # The square of the inverse: the inverse of the square would lose what is subnormal.
    return _square(1.0 / x)


def _root(x: Lanes) -> Lanes:
    # Adding 0 makes 0.0 of -0.0, whose root has the wrong sign.
    return x.equals(-math.inf).select(math.inf, (x + 0.0).sqrt())


def _inverse_root(x: Lanes) -> Lanes:
    return x.equals(-math.inf).select(0.0, 1.0 / (x + 0.0).sqrt())


def _root_of_cube(x: Lanes) -> Lanes:
    return x.equals(-math.inf).select(math.inf, (x + 0.0) * (x + 0.0).sqrt())


_FORMS = {
    0.0: _one,
    1.0: _same,
    2.0: _square,
    3.0: _cube,
    4.0: _fourth,
    -1.0: _inverse,
    -2.0: _inverse_square,
    0.5: _root,
    -0.5: _inverse_root,
    1.5: _root_of_cube,
}
