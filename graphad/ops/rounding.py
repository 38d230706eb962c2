"""Elementwise rounding, division with remainder, signs, and other arithmetic that few programs use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import complex_, integers, real, sample
from graphad.ops.arithmetic import FIELD, ORDERED

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor


class Sign(Elementwise):
    """y = -1, 0 or 1 as x is negative, zero or positive."""

    ufunc, kinds = np.sign, ORDERED
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)), sample(integers(3)))


class Cbrt(Elementwise):
    """y = x^(1/3), real for negative x too."""

    ufunc, cost = np.cbrt, 10
    samples = (sample(real(3, 4, low=0.2)), sample(real(3, low=-2, high=-0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (3 * y * y),)


class Reciprocal(Elementwise):
    """y = 1 / x of integers, truncated: 0 where |x| > 1; at 0 what NumPy gives."""

    ufunc, kinds = np.reciprocal, "iu"
    no_gradient = "is defined on integers"
    samples = (sample(integers(3, 4, low=1)), sample(integers(3, low=-3, high=0)))


class FloorDivide(Elementwise):
    """y = floor(a / b)."""

    ufunc, arity, kinds = np.floor_divide, 2, ORDERED
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4), real(3, 4, low=0.5)), sample(integers(3), integers(3, low=1)))


class Remainder(Elementwise):
    """y = a - floor(a / b) b: the sign is that of b, as Python's %."""

    ufunc, arity, kinds = np.remainder, 2, ORDERED
    samples = (sample(real(3, 4), real(3, 4, low=2.5, high=4)), sample(integers(3), integers(3, low=1)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        return 1, -floor_divide(a, b)


class Fmod(Elementwise):
    """y = a - trunc(a / b) b: the sign is that of a, as C's fmod."""

    ufunc, arity, kinds = np.fmod, 2, ORDERED
    samples = (sample(real(3, 4), real(3, 4, low=2.5, high=4)), sample(integers(3), integers(3, low=1)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        return 1, -trunc(a / b)


class Hypot(Elementwise):
    """y = (a^2 + b^2)^(1/2) without overflow; the derivative at the origin is 0."""

    ufunc, arity, cost = np.hypot, 2, 8
    samples = (sample(real(3, 4), real(3, 4, low=0.2)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        from graphad.ops.comparison import equal
        from graphad.ops.selection import where

        safe = where(equal(y, y.zeros_like()), y.zeros_like() + 1, y)
        return a / safe, b / safe


class Floor(Elementwise):
    """y = the largest integer <= x."""

    ufunc, kinds = np.floor, "biuf"
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)), sample(integers(3)))


class Ceil(Elementwise):
    """y = the smallest integer >= x."""

    ufunc, kinds = np.ceil, "biuf"
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)), sample(integers(3)))


class Trunc(Elementwise):
    """y = x rounded towards zero."""

    ufunc, kinds = np.trunc, "biuf"
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)), sample(integers(3)))


class Rint(Elementwise):
    """y = the nearest integer to x, ties to even."""

    ufunc, kinds = np.rint, FIELD
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)), sample(complex_(3)))


class Copysign(Elementwise):
    """y = |a| with the sign of b."""

    ufunc, arity = np.copysign, 2
    samples = (sample(real(3, 4), real(3, 4)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        one = a.zeros_like() + 1
        return copysign(one, a) * copysign(one, b), None


class Nextafter(Elementwise):
    """y = the floating-point number next to a towards b."""

    ufunc, arity = np.nextafter, 2
    samples = (sample(real(3, 4), real(3, 4)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        return 1, None


class Spacing(Elementwise):
    """y = the distance from x to the next floating-point number."""

    ufunc = np.spacing
    no_gradient = "is piecewise constant"
    samples = (sample(real(3, 4)),)


class Heaviside(Elementwise):
    """y = 0 for x < 0, h for x = 0, 1 for x > 0."""

    ufunc, arity = np.heaviside, 2
    samples = (sample(real(3, 4), real(3, 4)),)

    def partials(self, x: Tensor, h: Tensor, y: Tensor) -> tuple[Any, Any]:
        from graphad.ops.comparison import equal
        from graphad.ops.selection import where

        return None, lambda t: where(equal(x, x.zeros_like()), t, t.zeros_like())


class Gcd(Elementwise):
    """y = the greatest common divisor of |a| and |b|."""

    ufunc, arity, kinds = np.gcd, 2, "iu"
    no_gradient = "is defined on integers"
    samples = (sample(integers(3, 4), integers(3, 4)),)


class Lcm(Elementwise):
    """y = the least common multiple of |a| and |b|."""

    ufunc, arity, kinds = np.lcm, 2, "iu"
    no_gradient = "is defined on integers"
    samples = (sample(integers(3, 4), integers(3, 4)),)


sign = function_of(Sign)
cbrt = function_of(Cbrt)
floor_divide = function_of(FloorDivide)
remainder = function_of(Remainder)
fmod = function_of(Fmod)
hypot = function_of(Hypot)
floor = function_of(Floor)
ceil = function_of(Ceil)
trunc = function_of(Trunc)
rint = function_of(Rint)
copysign = function_of(Copysign)
nextafter = function_of(Nextafter)
spacing = function_of(Spacing)
heaviside = function_of(Heaviside)
gcd = function_of(Gcd)
lcm = function_of(Lcm)
