"""Elementwise arithmetic: value and partials of each op in two lines.

Operands have one shape and dtype; `Tensor` inserts broadcasts and casts. The derivative line reads `partials(x, y)`
with y the result, or `partials(a, b, y)` for two operands.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import DType, TensorType, is_complex, is_inexact, real_dtype
from graphad.ops.cast import cast

if TYPE_CHECKING:
    from graphad.ir.node import Value
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

ANY = "biufc"
NUMERIC = "iufc"
ORDERED = "iuf"
FIELD = "fc"

Array = np.ndarray[Any, Any]


class Add(Elementwise):
    """y = a + b (logical or for booleans)."""

    ufunc, arity, kinds = np.add, 2, ANY
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[float, float]:
        return 1, 1


class Sub(Elementwise):
    """y = a - b."""

    ufunc, arity, kinds = np.subtract, 2, NUMERIC
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[float, float]:
        return 1, -1


class Mul(Elementwise):
    """y = a * b (logical and for booleans)."""

    ufunc, arity, kinds = np.multiply, 2, ANY
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return b, a


class Div(Elementwise):
    """y = a / b."""

    ufunc, arity, kinds = np.divide, 2, FIELD
    samples = (sample(real(3, 4), real(3, 4, low=0.5)), sample(complex_(3), complex_(3, low=0.5)))

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return 1 / b, -y / b


class Neg(Elementwise):
    """y = -x."""

    ufunc, kinds = np.negative, NUMERIC
    samples = (sample(real(3, 4)), sample(complex_(3)), sample(integers(3)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[float]:
        return (-1,)


class Abs(Elementwise):
    """y = |x|, real; the derivative at 0 is 0."""

    ufunc, kinds = np.absolute, ANY
    samples = (sample(real(3, 4)), sample(complex_(3, 4, low=0.5)), sample(integers(3)), sample(booleans(3)))

    def result_dtype(self, dtype: DType) -> DType:
        """The dtype of the real part."""
        return real_dtype(dtype)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        from graphad.ops.rounding import sign

        return (sign(x),)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        (x,) = operands
        if g is None or not is_complex(x.dtype):
            return super().vjp(cotangents, operands, results)
        return (cast(g, x.dtype) * _conjugate_direction(x, results[0]),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        from graphad.ops.complex_parts import real_part

        (t,) = tangents
        (x,) = operands
        if t is None or not is_complex(x.dtype):
            return super().jvp(tangents, operands, results)
        return (real_part(t * _conjugate_direction(x, results[0])),)


def _conjugate_direction(x: Tensor, size: Tensor) -> Tensor:
    """Return conj(x) / |x|, and 0 at 0: what d|x| = Re(conj(x) / |x| dx) multiplies by."""
    from graphad.ops.comparison import equal
    from graphad.ops.complex_parts import conj
    from graphad.ops.selection import where

    nonzero = where(equal(size, size.zeros_like()), size.zeros_like() + 1, size)
    return conj(x) / cast(nonzero, x.dtype)


class Sqrt(Elementwise):
    """y = x^(1/2)."""

    ufunc, cost, kinds = np.sqrt, 4, FIELD
    samples = (sample(real(3, 4, low=0.2)), sample(complex_(3, low=0.2)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (0.5 / y,)


@frozen
class PowerScalar(Elementwise):
    """y = x^exponent for a fixed number: what `x ** 3` means (NumPy's value, bit for bit).

    For integer x the exponent is a non-negative integer.
    """

    exponent: float

    cost, kinds = 10, NUMERIC
    samples = (
        sample(real(3, 4), exponent=3),
        sample(real(3, 4, low=0.2), exponent=-1.5),
        sample(real(3, low=0.2), exponent=1),
        sample(real(3), exponent=0),
        sample(complex_(3, low=0.2), exponent=3),
        sample(complex_(3, low=0.2), exponent=-1.5),
        sample(integers(3), exponent=2),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        x = super().infer(*operands)
        if not is_inexact(x.dtype) and (not isinstance(self.exponent, int) or self.exponent < 0):
            fail(f"integers cannot be raised to the power {self.exponent}")
        return x

    def evaluate(self, *operands: Array) -> Array:
        (x,) = operands
        return np.asarray(np.power(x, x.dtype.type(self.exponent)))

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        (x,) = operands
        np.power(x, x.dtype.type(self.exponent), out=out[0])

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        # x ** 0 is 1 at 0 too, where 0 * x ** -1 is nan.
        return (None if self.exponent == 0 else self.exponent * power(x, self.exponent - 1),)


class Power(Elementwise):
    """y = a^b.

    The derivative by b at a = 0 is 0 where Re b > 0 (the limit), and by a at b = 0 is 0, so that neither gives 0 * inf.
    """

    ufunc, arity, cost, kinds = np.power, 2, 20, NUMERIC
    samples = (
        sample(real(3, 4, low=0.2), real(3, 4)),
        sample(complex_(3, low=0.2), complex_(3)),
        sample(integers(3), integers(3, low=0)),
    )

    def risk(self, operands: tuple[Value, ...]) -> Hashable | None:
        """Signed integers have no negative powers."""
        return (self.name, operands) if operands[1].type.dtype.kind == "i" else None

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """np.power(*operands, out=out), or ValueError before anything is written."""
        a, b = operands
        if b.dtype.kind == "i" and b.size and b.min() < 0:
            raise ValueError("integers to negative integer powers are not allowed")
        np.power(a, b, out=out[0])

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        from graphad.ops.comparison import equal, greater, logical_and
        from graphad.ops.complex_parts import real_part
        from graphad.ops.selection import where
        from graphad.ops.transcendental import log

        zero, one = a.zeros_like(), a.zeros_like() + 1
        flat = equal(b, zero)
        by_a = where(flat, zero, b * apply(self, a, where(flat, one, b - 1)))
        at_zero = logical_and(equal(a, zero), greater(real_part(b), real_part(zero)))
        by_b = where(at_zero, zero, y * log(where(at_zero, one, a)))
        return by_a, by_b


add = function_of(Add)
sub = function_of(Sub)
mul = function_of(Mul)
div = function_of(Div)
neg = function_of(Neg)
absolute = function_of(Abs)
sqrt = function_of(Sqrt)


def power(x: Tensor, exponent: float | Tensor) -> Tensor:
    """Return x ** exponent as NumPy's operator computes it: squares, roots and reciprocals for 2, 0.5 and -1."""
    if not isinstance(exponent, (int, float)):
        return apply(Power(), x, exponent)
    if exponent == 1:
        return x
    if exponent == 2:
        return mul(x, x)
    if is_inexact(x.dtype):
        if exponent == 0:
            return x.zeros_like() + 1
        if exponent == 0.5:
            return sqrt(x)
        if exponent == -1:
            return 1 / x
    return apply(PowerScalar(exponent), x)
