"""Measure the accuracy of the native executor's functions and write docs/maths.md.

python tools/maths_table.py            # print the table (function, dtype, range, largest error, method) and write it
python tools/maths_table.py --times    # print nanoseconds an element, beside NumPy's or SciPy's, on 4096 elements

`CASES` is also what the tests of these functions run through. Errors of f32 are measured against f64; those of f64
against long double where NumPy has the function in it (64 bits on x86; where it has 53, such functions cannot be
judged), else against mpmath, on fewer points.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from scipy import special

from graphad.execute.native import lanes
from graphad.execute.native.code import Module
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths import (
    beta,
    error_function,
    exponential,
    gamma,
    hyperbolic,
    hypot,
    inverse_trigonometric,
    logarithm,
    logistic,
    normal,
    polygamma,
    power,
    trigonometric,
)
from graphad.execute.native.target import Loaded, host, load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "maths.md"

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]
Range = tuple[float, float]
Number = Any
"""A number of mpmath."""

KINDS: dict[str, np.dtype[Any]] = {"f64": np.dtype(np.float64), "f32": np.dtype(np.float32)}
WIDER: dict[str, Any] = {"f64": np.longdouble, "f32": np.float64}
POINTS, EXACT_POINTS = 100_000, 1_000
"""Random points of each range; those of them that are judged against mpmath."""


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
        beside_larger: measure errors in units of the larger operand, where that is larger than the result;
            rounding a - b is what NumPy loses there as well.
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
    beside_larger: bool = False

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.ranges[0])

    @property
    def wide(self) -> Function:
        """The function for wider formats."""
        return self.wider or self.numpy


@dataclass(frozen=True)
class Loops:
    """Machine loops `out[i] = f(in_0[i], ...)`, one for each number of lanes."""

    loaded: Loaded
    counts: tuple[int, ...]

    def bound(self, count: int, operands: Sequence[Array], out: Array) -> Callable[[], None]:
        """Return the call that computes out = f(*operands), `count` elements at a time and the rest one by one."""
        arrays = (*operands, out)
        if not all(x.flags.c_contiguous and x.dtype == out.dtype and x.size == out.size for x in arrays):
            raise ValueError("operands must be contiguous arrays of one dtype and size")
        pointers = (ctypes.c_void_p * len(arrays))(*(x.ctypes.data for x in arrays))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.loaded.address(f"run{count}"))
        size = out.size

        def call(keep: object = arrays) -> None:
            function(pointers, size)

        return call

    def run(self, count: int, operands: Sequence[Array]) -> Array:
        """Return f(*operands), computed `count` elements at a time and the rest one by one."""
        out = np.empty_like(operands[0])
        self.bound(count, operands, out)()
        return out


def lane_counts(kind: str) -> tuple[int, ...]:
    """Return 1, the lanes of a vector register, and twice as many."""
    native = host().vector_bytes // KINDS[kind].itemsize
    return 1, native, 2 * native


def loops(function: Callable[..., Lanes], kind: str, arity: int = 1) -> Loops:
    """Compile loops over arrays of one kind."""
    module, counts = Module(), lane_counts(kind)
    element = lanes.element_type(kind)
    for count in counts:
        code = module.function(f"run{count}", "void", [("ptr", "pointers"), ("i64", "n")], "nounwind")
        places = [code.value(f"getelementptr ptr, ptr %pointers, i64 {i}") for i in range(arity + 1)]
        arrays = [code.value(f"load ptr, ptr {place}, align 8") for place in places]
        whole = code.value(f"and i64 %n, {-count}")
        for begin, end, step in (("0", whole, count), (whole, "%n", 1)):
            with code.loop(begin, end, step) as i:
                at = [code.value(f"getelementptr {element}, ptr {array}, i64 {i}") for array in arrays]
                lanes.store(function(*(lanes.load(code, kind, place, step) for place in at[:-1])), at[-1])
        code.line("ret void")
    return Loops(load(module.text()), counts)


def ulps(y: Array, exact: Array, scale: Array | None = None) -> Array:
    """Return |y - exact| in units in the last place of exact (or of scale where that is larger).

    Infinite where one is nan or infinite and the other, rounded, is not.
    """
    limits = np.finfo(y.dtype)
    size = np.abs(exact) if scale is None else np.maximum(np.abs(exact), np.abs(scale))
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        exponent = np.maximum(np.frexp(np.where(np.isfinite(size), size, 1))[1] - 1, limits.minexp)
        distance = np.abs(y.astype(exact.dtype) - exact) / np.ldexp(exact.dtype.type(1), exponent - limits.nmant)
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    strange = ~(np.isfinite(y) & np.isfinite(rounded))
    return np.where(strange, np.where(same, 0, np.inf), distance)


def points(kind: str, ranges: Sequence[Range], count: int, seed: int = 0) -> list[Array]:
    """Return `count` random operands, uniform in their ranges."""
    random = np.random.default_rng(seed)
    return [random.uniform(low, high, count).astype(KINDS[kind]) for low, high in ranges]


def bit_patterns(kind: str, arity: int, count: int, seed: int = 0) -> list[Array]:
    """Return `count` operands of random bits."""
    random, dtype = np.random.default_rng(seed), KINDS[kind]
    whole = np.dtype(f"u{dtype.itemsize}")
    return [random.integers(0, 2 ** (8 * dtype.itemsize), count, whole).view(dtype) for _ in range(arity)]


def errors(case: Case, kind: str, y: Array, operands: Sequence[Array], many: int = EXACT_POINTS) -> Array:
    """Return errors of y = f(*operands) in units in the last place; against mpmath only of the first `many`."""
    widened = kind == "f32" or case.exact is None or (case.long_double and np.finfo(np.longdouble).nmant > 60)
    with np.errstate(all="ignore"):
        if not widened:
            return _errors_by_mpmath(case, y[:many], [x[:many] for x in operands])
        wide = [x.astype(WIDER[kind]) for x in operands]
        exact = np.asarray(case.wide(*wide))
        if case.beside_larger:
            return ulps(y, exact, np.maximum.reduce(wide))
        return ulps(y, exact, _least(case, exact))


def _errors_by_mpmath(case: Case, y: Array, operands: Sequence[Array]) -> Array:
    finite = np.isfinite(y)
    exact = np.array(
        [
            _in_two(exact_value(case, given)) if usable else np.longdouble("nan")
            for usable, *given in zip(finite, *(x.tolist() for x in operands), strict=True)
        ]
    )
    return np.where(np.isnan(exact), 0, ulps(y, exact, _least(case, exact)))


def _least(case: Case, exact: Array) -> Array | None:
    return np.full(exact.shape, case.least, exact.dtype) if case.least else None


def exact_value(case: Case, operands: Sequence[float]) -> Number:
    """Return mpmath's value; nan where it has none."""
    assert case.exact is not None
    with mpmath.workprec(160):
        try:
            value = case.exact(*map(mpmath.mpf, operands))
        except (ValueError, ZeroDivisionError, OverflowError):
            return mpmath.nan
        return mpmath.re(value)


def _in_two(value: Number) -> np.longdouble:
    """Return a number of mpmath as a long double, or nan where it would be denormal or infinite."""
    high = float(value)
    if not np.isfinite(high) or abs(high) < 1e-290:
        return np.longdouble("nan")
    return np.longdouble(high) + np.longdouble(float(value - mpmath.mpf(high)))


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
PARTS = "pi/2 in three parts, minimax polynomials on pi/4 of degree 13 and 14 (f32: 7 and 8); Payne-Hanek beyond {}"
ANGLE = PARTS.format("2^30 (f32: 2^16)")
ARCSIN = "minimax polynomial to 1/2, degree 25 (f32: 11), halving beyond (fdlibm's e_asin)"
ARCTAN = "cut in three (Cephes), minimax polynomial of degree 23 (f32: 11)"
TAIL = "e^-x^2 in pairs, minimax polynomial in x/(x + c), degree 23 (f32: 9) (Shepherd & Laframboise)"
QUANTILE = "AS241's three parts, refitted as main term and rational correction; f32: in f64"
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
    Case("logaddexp", logistic.logaddexp, np.logaddexp, QUOTIENT, (((-5, 5), (-5, 5)),), bound=7, beside_larger=True),
    Case(
        "logaddexp2", logistic.logaddexp2, np.logaddexp2, QUOTIENT, (((-5, 5), (-5, 5)),), bound=7, beside_larger=True
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
        "eight terms, then Euler and Maclaurin's series; f32: in f64",
        (((0, 5),), ((5, 100),), ((0, 1000000.0),)),
        exact=functools.partial(mpmath.psi, order),
        bound=order + 6,
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
        bound=4,
    ),
    Case(
        "erfcinv",
        normal.erfcinv,
        special.erfcinv,
        QUANTILE,
        (((0, 2),), ((0, 1e-10),), ((0.99, 1.01),)),
        exact=_erfcinv,
        bound=4,
    ),
    Case(
        "ndtri",
        normal.ndtri,
        special.ndtri,
        QUANTILE,
        (((0, 1),), ((0, 1e-10),), ((0.49, 0.51),)),
        exact=_ndtri,
        bound=3,
    ),
    Case(
        "ndtri_exp",
        normal.ndtri_exp,
        special.ndtri_exp,
        QUANTILE + "; beyond log(p) = -729 by iteration",
        (((-5, 0),), ((-700, 0),), ((-100000.0, 0),), ((-0.7, -0.69),)),
        exact=_ndtri_exp,
        bound=4,
        random_bits=False,
    ),
    Case(
        "log_ndtr",
        normal.log_ndtr,
        special.log_ndtr,
        TAIL,
        (((-5, 5),), ((-37, 37),), ((-1000.0, 0),)),
        exact=_log_ndtr,
        bound=3,
    ),
    Case(
        "inverse_mills",
        normal.inverse_mills,
        _inverse_mills,
        TAIL,
        (((-5, 5),), ((-37, 37),), ((-1000.0, 0),)),
        exact=_mills,
        bound=4,
    ),
    Case(
        "gammaln",
        gamma.gammaln,
        special.gammaln,
        RECURRED.format("4.25"),
        (((0, 5),), ((0.99, 1.01),), ((1.99, 2.01),), ((4, 171),), ((0, 1e30),)),
        exact=_log_gamma,
        bound=4,
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
        bound=4,
        random_bits=False,
    ),
    Case(
        "betaln",
        beta.betaln,
        special.betaln,
        "recurrence to a >= 4.25, Stirling's formula without what cancels (TOMS 708); units of 2 at least; f32: in f64",
        (((0, 5), (0, 5)), ((0, 5), (5, 100)), ((4, 100), (4, 100)), ((0, 1000000.0), (0, 1000000.0))),
        exact=_log_beta,
        bound=6,
        random_bits=False,
        least=2.0,
    ),
    *POLYGAMMAS,
)
CASES = (*ELEMENTARY, *SPECIAL)


def sets(case: Case, kind: str, count: int) -> list[tuple[str, list[Array]]]:
    """Return operands with their name: of each range, and of random bits where the bound holds for those."""
    found = [
        (", ".join(f"[{a:g}, {b:g}]" for a, b in ranges), points(kind, ranges, count, seed))
        for seed, ranges in enumerate(case.ranges)
    ]
    return [*found, ("random bits", bit_patterns(kind, case.arity, count))] if case.random_bits else found


def rows(case: Case, kind: str) -> list[str]:
    """Return the rows of the table for one function and kind."""
    machine, made = loops(case.native, kind, case.arity), []
    for text, operands in sets(case, kind, POINTS):
        worst = errors(case, kind, machine.run(machine.counts[1], operands), operands).max()
        made.append(f"| `{case.name}` | {kind} | {text} | {worst:.2f} | {case.method} |\n")
    return made


HEAD = f"""# The native executor's mathematical functions

Generated by `python tools/maths_table.py`, which measures every number below. The functions are written in LLVM IR, the
same formula for a vector of any length and for a single number, so an element's value does not depend on where it
stands. [native.md](native.md) tells where they run.

The largest error is in units in the last place (ulp) of the exact result; 0.5 is what rounding alone may cost. It is
the largest of {POINTS:,} random points, uniform in the range of each operand, or of random bits: all signs, exponents,
nan and infinities among them. It is what was seen, not a proven bound. Errors in f32 are measured against f64; in f64
against long double where NumPy has the function in it and it is wider than f64, else against mpmath on
{EXACT_POINTS:,} of the points. Denormal results
are judged in units of the smallest one.

Two rows measure otherwise: the error of `logaddexp` and `logaddexp2` is in units of the larger operand where that is
larger than the result, and that of `betaln` in units of 2 where the result is smaller.

| function | dtype | range | largest error (ulp) | method and source |
| --- | --- | --- | --- | --- |
"""


def best_time(call: Callable[[], object], elements: int) -> float:
    """Return the nanoseconds an element of a call: the lower quartile of many."""
    times = []
    for _ in range(400):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return float(np.quantile(times, 0.25)) / elements


def times(case: Case, kind: str) -> str:
    """Return a row of times: nanoseconds an element of one vector, of two at a time, and of NumPy or SciPy."""
    machine, operands = loops(case.native, kind, case.arity), points(kind, case.ranges[0], 4096)
    out = np.empty_like(operands[0])
    calls: list[Callable[[], object]] = [machine.bound(count, operands, out) for count in machine.counts[1:]]
    place = {"out": out} if isinstance(case.numpy, np.ufunc) else {}
    calls.append(lambda: case.numpy(*operands, **place))
    with np.errstate(all="ignore"):
        cells = " | ".join(f"{best_time(call, out.size):.2f}" for call in calls)
    return f"| `{case.name}` | {kind} | {cells} |"


def print_times() -> None:
    """Print the times of all functions."""
    print("| function | kind | one vector | two | NumPy or SciPy |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        for kind in KINDS:
            print(times(case, kind))


def write_errors() -> None:
    """Print the page, and write it."""
    page = HEAD + "".join(row for case in CASES for kind in KINDS for row in rows(case, kind))
    print(page, end="")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    print_times() if "--times" in sys.argv[1:] else write_errors()
