"""The incomplete gamma and beta functions, with derivatives by every argument, of every order.

SciPy gives the values. The derivatives by the shape parameters are ops of their own, `GammaTail` and `BetaTail`, whose
derivatives are again these ops; how they are computed, and how accurately, stands in `tail_integrals.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import function_of
from graphad.ir.samples import real, sample
from graphad.ir.types import TensorType
from graphad.ops.comparison import greater, less, logical_and
from graphad.ops.scipy_functions import Blockwise, ScipyUfunc
from graphad.ops.selection import where
from graphad.ops.special import betaln, digamma, gammaln, logit, polygamma, xlog1py, xlogy
from graphad.ops.tail_integrals import Index, bell, beta_tail, gamma_tail
from graphad.ops.transcendental import exp, expit, log, logaddexp

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

SINGLE = "float32"


@frozen
class GammaTail(Blockwise):
    """y = d^order P(a, x) / da^order / (x p(x)) of a and log x: P and p the gamma distribution's function and density.

    -y, for order 1, is the derivative of a gamma variate's logarithm by its shape (implicit reparameterisation).
    """

    order: int

    arity, cost, depth = 2, 3000, 3000
    samples = (
        sample(real(3, 4, low=0.2, high=5), real(3, 4, low=-3, high=3), order=1),
        sample(real(3, low=0.5, high=5), real(3), order=2),
        sample(real(3, low=0.5, dtype=SINGLE), real(3, dtype=SINGLE), order=1),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if self.order < 1:
            fail(f"the order must be at least 1, got {self.order}")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> Array:
        a, log_x = operands
        return gamma_tail(self.order, a, log_x).astype(a.dtype, copy=False)

    def partials(self, a: Tensor, log_x: Tensor, y: Tensor) -> tuple[Any, Any]:
        by_shape = log_x - digamma(a)
        density = bell(lambda k, _: by_shape if k == 1 else -polygamma(k - 1, a), self.order, 0)
        return gamma_tail_of(self.order + 1, a, log_x) - y * by_shape, density - y * (a - exp(log_x))


@frozen
class BetaTail(Blockwise):
    """y = d^(i+j) I_x(a, b) / da^i db^j / (x (1 - x) p(x)) of a, b and log(x / (1 - x)), p the beta density."""

    order: Index

    arity, cost, depth = 3, 6000, 2000
    samples = (
        sample(real(3, low=0.3, high=5), real(3, low=0.3, high=5), real(3), order=(1, 0)),
        sample(real(3, low=0.3, high=5), real(3, low=0.3, high=5), real(3), order=(0, 1)),
        sample(real(2, low=0.5, high=5), real(2, low=0.5, high=5), real(2), order=(1, 1)),
        sample(real(2, low=0.5, dtype=SINGLE), real(2, low=0.5, dtype=SINGLE), real(2, dtype=SINGLE), order=(1, 0)),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if len(self.order) != 2 or min(self.order) < 0 or max(self.order) == 0:
            fail(f"the order must be two numbers from 0 on, not both 0, got {self.order}")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> Array:
        a, b, log_odds = operands
        return beta_tail(self.order, a, b, log_odds).astype(a.dtype, copy=False)

    def partials(self, a: Tensor, b: Tensor, log_odds: Tensor, y: Tensor) -> tuple[Any, Any, Any]:
        i, j = self.order
        log_x, log_rest = -_softplus(-log_odds), -_softplus(log_odds)

        def cumulant(k: int, m: int) -> Tensor:
            total = polygamma(k + m - 1, a + b)
            if m == 0:
                total = total - polygamma(k - 1, a)
            elif k == 0:
                total = total - polygamma(m - 1, b)
            if (k, m) == (1, 0):
                return total + log_x
            return total + log_rest if (k, m) == (0, 1) else total

        x = expit(log_odds)
        return (
            beta_tail_of((i + 1, j), a, b, log_odds) - y * cumulant(1, 0),
            beta_tail_of((i, j + 1), a, b, log_odds) - y * cumulant(0, 1),
            bell(cumulant, i, j) - y * (a * (1 - x) - b * x),
        )


def gamma_tail_of(order: int, a: Tensor, log_x: Tensor) -> Tensor:
    """Return d^order P(a, x) / da^order / (x p(x))."""
    return apply(GammaTail(order), a, log_x)


def beta_tail_of(order: Index, a: Tensor, b: Tensor, log_odds: Tensor) -> Tensor:
    """Return d^(i+j) I_x(a, b) / da^i db^j / (x (1 - x) p(x))."""
    return apply(BetaTail(order), a, b, log_odds)


def _softplus(x: Tensor) -> Tensor:
    return logaddexp(x, x.zeros_like())


def _gamma_partials(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return dP/da and dP/dx of the regularised lower incomplete gamma function."""
    zero = x.zeros_like()
    inside = logical_and(greater(x, zero), less(x, zero + np.inf))
    safe = where(inside, x, zero + 1)
    logarithm = log(safe)
    by_a = gamma_tail_of(1, a, logarithm) * exp(a * logarithm - safe - gammaln(a))
    return where(inside, by_a, zero), exp(xlogy(a - 1, x) - x - gammaln(a))


class Gammainc(ScipyUfunc):
    """y = P(a, x) = 1 / Gamma(a) times the integral of t^(a-1) e^-t from 0 to x."""

    scipy, arity, cost = "gammainc", 2, 200
    samples = (
        sample(real(3, 4, low=0.3, high=5), real(3, 4, low=0.2, high=6)),
        sample(real(3, low=0.5, dtype=SINGLE), real(3, low=0.5, dtype=SINGLE)),
    )

    def partials(self, a: Tensor, x: Tensor, y: Tensor) -> tuple[Any, Any]:
        return _gamma_partials(a, x)


class Gammaincc(ScipyUfunc):
    """y = Q(a, x) = 1 - P(a, x), accurate where it is small."""

    scipy, arity, cost = "gammaincc", 2, 200
    samples = (
        sample(real(3, 4, low=0.3, high=5), real(3, 4, low=0.2, high=6)),
        sample(real(3, low=0.5, dtype=SINGLE), real(3, low=0.5, dtype=SINGLE)),
    )

    def partials(self, a: Tensor, x: Tensor, y: Tensor) -> tuple[Any, Any]:
        by_a, by_x = _gamma_partials(a, x)
        return -by_a, -by_x


class Betainc(ScipyUfunc):
    """y = I_x(a, b) = 1 / B(a, b) times the integral of t^(a-1) (1 - t)^(b-1) from 0 to x."""

    scipy, arity, cost = "betainc", 3, 200
    samples = (
        sample(real(2, 3, low=0.3, high=5), real(2, 3, low=0.3, high=5), real(2, 3, low=0.1, high=0.9)),
        sample(
            real(3, low=0.5, dtype=SINGLE), real(3, low=0.5, dtype=SINGLE), real(3, low=0.1, high=0.9, dtype=SINGLE)
        ),
    )

    def partials(self, a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Any, Any, Any]:
        zero = x.zeros_like()
        inside = logical_and(greater(x, zero), less(x, zero + 1))
        safe = where(inside, x, zero + 0.5)
        log_odds = logit(safe)
        scale = exp(xlogy(a, safe) + xlog1py(b, -safe) - betaln(a, b))
        by_a = where(inside, beta_tail_of((1, 0), a, b, log_odds) * scale, zero)
        by_b = where(inside, beta_tail_of((0, 1), a, b, log_odds) * scale, zero)
        return by_a, by_b, exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))


gammainc = function_of(Gammainc)
gammaincc = function_of(Gammaincc)
betainc = function_of(Betainc)
