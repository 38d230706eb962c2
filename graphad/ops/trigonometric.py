"""Elementwise trigonometric functions and their inverses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ops.arithmetic import FIELD, sqrt

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

DEGREE = math.pi / 180


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


sin = function_of(Sin)
cos = function_of(Cos)
tan = function_of(Tan)
arcsin = function_of(Arcsin)
arccos = function_of(Arccos)
arctan = function_of(Arctan)
deg2rad = function_of(Deg2rad)
rad2deg = function_of(Rad2deg)
arctan2 = function_of(Arctan2)
