"""Elementwise selection: maximum and minimum with NumPy's and C's rule for nan, and where.

Their derivatives pick rather than multiply: `g * mask` would make nan of an infinite g.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.errors import fail
from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.comparison import equal, greater, isnan, less, logical_or

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


class Extremum(Elementwise, abstract=True):
    """The larger or smaller of two operands; at ties each gets half of the gradient.

    Complex numbers compare by real, then by imaginary part.
    """

    arity, kinds = 2, "biufc"
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )

    def chosen(self, a: Tensor, b: Tensor) -> Tensor:
        """Return where a is the result."""
        raise NotImplementedError(f"{type(self).__name__} does not say which operand it chooses")

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        def pick(winner: Tensor, loser: Tensor) -> Any:
            wins, ties = self.chosen(winner, loser), equal(winner, loser)
            return lambda t: where(wins, t, where(ties, 0.5 * t, t.zeros_like()))

        return pick(a, b), pick(b, a)


class Maximum(Extremum):
    """y = the larger of a and b; nan where either is (no gradient flows there)."""

    ufunc = np.maximum

    def chosen(self, a: Tensor, b: Tensor) -> Tensor:
        return greater(a, b)


class Minimum(Extremum):
    """y = the smaller of a and b; nan where either is (no gradient flows there)."""

    ufunc = np.minimum

    def chosen(self, a: Tensor, b: Tensor) -> Tensor:
        return less(a, b)


class Fmax(Extremum):
    """y = the larger of a and b; the other one where one is nan."""

    ufunc = np.fmax

    def chosen(self, a: Tensor, b: Tensor) -> Tensor:
        return logical_or(greater(a, b), isnan(b))


class Fmin(Extremum):
    """y = the smaller of a and b; the other one where one is nan."""

    ufunc = np.fmin

    def chosen(self, a: Tensor, b: Tensor) -> Tensor:
        return logical_or(less(a, b), isnan(b))


class Where(Elementwise):
    """y = a where c holds, b elsewhere; c is boolean, a and b have one type."""

    arity, kinds, in_place = 3, "biufc", False
    samples = (
        sample(booleans(3, 4), real(3, 4), real(3, 4)),
        sample(booleans(3), complex_(3), complex_(3)),
        sample(booleans(3), integers(3), integers(3)),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if len(operands) != 3:
            fail("takes 3 operands")
        c, a, b = operands
        if c.dtype.kind != "b" or a != b or c.shape != a.shape:
            fail("needs a boolean condition and two operands of its shape and one dtype")
        return a

    def evaluate(self, *operands: Array) -> Array:
        return np.where(*operands)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        c, a, b = operands
        np.copyto(out[0], b)
        np.copyto(out[0], a, where=c)

    def partials(self, c: Tensor, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any, Any]:
        return None, lambda t: where(c, t, t.zeros_like()), lambda t: where(c, t.zeros_like(), t)


maximum = function_of(Maximum)
minimum = function_of(Minimum)
fmax = function_of(Fmax)
fmin = function_of(Fmin)
where = function_of(Where)
