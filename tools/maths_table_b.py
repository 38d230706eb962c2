"""Print the accuracy of native trigonometric, error, gamma and normal functions as rows of a table.

python tools/maths_table_b.py            # function, kind, range, largest error in units in the last place, method
python tools/maths_table_b.py --times    # and nanoseconds an element, beside NumPy's or SciPy's, on 4096 elements

`CASES` is also what the tests of these functions run through. Errors of f64 are measured against long double where
NumPy has the function in it and long double is wider, else against mpmath (fewer points); those of f32 against f64.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from maths_table_a import KINDS, bit_patterns, loops, points, ulps
from maths_table_a import Case as Named
from maths_table_a import times as times_of
from scipy import special

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths import (
    beta,
    error_function,
    gamma,
    hypot,
    inverse_trigonometric,
    normal,
    polygamma,
    trigonometric,
)

Array = np.ndarray[Any, Any]
Range = tuple[float, float]
Number = Any
"""A number of mpmath."""


@dataclass(frozen=True)
class Case:
    """A native function and what it is measured against.

    Attributes:
        name: of the function.
        native: the formula.
        numpy: NumPy's or SciPy's function, or what graphad computes for the op.
        exact: mpmath's function of numbers of mpmath.
        method: how the formula goes, and its source.
        ranges: of each measurement the range of each operand.
        bound: the largest error allowed, in units in the last place.
        random_bits: whether the bound holds everywhere.
        least: results below this have errors in units of its last place.
        long_double: whether NumPy's function has a long double version.
    """

    name: str
    native: Callable[..., Lanes]
    numpy: Callable[..., Array]
    exact: Callable[..., Number]
    method: str
    ranges: tuple[tuple[Range, ...], ...]
    bound: float = 2.0
    random_bits: bool = True
    long_double: bool = False
    least: float = 0.0

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.ranges[0])


def exact_value(case: Case, operands: Sequence[float]) -> Number:
    """Return mpmath's value; nan where it has none."""
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


def errors(case: Case, kind: str, y: Array, operands: Sequence[Array], many: int = 1000) -> Array:
    """Return errors of y = f(*operands) in units in the last place; against mpmath only the first `many`."""
    wide: type[np.floating[Any]] = np.float64 if kind == "f32" else np.longdouble
    with np.errstate(all="ignore"):
        if kind == "f32" or (case.long_double and np.finfo(np.longdouble).nmant > 60):
            return _ulps(case, y, np.asarray(case.numpy(*(x.astype(wide) for x in operands))))
        y, operands = y[:many], [x[:many] for x in operands]
        finite = np.isfinite(y)
        exact = np.array(
            [
                _in_two(exact_value(case, given)) if usable else np.longdouble("nan")
                for usable, *given in zip(finite, *(x.tolist() for x in operands), strict=True)
            ]
        )
        return np.where(np.isnan(exact), 0, _ulps(case, y, exact))


def _ulps(case: Case, y: Array, exact: Array) -> Array:
    return ulps(y, exact, np.full(exact.shape, case.least, exact.dtype) if case.least else None)


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


PARTS = "pi/2 in three parts, minimax polynomials on pi/4 of degree 13 and 14 (f32: 7 and 8); Payne-Hanek beyond {}"
REDUCED = PARTS.format("2^30 (f32: 2^16)")
ARCSIN = "minimax polynomial to 1/2, degree 25 (f32: 11), halving beyond (fdlibm's e_asin)"
ARCTAN = "cut in three (Cephes), minimax polynomial of degree 23 (f32: 11)"
TAIL = "e^-x^2 in pairs, minimax polynomial in x/(x + c), degree 23 (f32: 9) (Shepherd & Laframboise)"
QUANTILE = "AS241's three parts, refitted as main term and rational correction; f32: in f64"
RECURRED = "recurrence to a minimax polynomial, Stirling's series beyond {}; f32: in f64"
ONE = ((-10.0, 10.0),), ((-1e4, 1e4),), ((0.0, 2.0**31),)
PLANE = ((-5.0, 5.0), (-5.0, 5.0)), ((-1e-3, 1e-3), (-1.0, 1.0)), ((-1e30, 1e30), (-1e30, 1e30))

POLYGAMMAS = tuple(
    Case(
        f"polygamma[order={order}]",
        functools.partial(polygamma.polygamma, order),
        functools.partial(_polygamma, order),
        functools.partial(mpmath.psi, order),
        "eight terms, then Euler and Maclaurin's series; f32: in f64",
        (((0, 5),), ((5, 100),), ((0, 1e6),)),
        order + 6,
        random_bits=False,
    )
    for order in (1, 2, 3, 10)
)

CASES = (
    Case("sin", trigonometric.sin, np.sin, mpmath.sin, REDUCED, ONE, 1.6, long_double=True),
    Case("cos", trigonometric.cos, np.cos, mpmath.cos, REDUCED, ONE, 1.6, long_double=True),
    Case(
        "tan",
        trigonometric.tan,
        np.tan,
        mpmath.tan,
        REDUCED + "; quotient with its error",
        ONE,
        1.5,
        long_double=True,
    ),
    Case(
        "arcsin",
        inverse_trigonometric.arcsin,
        np.arcsin,
        mpmath.asin,
        ARCSIN,
        (((-1, 1),), ((0.49, 0.51),), ((0.9999, 1),)),
        1.5,
        long_double=True,
    ),
    Case(
        "arccos",
        inverse_trigonometric.arccos,
        np.arccos,
        mpmath.acos,
        ARCSIN,
        (((-1, 1),), ((0.49, 0.51),), ((0.9999, 1),)),
        1.5,
        long_double=True,
    ),
    Case(
        "arctan",
        inverse_trigonometric.arctan,
        np.arctan,
        mpmath.atan,
        ARCTAN,
        (((-1, 1),), ((-10, 10),), ((-1e6, 1e6),)),
        long_double=True,
    ),
    Case("arctan2", inverse_trigonometric.arctan2, np.arctan2, mpmath.atan2, ARCTAN, PLANE, long_double=True),
    Case(
        "hypot",
        hypot.hypot,
        np.hypot,
        mpmath.hypot,
        "scaled square root (f32: in f64)",
        PLANE,
        1.2,
        long_double=True,
    ),
    Case(
        "erf",
        error_function.erf,
        special.erf,
        mpmath.erf,
        "minimax polynomial below 1, 1 - 2^p(x) beyond",
        (((-1, 1),), ((-6, 6),)),
    ),
    Case("erfc", error_function.erfc, special.erfc, mpmath.erfc, TAIL, (((-1, 1),), ((-6, 6),), ((0, 27),))),
    Case(
        "erfinv",
        normal.erfinv,
        special.erfinv,
        _erfinv,
        QUANTILE,
        (((-1, 1),), ((0.999, 1),), ((-1e-3, 1e-3),)),
        4,
    ),
    Case(
        "erfcinv",
        normal.erfcinv,
        special.erfcinv,
        _erfcinv,
        QUANTILE,
        (((0, 2),), ((0, 1e-10),), ((0.99, 1.01),)),
        4,
    ),
    Case("ndtri", normal.ndtri, special.ndtri, _ndtri, QUANTILE, (((0, 1),), ((0, 1e-10),), ((0.49, 0.51),)), 3),
    Case(
        "ndtri_exp",
        normal.ndtri_exp,
        special.ndtri_exp,
        _ndtri_exp,
        QUANTILE + "; beyond log(p) = -729 by iteration",
        (((-5, 0),), ((-700, 0),), ((-1e5, 0),), ((-0.7, -0.69),)),
        4,
        random_bits=False,
    ),
    Case("log_ndtr", normal.log_ndtr, special.log_ndtr, _log_ndtr, TAIL, (((-5, 5),), ((-37, 37),), ((-1e3, 0),)), 3),
    Case(
        "inverse_mills", normal.inverse_mills, _inverse_mills, _mills, TAIL, (((-5, 5),), ((-37, 37),), ((-1e3, 0),)), 4
    ),
    Case(
        "gammaln",
        gamma.gammaln,
        special.gammaln,
        _log_gamma,
        RECURRED.format("4.25"),
        (((0, 5),), ((0.99, 1.01),), ((1.99, 2.01),), ((4, 171),), ((0, 1e30),)),
        4,
        random_bits=False,
    ),
    Case(
        "gamma",
        gamma.gamma,
        special.gamma,
        mpmath.gamma,
        RECURRED.format("4.25, in pairs"),
        (((0, 5),), ((4, 171),), ((0, 1e-3),)),
        2,
        random_bits=False,
    ),
    Case(
        "digamma",
        gamma.digamma,
        special.psi,
        mpmath.digamma,
        RECURRED.format("4"),
        (((0, 5),), ((1.46, 1.464),), ((4, 171),), ((0, 1e30),)),
        4,
        random_bits=False,
    ),
    Case(
        "betaln",
        beta.betaln,
        special.betaln,
        _log_beta,
        "recurrence to a >= 4.25, Stirling's formula without what cancels (TOMS 708); units of 2 at least; f32: in f64",
        (((0, 5), (0, 5)), ((0, 5), (5, 100)), ((4, 100), (4, 100)), ((0, 1e6), (0, 1e6))),
        6,
        random_bits=False,
        least=2.0,
    ),
    *POLYGAMMAS,
)


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
    for text, operands in sets(case, kind, 100_000):
        worst = errors(case, kind, machine.run(machine.counts[1], operands), operands).max()
        made.append(f"| `{case.name}` | {kind} | {text} | {worst:.2f} | {case.method} |")
    return made


def times(case: Case, kind: str) -> str:
    """Return cells of the table: nanoseconds an element of one vector, of two at a time, and of NumPy or SciPy."""
    return times_of(Named(case.name, case.native, case.numpy, case.method, case.ranges), kind)


def main(with_times: bool) -> None:
    """Print the table."""
    if with_times:
        print("| function | kind | one vector | two | NumPy or SciPy |\n| --- | --- | --- | --- | --- |")
    else:
        print("| function | kind | range | largest error | method |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        for kind in KINDS:
            print(f"| `{case.name}` | {kind} | {times(case, kind)} |" if with_times else "\n".join(rows(case, kind)))


if __name__ == "__main__":
    main("--times" in sys.argv[1:])
