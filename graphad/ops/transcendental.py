"""Elementwise exponentials, logarithms, trigonometric and hyperbolic functions.

Value and partial of each in two lines; `partials(x, y)` reads y, the result, where that is cheaper than x.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ir.types import is_complex
from graphad.ops.arithmetic import FIELD, sqrt

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

LOG_2 = math.log(2)
LOG_10 = math.log(10)
DEGREE = math.pi / 180


class Exp(Elementwise):
    """y = e^x."""

    ufunc, cost, kinds = np.exp, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (y,)


class Exp2(Elementwise):
    """y = 2^x."""

    ufunc, cost, kinds = np.exp2, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (LOG_2 * y,)


class Expm1(Elementwise):
    """y = e^x - 1, accurate near 0."""

    ufunc, cost, kinds = np.expm1, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (y + 1,)


class Log(Elementwise):
    """y = log(x), the natural logarithm."""

    ufunc, cost, kinds = np.log, 10, FIELD
    samples = (sample(real(3, 4, low=0.2)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / x,)


class Log2(Elementwise):
    """y = log(x) / log(2)."""

    ufunc, cost, kinds = np.log2, 10, FIELD
    samples = (sample(real(3, 4, low=0.2)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (LOG_2 * x),)


class Log10(Elementwise):
    """y = log(x) / log(10)."""

    ufunc, cost, kinds = np.log10, 10, FIELD
    samples = (sample(real(3, 4, low=0.2)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (LOG_10 * x),)


class Log1p(Elementwise):
    """y = log(1 + x), accurate near 0."""

    ufunc, cost, kinds = np.log1p, 10, FIELD
    samples = (sample(real(3, 4, low=-0.8)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (1 + x),)


class Sin(Elementwise):
    """y = sin(x), x in radians."""

    ufunc, cost, kinds = np.sin, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (cos(x),)


class Cos(Elementwise):
    """y = cos(x), x in radians."""

    ufunc, cost, kinds = np.cos, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-sin(x),)


class Tan(Elementwise):
    """y = tan(x), x in radians."""

    ufunc, cost, kinds = np.tan, 10, FIELD
    samples = (sample(real(3, 4, low=-1.2, high=1.2)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 + y * y,)


class Arcsin(Elementwise):
    """y in [-pi/2, pi/2] with sin(y) = x."""

    ufunc, cost, kinds = np.arcsin, 10, FIELD
    samples = (sample(real(3, 4, low=-0.9, high=0.9)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / sqrt((1 - x) * (1 + x)),)


class Arccos(Elementwise):
    """y in [0, pi] with cos(y) = x."""

    ufunc, cost, kinds = np.arccos, 10, FIELD
    samples = (sample(real(3, 4, low=-0.9, high=0.9)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-1 / sqrt((1 - x) * (1 + x)),)


class Arctan(Elementwise):
    """y in [-pi/2, pi/2] with tan(y) = x."""

    ufunc, cost, kinds = np.arctan, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2, high=0.9)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (1 + x * x),)


class Sinh(Elementwise):
    """y = (e^x - e^-x) / 2."""

    ufunc, cost, kinds = np.sinh, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (cosh(x),)


class Cosh(Elementwise):
    """y = (e^x + e^-x) / 2."""

    ufunc, cost, kinds = np.cosh, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (sinh(x),)


class Tanh(Elementwise):
    """y = sinh(x) / cosh(x)."""

    ufunc, cost, kinds = np.tanh, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 - y * y,)


class Arcsinh(Elementwise):
    """y with sinh(y) = x."""

    ufunc, cost, kinds = np.arcsinh, 10, FIELD
    samples = (sample(real(3, 4)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / sqrt(x * x + 1),)


class Arccosh(Elementwise):
    """y >= 0 with cosh(y) = x."""

    ufunc, cost, kinds = np.arccosh, 10, FIELD
    samples = (sample(real(3, 4, low=1.2, high=3)), sample(complex_(3, low=-2, high=-0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        if is_complex(x.dtype):
            # The root of the product has the other sign where Re x < 0.
            return (1 / (sqrt(x - 1) * sqrt(x + 1)),)
        return (1 / sqrt((x - 1) * (x + 1)),)


class Arctanh(Elementwise):
    """y with tanh(y) = x."""

    ufunc, cost, kinds = np.arctanh, 10, FIELD
    samples = (sample(real(3, 4, low=-0.9, high=0.9)), sample(complex_(3, low=-0.9, high=0.9)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / ((1 - x) * (1 + x)),)


class Deg2rad(Elementwise):
    """y = x pi / 180."""

    ufunc, cost = np.deg2rad, 1
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (DEGREE,)


class Rad2deg(Elementwise):
    """y = x 180 / pi."""

    ufunc, cost = np.rad2deg, 1
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / DEGREE,)


class Arctan2(Elementwise):
    """y = the angle of the point (x, y) = (b, a) in (-pi, pi]; the derivative at the origin is 0."""

    ufunc, arity, cost = np.arctan2, 2, 20
    samples = (sample(real(3, 4), real(3, 4, low=0.2)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        from graphad.ops.comparison import equal
        from graphad.ops.selection import where

        square = a * a + b * b
        square = where(equal(square, square.zeros_like()), square.zeros_like() + 1, square)
        return b / square, -a / square


def _finite_difference(a: Tensor, b: Tensor) -> Tensor:
    """Return a - b, and 0 where both are the same infinity."""
    from graphad.ops.comparison import isnan
    from graphad.ops.selection import where

    difference = a - b
    return where(isnan(difference), difference.zeros_like(), difference)


class Logaddexp(Elementwise):
    """y = log(e^a + e^b) without overflow; the partials are the logistic function of a - b and of b - a."""

    ufunc, arity, cost = np.logaddexp, 2, 25
    samples = (sample(real(3, 4), real(3, 4)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        difference = _finite_difference(a, b)
        return expit(difference), expit(-difference)


class Logaddexp2(Elementwise):
    """y = log2(2^a + 2^b) without overflow."""

    ufunc, arity, cost = np.logaddexp2, 2, 25
    samples = (sample(real(3, 4), real(3, 4)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        difference = LOG_2 * _finite_difference(a, b)
        return expit(difference), expit(-difference)


def _logistic(x: Array, out: Array | None = None) -> Array:
    y: Array = np.negative(x, out=out)
    y = np.exp(y, out=out)
    y = np.add(y, y.dtype.type(1), out=out)
    return np.asarray(np.reciprocal(y, out=out))


class Expit(Elementwise):
    """y = 1 / (1 + e^-x), the logistic function (sigmoid)."""

    ufunc, cost = staticmethod(_logistic), 13
    samples = (sample(real(3, 4)), sample(real(3, dtype="float32")))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (y * (1 - y),)


exp = function_of(Exp)
exp2 = function_of(Exp2)
expm1 = function_of(Expm1)
log = function_of(Log)
log2 = function_of(Log2)
log10 = function_of(Log10)
log1p = function_of(Log1p)
sin = function_of(Sin)
cos = function_of(Cos)
tan = function_of(Tan)
arcsin = function_of(Arcsin)
arccos = function_of(Arccos)
arctan = function_of(Arctan)
sinh = function_of(Sinh)
cosh = function_of(Cosh)
tanh = function_of(Tanh)
arcsinh = function_of(Arcsinh)
arccosh = function_of(Arccosh)
arctanh = function_of(Arctanh)
deg2rad = function_of(Deg2rad)
rad2deg = function_of(Rad2deg)
arctan2 = function_of(Arctan2)
logaddexp = function_of(Logaddexp)
logaddexp2 = function_of(Logaddexp2)
expit = function_of(Expit)
