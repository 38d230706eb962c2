"""Special functions: gamma and its relatives, Bessel functions, entropies. Elementwise, exact in every derivative.

Evaluated by SciPy, except where NumPy's own functions say it as well (logit, x log y, relative entropy). The C
library's `lgamma` would save SciPy for `gammaln`, at fifty times the cost an element, so it does not.
What belongs to the normal distribution stands in `normal.py`, incomplete integrals in `incomplete.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import real, sample
from graphad.ir.types import TensorType
from graphad.ops.comparison import equal, logical_and
from graphad.ops.rounding import sign
from graphad.ops.scipy_functions import Blockwise, Computed, ScipyUfunc, scipy_special, single
from graphad.ops.selection import where
from graphad.ops.transcendental import exp, log, log1p

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

SINGLE = "float32"


class Gammaln(ScipyUfunc):
    """y = log |Gamma(x)|; inf at 0, -1, -2, ..."""

    scipy, cost = "gammaln", 30
    samples = (sample(real(3, 4, low=0.2, high=5)), sample(real(3, low=-0.8, high=-0.2)), sample(real(3, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (digamma(x),)


class Gamma(ScipyUfunc):
    """y = Gamma(x), the factorial of x - 1; not defined at -1, -2, ..."""

    scipy, cost = "gamma", 30
    samples = (sample(real(3, 4, low=0.3, high=4)), sample(real(3, low=-0.8, high=-0.2)), sample(real(3, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (y * digamma(x),)


class Digamma(ScipyUfunc):
    """y = d log Gamma(x) / dx."""

    scipy, cost = "psi", 30
    samples = (sample(real(3, 4, low=0.3, high=5)), sample(real(3, low=-0.8, high=-0.2)), sample(real(3, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (polygamma(1, x),)


@frozen
class Polygamma(Elementwise):
    """y = the order-th derivative of digamma, (-1)^(order+1) order! zeta(order + 1, x), for order >= 1."""

    order: int

    cost = 60
    samples = (
        sample(real(3, 4, low=0.5, high=4), order=1),
        sample(real(3, low=-0.8, high=-0.3), order=1),
        sample(real(3, low=0.5, high=2), order=2),
        sample(real(3, low=0.5, high=2, dtype=SINGLE), order=3),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if self.order < 1:
            fail(f"the order must be at least 1, got {self.order}")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> Array:
        x = single(operands[0])
        y = np.empty_like(x)
        self.evaluate_into((y,), x)
        return y.astype(operands[0].dtype, copy=False)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        (x,) = operands
        if x.dtype.itemsize < 4:
            np.copyto(out[0], self.evaluate(x))
            return
        scipy_special("zeta")(x.dtype.type(self.order + 1), x, out=out[0])
        factor = (-1.0) ** (self.order + 1) * scipy_special("gamma")(self.order + 1.0)
        np.multiply(out[0], x.dtype.type(factor), out=out[0])

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (polygamma(self.order + 1, x),)


def polygamma(order: int, x: Tensor) -> Tensor:
    """Return the order-th derivative of digamma at x; digamma itself for order 0."""
    return digamma(x) if order == 0 else apply(Polygamma(order), x)


_SHIFT = 10
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""B_2, B_4, ..., B_20."""


def _zeta_by_s(s: Tensor, q: Tensor) -> Tensor:
    """d zeta(s, q) / ds for s > 1, q > 0, by Euler-Maclaurin summation (terms below 1e-16 from q + 10 on)."""
    total: Any = None
    for k in range(_SHIFT):
        logarithm = log(q + k)
        term = logarithm * exp(-s * logarithm)
        total = term if total is None else total + term
    end = q + _SHIFT
    logarithm = log(end)
    last = exp(-s * logarithm)
    total = total + end * last * (logarithm / (s - 1) + 1 / ((s - 1) * (s - 1))) + 0.5 * logarithm * last
    # The tail's terms B_2j / (2j)! s (s+1) ... (s+2j-2) end^(-s-2j+1), each by its logarithmic derivative.
    factor, reciprocals = s * last / end, 1 / s
    for j, number in enumerate(_BERNOULLI, 1):
        total = total + number / math.factorial(2 * j) * factor * (logarithm - reciprocals)
        low, high = s + (2 * j - 1), s + 2 * j
        factor = factor * low * high / (end * end)
        reciprocals = reciprocals + 1 / low + 1 / high
    return -total  # type: ignore[no-any-return]


class Zeta(ScipyUfunc):
    """y = sum over k >= 0 of (q + k)^-s, Hurwitz's zeta function, s > 1 (its derivative by s needs q > 0)."""

    scipy, arity, cost = "zeta", 2, 60
    samples = (
        sample(real(3, 4, low=1.5, high=6), real(3, 4, low=0.3, high=4)),
        sample(real(3, low=2, high=4, dtype=SINGLE), real(3, low=0.5, high=2, dtype=SINGLE)),
    )

    def partials(self, s: Tensor, q: Tensor, y: Tensor) -> tuple[Any, Any]:
        return _zeta_by_s(s, q), -s * zeta(s + 1, q)


class Betaln(ScipyUfunc):
    """y = log |B(a, b)| = log |Gamma(a) Gamma(b) / Gamma(a + b)|, without the cancellation of the three logarithms."""

    scipy, arity, cost = "betaln", 2, 60
    samples = (
        sample(real(3, 4, low=0.3, high=4), real(3, 4, low=0.3, high=4)),
        sample(real(3, low=0.5, dtype=SINGLE), real(3, low=0.5, dtype=SINGLE)),
    )

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        both = digamma(a + b)
        return digamma(a) - both, digamma(b) - both


class Beta(ScipyUfunc):
    """y = B(a, b) = Gamma(a) Gamma(b) / Gamma(a + b)."""

    scipy, arity, cost = "beta", 2, 60
    samples = (sample(real(3, 4, low=0.5, high=4), real(3, 4, low=0.5, high=4)),)

    def partials(self, a: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        both = digamma(a + b)
        return y * (digamma(a) - both), y * (digamma(b) - both)


@frozen
class BesselI(Blockwise):
    """y = I_order(x), the modified Bessel function of the first kind, for order >= 0.

    I_n' = (I_{n-1} + I_{n+1}) / 2, so that no derivative divides by x.
    """

    order: int

    cost = 30
    samples = (
        sample(real(3, 4), order=0),
        sample(real(3, 4), order=1),
        sample(real(3), order=2),
        sample(real(3, low=0, high=0), order=1),
        sample(real(3, dtype=SINGLE), order=0),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if self.order < 0:
            fail(f"the order must be at least 0, got {self.order}")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> Array:
        x = single(operands[0])
        y = scipy_special(("i0", "i1")[self.order])(x) if self.order < 2 else scipy_special("iv")(self.order, x)
        return np.asarray(y).astype(operands[0].dtype, copy=False)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        if self.order == 0:
            return (bessel_i(1, x),)
        return (0.5 * (bessel_i(self.order - 1, x) + bessel_i(self.order + 1, x)),)


@frozen
class BesselIe(Blockwise):
    """y = e^-|x| I_order(x), which does not overflow; the derivative of |x| at 0 counts as 0."""

    order: int

    cost = 30
    samples = (
        sample(real(3, 4, low=0.2, high=4), order=0),
        sample(real(3, 4, low=-4, high=-0.2), order=1),
        sample(real(3, low=0.2), order=2),
        sample(real(3, dtype=SINGLE, low=0.2), order=0),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if self.order < 0:
            fail(f"the order must be at least 0, got {self.order}")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> Array:
        x = single(operands[0])
        y = scipy_special(("i0e", "i1e")[self.order])(x) if self.order < 2 else scipy_special("ive")(self.order, x)
        return np.asarray(y).astype(operands[0].dtype, copy=False)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        if self.order == 0:
            return (bessel_ie(1, x) - sign(x) * y,)
        return (0.5 * (bessel_ie(self.order - 1, x) + bessel_ie(self.order + 1, x)) - sign(x) * y,)


def bessel_i(order: int, x: Tensor) -> Tensor:
    """Return I_order(x)."""
    return apply(BesselI(order), x)


def bessel_ie(order: int, x: Tensor) -> Tensor:
    """Return e^-|x| I_order(x)."""
    return apply(BesselIe(order), x)


def _logit(x: Array) -> Array:
    # log(x / (1 - x)) loses digits near 1/2, where the two logarithms below are small.
    double = 2 * (x - x.dtype.type(0.5))
    near = np.abs(double) < 0.3
    small = np.where(near, double, 0)
    return np.where(near, np.log1p(small) - np.log1p(-small), np.log(x / (1 - x)))


class Logit(Computed):
    """y = log(x / (1 - x)), the inverse of the logistic function."""

    ufunc, cost = staticmethod(_logit), 20
    samples = (sample(real(3, 4, low=0.1, high=0.9)), sample(real(3, low=0.1, high=0.9, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (1 / (x * (1 - x)),)


def _xlogy(x: Array, y: Array) -> Array:
    zero = (x == 0) & ~np.isnan(y)
    return np.where(zero, 0, x * np.log(np.where(zero, 1, y)))


def _xlog1py(x: Array, y: Array) -> Array:
    zero = (x == 0) & ~np.isnan(y)
    return np.where(zero, 0, x * np.log1p(np.where(zero, 0, y)))


def _quotient(x: Tensor, y: Tensor) -> Tensor:
    """Return x / y, 0 where both are 0."""
    zero = x.zeros_like()
    both = logical_and(equal(x, zero), equal(y, zero))
    return where(both, zero, x / where(both, zero + 1, y))


class Xlogy(Computed):
    """z = x log(y), 0 where x is; dz/dx = log(y), dz/dy = x / y (0 where both are 0)."""

    ufunc, arity, cost = staticmethod(_xlogy), 2, 12
    samples = (
        sample(real(3, 4), real(3, 4, low=0.2)),
        sample(real(3, low=0, high=0), real(3, low=0.2)),
        sample(real(3, dtype=SINGLE), real(3, low=0.2, dtype=SINGLE)),
    )

    def partials(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Any, Any]:
        return log(y), _quotient(x, y)


class Xlog1py(Computed):
    """z = x log(1 + y), 0 where x is; dz/dx = log(1 + y), dz/dy = x / (1 + y) (0 where both are 0)."""

    ufunc, arity, cost = staticmethod(_xlog1py), 2, 12
    samples = (
        sample(real(3, 4), real(3, 4, low=-0.8)),
        sample(real(3, low=0, high=0), real(3, low=-0.8)),
        sample(real(3, dtype=SINGLE), real(3, low=-0.8, dtype=SINGLE)),
    )

    def partials(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Any, Any]:
        return log1p(y), _quotient(x, 1 + y)


def _log_ratio(x: Array, y: Array) -> Array:
    ratio = x / y
    near = np.abs(x - y) < 0.5 * y
    tiny = np.finfo(x.dtype).tiny
    plain = (ratio > tiny) & (ratio < np.inf)
    close = np.log1p(np.where(near, (x - y) / y, 0))
    return np.where(near, close, np.where(plain, np.log(ratio), np.log(x) - np.log(y)))


def _rel_entr(x: Array, y: Array) -> Array:
    inside = (x > 0) & (y > 0)
    one = x.dtype.type(1)
    value = x * _log_ratio(np.where(inside, x, one), np.where(inside, y, one))
    outside = np.where((x == 0) & (y >= 0), 0, np.inf)
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(inside, value, outside))


class RelEntr(Computed):
    """z = x log(x / y) for x, y > 0; 0 for x = 0 <= y; inf elsewhere.

    dz/dx = log(x / y) + 1 and dz/dy = -x / y; 0 where both are 0.
    """

    ufunc, arity, cost = staticmethod(_rel_entr), 2, 25
    samples = (
        sample(real(3, 4, low=0.2), real(3, 4, low=0.2)),
        sample(real(3, low=0.2, dtype=SINGLE), real(3, low=0.2, dtype=SINGLE)),
    )

    def partials(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Any, Any]:
        zero = x.zeros_like()
        both = logical_and(equal(x, zero), equal(y, zero))
        ratio = where(both, zero + 1 / math.e, x / where(both, zero + 1, y))
        return log(ratio) + 1, -_quotient(x, y)


gammaln = function_of(Gammaln)
gamma = function_of(Gamma)
digamma = function_of(Digamma)
zeta = function_of(Zeta)
betaln = function_of(Betaln)
beta = function_of(Beta)
logit = function_of(Logit)
xlogy = function_of(Xlogy)
xlog1py = function_of(Xlog1py)
rel_entr = function_of(RelEntr)
