"""Elementwise hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ir.types import is_complex
from graphad.ops.arithmetic import FIELD, sqrt

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor


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


sinh = function_of(Sinh)
cosh = function_of(Cosh)
tanh = function_of(Tanh)
arcsinh = function_of(Arcsinh)
arccosh = function_of(Arccosh)
arctanh = function_of(Arctanh)
