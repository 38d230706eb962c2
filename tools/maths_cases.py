"""The native executor's mathematical functions: each one's formula, and what it is measured against.

What may enter: a `Case` for each function, and references that NumPy, SciPy and mpmath do not have. `maths_table`
measures them, and the tests of these functions run through them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from scipy import special

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths import (
    beta,
    error_function,
    exponential,
    gamma,
    hyperbolic,
    hypot,
    inverse_trigonometric,
    log_of_sum,
    logarithm,
    logistic,
    normal,
    polygamma,
    power,
    trigonometric,
)

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]
Range = tuple[float, float]
Number = Any
"""A number of mpmath."""


@dataclass(frozen=True)
class Case:
    """A native function and what it is measured against.

    Attributes:
        name: of the function.
        native: the formula.
        numpy: NumPy's or SciPy's function, or what they compute for the op.
        method: how the formula goes, and its source.
        ranges: of each measurement the range of each operand.
        exact: mpmath's function of numbers of mpmath; None where NumPy's in the next wider format is exact enough.
        wider: the function for wider formats, where NumPy's own loses digits.
        bound: the largest error allowed, in units in the last place.
        random_bits: whether the bound holds everywhere.
        long_double: whether NumPy's function has a long double version, which is used before `exact` if it is wider.
        least: results below this have errors in units of its last place.
    """

    name: str
    native: Callable[..., Lanes]
    numpy: Function
    method: str
    ranges: tuple[tuple[Range, ...], ...]
    exact: Callable[..., Number] | None = None
    wider: Function | None = None
    bound: float = 2.0
    random_bits: bool = True
    long_double: bool = False
    least: float = 0.0

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.ranges[0])

    @property
    def wide(self) -> Function:
        """The function for wider formats."""
        return self.wider or self.numpy


def _expit(x: Array) -> Array:
    power = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, power, 1) / (1 + power))


def _numpy_expit(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, x.dtype.type(0)))


def _log_expit(x: Array) -> Array:
    return np.asarray(-np.logaddexp(-x, x.dtype.type(0)))


def _logit(x: Array) -> Array:
    near = np.abs(x - 0.5) < 0.25
    return np.asarray(np.where(near, np.log1p((2 * x - 1) / (1 - x)), np.log(x / (1 - x))))


def _xlogy(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))


def _xlog1py(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y))


def _rel_entr(x: Array, y: Array) -> Array:
    # Logarithms apart: the quotient may leave even the wider format.
    near = np.abs(x - y) < 0.5 * y
    value = x * np.where(near, np.log1p((x - y) / y), np.log(x) - np.log(y))
    outside = np.where((x == 0) & (y >= 0), x.dtype.type(0), np.inf)
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where((x > 0) & (y > 0), value, outside))


def _cube_root(x: Array) -> Array:
    # One step of Newton's: the C library's cbrt is 1 unit off.
    y = np.cbrt(x)
    with np.errstate(all="ignore"):
        better = y - (y * y * y - x) / (3 * y * y)
    return np.where(np.isfinite(better), better, y)


def _log_beta(a: Number, b: Number) -> Number:
    # The three logarithms cancel down to the smaller argument.
    with mpmath.workprec(200 + 2 * max(0, mpmath.frexp(a)[1], mpmath.frexp(b)[1])):
        return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


def _logaddexp(a: Number, b: Number) -> Number:
    return max(a, b) + mpmath.log1p(mpmath.exp(-abs(a - b)))


def _logaddexp2(a: Number, b: Number) -> Number:
    return max(a, b) + mpmath.log1p(mpmath.power(2, -abs(a - b))) / mpmath.log(2)


def _polygamma(order: int, x: Array) -> Array:
    """Return what graphad computes for the op."""
    return np.asarray(
        special.zeta(x.dtype.type(order + 1), x) * x.dtype.type((-1.0) ** (order + 1) * special.gamma(order + 1))
    )


def _log_gamma(x: Number) -> Number:
    return mpmath.re(mpmath.loggamma(x)) if x > 0 else mpmath.log(abs(mpmath.gamma(x)))


def _log_ndtr(x: Number) -> Number:
    return mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2) if x < 1 else mpmath.log1p(-_upper(x))


def _upper(z: Number) -> Number:
    """Return 1 - Phi(z)."""
    return mpmath.erfc(z / mpmath.sqrt(2)) / 2


def _mills(x: Number) -> Number:
    return mpmath.npdf(x) / _upper(-x) if x > -1e6 else -x - 1 / x


def _quantile(log_upper: Number, guess: float) -> Number:
    """Return z with log(1 - Phi(z)) as given, by Newton's steps from the guess."""
    z = mpmath.mpf(guess)
    for _ in range(4):
        z += (mpmath.log(_upper(z)) - log_upper) * _upper(z) / mpmath.npdf(z)
    return z


def _ndtri(p: Number) -> Number:
    if p < 0.5:
        return -_quantile(mpmath.log(p), -special.ndtri(float(p)))
    return _quantile(mpmath.log(1 - p), special.ndtri(float(p)))


def _erfinv(x: Number) -> Number:
    if abs(x) < 0.5:
        y = mpmath.mpf(special.erfinv(float(x)))
        for _ in range(4):
            y -= (mpmath.erf(y) - x) * mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(y * y)
        return y
    size = _quantile(mpmath.log((1 - abs(x)) / 2), special.erfinv(abs(float(x))) * 2**0.5) / mpmath.sqrt(2)
    return size if x > 0 else -size


def _erfcinv(x: Number) -> Number:
    guess = special.erfcinv(float(x)) * 2**0.5
    if x < 1:
        return _quantile(mpmath.log(x / 2), guess) / mpmath.sqrt(2)
    return -_quantile(mpmath.log((2 - x) / 2), -guess) / mpmath.sqrt(2)


def _ndtri_exp(x: Number) -> Number:
    z = mpmath.mpf(special.ndtri_exp(float(x)))
    for _ in range(4):
        z -= (_log_ndtr(z) - x) * _upper(-z) / mpmath.npdf(z)
    return z


def _inverse_mills(x: Array) -> Array:
    return np.asarray((2 / np.pi) ** 0.5 / special.erfcx(-x / 2**0.5))


REDUCED = "Cody-Waite, minimax polynomial of degree 11 (f64), 6 (f32)"
REDUCED_IN_TWO = "Cody-Waite, minimax polynomial of degree 12 (f64), 7 (f32), leading sum with its error"
ATANH = "f64: series in (m - 1)/(m + 1), 7 terms (fdlibm's e_log); f32: degree 10 in m - 1 (Cephes' logf)"
QUOTIENT = "e^-abs(x) and one division"
ADDED = "larger operand and log(1 + e^-d) in pairs; where they cancel e^a + e^b - 1 in pairs by Taylor's series"
PARTS = "pi/2 in three parts, minimax polynomials on pi/4 of degree 13 and 14 (f32: 7 and 8); Payne-Hanek beyond {}"
ANGLE = PARTS.format("2^30 (f32: 2^16)")
ARCSIN = "minimax polynomial to 1/2, degree 25 (f32: 11), halving beyond (fdlibm's e_asin)"
ARCTAN = "cut in three (Cephes), minimax polynomial of degree 23 (f32: 11)"
TAIL = "e^-x^2 in pairs, minimax polynomial in x/(x + c), degree 23 (f32: 9) (Shepherd & Laframboise)"
QUANTILE = "AS241's three parts, refitted as main term and rational correction; logarithm in pairs; f32: in f64"
RECURRED = "recurrence to a minimax polynomial, Stirling's series beyond {}; f32: in f64"
ONE = ((-10.0, 10.0),), ((-1e4, 1e4),), ((0.0, 2.0**31),)
PLANE = ((-5.0, 5.0), (-5.0, 5.0)), ((-1e-3, 1e-3), (-1.0, 1.0)), ((-1e30, 1e30), (-1e30, 1e30))

ELEMENTARY = (
    Case("exp", exponential.exp, np.exp, REDUCED, (((-10, 10),), ((-745, 709.7),), ((-104, 88.7),))),
    Case("exp2", exponential.exp2, np.exp2, REDUCED, (((-10, 10),), ((-1074, 1023.9),), ((-149, 127.9),))),
    Case("expm1", exponential.expm1, np.expm1, REDUCED_IN_TWO, (((-1, 1),), ((-10, 10),), ((-40, 709),))),
    Case("log", logarithm.log, np.log, ATANH, (((0.5, 2),), ((0, 10),), ((0, 1e30),))),
    Case("log2", logarithm.log2, np.log2, ATANH + ", in pairs", (((0.5, 2),), ((0, 10),))),
    Case("log10", logarithm.log10, np.log10, ATANH + ", in pairs", (((0.5, 2),), ((0, 10),))),
    Case("log1p", logarithm.log1p, np.log1p, ATANH, (((-0.5, 1),), ((-1, 10),), ((-0.001, 0.001),))),
    Case("logit", logarithm.logit, _logit, "log of a pair", (((0, 1),), ((0.4, 0.6),), ((0, 0.001),))),
    Case("xlogy", logarithm.xlogy, _xlogy, "x log(y)", (((-5, 5), (0, 10)),)),
    Case("xlog1py", logarithm.xlog1py, _xlog1py, "x log1p(y)", (((-5, 5), (-1, 5)),)),
    Case("rel_entr", logarithm.rel_entr, _rel_entr, "log of a pair", (((0, 5), (0, 5)), ((1, 1.01), (1, 1.01)))),
    Case("sinh", hyperbolic.sinh, np.sinh, "sinh(r), cosh(r) and 2^n", (((-1, 1),), ((-10, 10),), ((-710, 710),))),
    Case("cosh", hyperbolic.cosh, np.cosh, "sinh(r), cosh(r) and 2^n", (((-1, 1),), ((-10, 10),), ((-710, 710),))),
    Case("tanh", hyperbolic.tanh, np.tanh, "e^2abs(x) in pairs, one division", (((-1, 1),), ((-3, 3),), ((-20, 20),))),
    Case("arcsinh", hyperbolic.arcsinh, np.arcsinh, "log1p of a pair", (((-1, 1),), ((-10, 10),))),
    Case(
        "arccosh", hyperbolic.arccosh, np.arccosh, "log1p of a pair", (((1, 1.1),), ((1, 10),), ((1, 10000000000.0),))
    ),
    Case("arctanh", hyperbolic.arctanh, np.arctanh, "log1p of a pair", (((-0.1, 0.1),), ((-1, 1),))),
    Case("expit", logistic.expit, _numpy_expit, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-745, 40),)), wider=_expit),
    Case("softplus", logistic.softplus, _softplus, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-700, 40),))),
    Case("log_expit", logistic.log_expit, _log_expit, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-40, 700),))),
    Case(
        "logaddexp",
        log_of_sum.logaddexp,
        np.logaddexp,
        ADDED,
        (((-5, 5), (-5, 5)), ((-700, 0), (-700, 0)), ((-0.8, -0.6), (-0.8, -0.6))),
        exact=_logaddexp,
    ),
    Case(
        "logaddexp2",
        log_of_sum.logaddexp2,
        np.logaddexp2,
        ADDED,
        (((-5, 5), (-5, 5)), ((-700, 0), (-700, 0)), ((-1.1, -0.9), (-1.1, -0.9))),
        exact=_logaddexp2,
    ),
    Case(
        "power",
        power.power,
        np.power,
        "f64: log and product in pairs (SLEEF's pow); f32: in f64",
        (((0, 10), (-5, 5)), ((0, 2), (-700, 700)), ((0.999, 1.001), (-700000.0, 700000.0)), ((-20, 20), (-3, 3))),
    ),
    Case(
        "cbrt",
        power.cbrt,
        np.cbrt,
        "m^-1/3 by steps (SLEEF's cbrt)",
        (((-10, 10),), ((-1e30, 1e30),)),
        wider=_cube_root,
    ),
)
POLYGAMMAS = tuple(
    Case(
        f"polygamma[order={order}]",
        functools.partial(polygamma.polygamma, order),
        functools.partial(_polygamma, order),
        "eight terms, then Euler and Maclaurin's series, in pairs; f32: in f64",
        (((0, 5),), ((5, 100),), ((0, 1000000.0),)),
        exact=functools.partial(mpmath.psi, order),
        random_bits=False,
    )
    for order in (1, 2, 3, 10)
)
SPECIAL = (
    Case("sin", trigonometric.sin, np.sin, ANGLE, ONE, exact=mpmath.sin, bound=1.6, long_double=True),
    Case("cos", trigonometric.cos, np.cos, ANGLE, ONE, exact=mpmath.cos, bound=1.6, long_double=True),
    Case(
        "tan",
        trigonometric.tan,
        np.tan,
        ANGLE + "; quotient with its error",
        ONE,
        exact=mpmath.tan,
        bound=1.5,
        long_double=True,
    ),
    Case(
        "arcsin",
        inverse_trigonometric.arcsin,
        np.arcsin,
        ARCSIN,
        (((-1, 1),), ((0.49, 0.51),), ((0.9999, 1),)),
        exact=mpmath.asin,
        bound=1.5,
        long_double=True,
    ),
    Case(
        "arccos",
        inverse_trigonometric.arccos,
        np.arccos,
        ARCSIN,
        (((-1, 1),), ((0.49, 0.51),), ((0.9999, 1),)),
        exact=mpmath.acos,
        bound=1.5,
        long_double=True,
    ),
    Case(
        "arctan",
        inverse_trigonometric.arctan,
        np.arctan,
        ARCTAN,
        (((-1, 1),), ((-10, 10),), ((-1000000.0, 1000000.0),)),
        exact=mpmath.atan,
        long_double=True,
    ),
    Case("arctan2", inverse_trigonometric.arctan2, np.arctan2, ARCTAN, PLANE, exact=mpmath.atan2, long_double=True),
    Case(
        "hypot",
        hypot.hypot,
        np.hypot,
        "scaled square root (f32: in f64)",
        PLANE,
        exact=mpmath.hypot,
        bound=1.2,
        long_double=True,
    ),
    Case(
        "erf",
        error_function.erf,
        special.erf,
        "minimax polynomial below 1, 1 - 2^p(x) beyond",
        (((-1, 1),), ((-6, 6),)),
        exact=mpmath.erf,
    ),
    Case("erfc", error_function.erfc, special.erfc, TAIL, (((-1, 1),), ((-6, 6),), ((0, 27),)), exact=mpmath.erfc),
    Case(
        "erfinv",
        normal.erfinv,
        special.erfinv,
        QUANTILE,
        (((-1, 1),), ((0.999, 1),), ((-0.001, 0.001),)),
        exact=_erfinv,
    ),
    Case(
        "erfcinv",
        normal.erfcinv,
        special.erfcinv,
        QUANTILE,
        (((0, 2),), ((0, 1e-10),), ((0.99, 1.01),)),
        exact=_erfcinv,
    ),
    Case(
        "ndtri",
        normal.ndtri,
        special.ndtri,
        QUANTILE,
        (((0, 1),), ((0, 1e-10),), ((0.49, 0.51),)),
        exact=_ndtri,
    ),
    Case(
        "ndtri_exp",
        normal.ndtri_exp,
        special.ndtri_exp,
        QUANTILE + "; beyond log(p) = -729 by iteration",
        (((-5, 0),), ((-700, 0),), ((-100000.0, 0),), ((-0.7, -0.69),)),
        exact=_ndtri_exp,
        random_bits=False,
    ),
    Case(
        "log_ndtr",
        normal.log_ndtr,
        special.log_ndtr,
        TAIL,
        (((-5, 5),), ((-37, 37),), ((-1000.0, 0),)),
        exact=_log_ndtr,
    ),
    Case(
        "inverse_mills",
        normal.inverse_mills,
        _inverse_mills,
        TAIL,
        (((-5, 5),), ((-37, 37),), ((-1000.0, 0),)),
        exact=_mills,
    ),
    Case(
        "gammaln",
        gamma.gammaln,
        special.gammaln,
        RECURRED.format("4.25"),
        (((0, 5),), ((0.99, 1.01),), ((1.99, 2.01),), ((4, 171),), ((0, 1e30),)),
        exact=_log_gamma,
        bound=3,
        random_bits=False,
    ),
    Case(
        "gamma",
        gamma.gamma,
        special.gamma,
        RECURRED.format("4.25, in pairs"),
        (((0, 5),), ((4, 171),), ((0, 0.001),)),
        exact=mpmath.gamma,
        bound=2,
        random_bits=False,
    ),
    Case(
        "digamma",
        gamma.digamma,
        special.psi,
        RECURRED.format("4"),
        (((0, 5),), ((1.46, 1.464),), ((4, 171),), ((0, 1e30),)),
        exact=mpmath.digamma,
        bound=3.5,
        random_bits=False,
    ),
    Case(
        "betaln",
        beta.betaln,
        special.betaln,
        "recurrence to a >= 4.25, Stirling's formula without what cancels (TOMS 708), pairs; units of 2; f32: in f64",
        (((0, 5), (0, 5)), ((0, 5), (5, 100)), ((4, 100), (4, 100)), ((0, 1000000.0), (0, 1000000.0))),
        exact=_log_beta,
        bound=3,
        random_bits=False,
        least=2.0,
    ),
    *POLYGAMMAS,
)
CASES = (*ELEMENTARY, *SPECIAL)
