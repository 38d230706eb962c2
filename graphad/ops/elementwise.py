"""Elementwise arithmetic and transcendental functions: value and partials of each in two lines.

Operands have one shape and dtype; `Tensor` inserts broadcasts and casts. The derivative line reads `partials(x, y)`
with y the result, or `partials(a, b, y)` for two operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.op import Elementwise
from graphad.ir.samples import integers, real, sample

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

ANY = "biuf"
NUMERIC = "iuf"


@dataclass(frozen=True)
class Add(Elementwise):
    """y = a + b (logical or for booleans)."""

    ufunc, arity, kinds = np.add, 2, ANY
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[float, float]:  # type: ignore[override]
        return 1, 1


@dataclass(frozen=True)
class Sub(Elementwise):
    """y = a - b."""

    ufunc, arity, kinds = np.subtract, 2, NUMERIC
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[float, float]:  # type: ignore[override]
        return 1, -1


@dataclass(frozen=True)
class Mul(Elementwise):
    """y = a * b (logical and for booleans)."""

    ufunc, arity, kinds = np.multiply, 2, ANY
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return b, a


@dataclass(frozen=True)
class Div(Elementwise):
    """y = a / b."""

    ufunc, arity = np.divide, 2
    samples = (sample(real(3, 4), real(3, 4, low=0.5)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return 1 / b, -y / b


@dataclass(frozen=True)
class Neg(Elementwise):
    """y = -x."""

    ufunc, kinds = np.negative, NUMERIC
    samples = (sample(real(3, 4)), sample(integers(3)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[float]:  # type: ignore[override]
        return (-1,)


@dataclass(frozen=True)
class Exp(Elementwise):
    """y = e^x."""

    ufunc, cost = np.exp, 10
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (y,)


@dataclass(frozen=True)
class Log(Elementwise):
    """y = log(x), the natural logarithm."""

    ufunc, cost = np.log, 10
    samples = (sample(real(3, 4, low=0.2)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (1 / x,)


@dataclass(frozen=True)
class Sin(Elementwise):
    """y = sin(x), x in radians."""

    ufunc, cost = np.sin, 10
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (apply(Cos(), x),)


@dataclass(frozen=True)
class Cos(Elementwise):
    """y = cos(x), x in radians."""

    ufunc, cost = np.cos, 10
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (-apply(Sin(), x),)


@dataclass(frozen=True)
class Tanh(Elementwise):
    """y = tanh(x)."""

    ufunc, cost = np.tanh, 10
    samples = (sample(real(3, 4)),)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (1 - y * y,)
