"""Elementwise exponentials, logarithms and logistic functions.

Value and partial of each in two lines; `partials(x, y)` reads y, the result, where that is cheaper than x.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ops.arithmetic import FIELD

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

LOG_2 = math.log(2)
LOG_10 = math.log(10)


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
logaddexp = function_of(Logaddexp)
logaddexp2 = function_of(Logaddexp2)
expit = function_of(Expit)
