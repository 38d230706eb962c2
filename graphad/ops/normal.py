"""The normal distribution's quantile and tails: ndtri, the inverse error functions, log_ndtr.

The quantile needs no SciPy: it is Wichura's algorithm AS241 (PPND16, Applied Statistics 37, 1988), rational functions
that are accurate to about 1e-16 relative, also in the tails. `ga.random.normal` is made of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import function_of
from graphad.ir.samples import real, sample
from graphad.ops.scipy_functions import Computed, ScipyUfunc, scipy_special
from graphad.ops.transcendental import exp

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

SINGLE = "float32"
SQRT_2 = math.sqrt(2)
SQRT_PI = math.sqrt(math.pi)
SQRT_2PI = math.sqrt(2 * math.pi)

# Numerators and denominators, lowest power first: |q| <= 0.425, and the two parts of the tails.
_CENTRE = (
    (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_TAIL = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR_TAIL = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _rational(r: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Return the quotient of two polynomials at r, by Horner's rule."""
    quotient = []
    for polynomial in coefficients:
        value = np.full_like(r, polynomial[-1])
        for coefficient in polynomial[-2::-1]:
            value *= r
            value += coefficient
        quotient.append(value)
    return np.asarray(np.divide(*quotient))


def normal_quantile(q: Array, tail: Array) -> Array:
    """Return z with Phi(z) = 1/2 + q; `tail` is min(p, 1 - p) of the same p, which q alone loses digits of.

    Computed in float64 whatever the dtype; inf where tail is 0, nan where it is negative or nan.
    """
    q, tail = np.asarray(q, np.float64), np.asarray(tail, np.float64)
    z = np.empty(q.shape)
    with np.errstate(all="ignore"):
        central = np.abs(q) <= 0.425
        centre = q[central]
        z[central] = centre * _rational(0.180625 - centre * centre, _CENTRE)
        outer = ~central
        r = np.sqrt(-np.log(tail[outer]))
        size = _rational(r - 1.6, _TAIL)
        far = r > 5
        size[far] = _rational(r[far] - 5, _FAR_TAIL)
        size[r == np.inf] = np.inf
        z[outer] = np.copysign(size, q[outer])
    return z


def _ndtri(p: Array) -> Array:
    return normal_quantile(p - p.dtype.type(0.5), np.minimum(p, 1 - p))


def _erfinv(x: Array) -> Array:
    wide = np.asarray(x, np.float64)
    return normal_quantile(wide / 2, (1 - np.abs(wide)) / 2) / SQRT_2


def _erfcinv(x: Array) -> Array:
    wide = np.asarray(x, np.float64)
    return -normal_quantile((wide - 1) / 2, np.minimum(wide, 2 - wide) / 2) / SQRT_2


class Ndtri(Computed):
    """z with Phi(z) = p: the standard normal distribution's quantile; -inf at 0, inf at 1."""

    ufunc, cost = staticmethod(_ndtri), 40
    samples = (
        sample(real(3, 4, low=0.1, high=0.9)),
        sample(real(3, low=1e-3, high=0.05)),
        sample(real(3, low=0.95, high=0.99)),
        sample(real(3, low=0.1, high=0.9, dtype=SINGLE)),
    )

    def partials(self, p: Tensor, z: Tensor) -> tuple[Any]:
        return (SQRT_2PI * exp(0.5 * z * z),)


class Erfinv(Computed):
    """y with erf(y) = x, for x in [-1, 1]."""

    ufunc, cost = staticmethod(_erfinv), 40
    samples = (sample(real(3, 4, low=-0.9, high=0.9)), sample(real(3, low=-0.9, high=0.9, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (SQRT_PI / 2 * exp(y * y),)


class Erfcinv(Computed):
    """y with erfc(y) = x, for x in [0, 2]; accurate near 0, where erfinv(1 - x) is not."""

    ufunc, cost = staticmethod(_erfcinv), 40
    samples = (sample(real(3, 4, low=0.1, high=1.9)), sample(real(3, low=0.1, high=1.9, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-SQRT_PI / 2 * exp(y * y),)


class LogNdtr(ScipyUfunc):
    """y = log Phi(x), accurate in both tails."""

    scipy, cost = "log_ndtr", 40
    samples = (sample(real(3, 4, low=-4, high=4)), sample(real(3, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (inverse_mills(x),)


def _inverse_mills(x: Array) -> Array:
    return np.asarray(SQRT_2 / SQRT_PI / scipy_special("erfcx")(-x / SQRT_2))


class InverseMills(Computed):
    """y = phi(x) / Phi(x), the derivative of log_ndtr: near -x in the lower tail, 0 in the upper one."""

    ufunc, cost = staticmethod(_inverse_mills), 40
    samples = (sample(real(3, 4, low=-4, high=4)), sample(real(3, dtype=SINGLE)))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-y * (x + y),)


class NdtriExp(ScipyUfunc):
    """z with log Phi(z) = x, for x <= 0: the quantile of a probability that is given by its logarithm."""

    scipy, cost = "ndtri_exp", 40
    samples = (sample(real(3, 4, low=-4, high=-0.3)), sample(real(3, low=-4, high=-0.3, dtype=SINGLE)))

    def partials(self, x: Tensor, z: Tensor) -> tuple[Any]:
        return (1 / inverse_mills(z),)


ndtri = function_of(Ndtri)
erfinv = function_of(Erfinv)
erfcinv = function_of(Erfcinv)
log_ndtr = function_of(LogNdtr)
inverse_mills = function_of(InverseMills)
ndtri_exp = function_of(NdtriExp)
