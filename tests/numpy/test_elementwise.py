"""Ufuncs, operators and elementwise composites against NumPy: values, promotion, keywords, errors."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from comparing import assert_same, check, random
from scipy import special

import graphad as ga
import graphad.numpy as gnp
from graphad.ir.walk import evaluate
from graphad.numpy.ufuncs import ufunc_functions

UFUNCS = {name: getattr(np, name) for name in ufunc_functions()}
INTEGER = {"gcd", "lcm", "left_shift", "right_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "invert",
           "bitwise_count", "bitwise_invert", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift"}  # fmt: skip


def operands(name: str, ufunc: np.ufunc, dtype: str) -> list[np.ndarray]:
    if name in INTEGER:
        return [random(3, 4, dtype="uint8" if "shift" in name else "int64", seed=k) for k in range(ufunc.nin)]
    low = {"arccosh": 1.1, "acosh": 1.1}.get(name, 0.1)
    high = 0.9 if low < 1 else 3.0
    return [random(3, 4, dtype=dtype, seed=k, low=low, high=high) for k in range(ufunc.nin)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_ufuncs(name: str, dtype: str) -> None:
    check(lambda n, *xs: getattr(n, name)(*xs), *operands(name, UFUNCS[name], dtype))


def test_every_real_ufunc_is_traced_or_refused() -> None:
    not_real = {"conj", "conjugate", "isnat", "frexp"}
    gufuncs = {"matmul", "vecdot", "matvec", "vecmat"}
    missing = []
    for name in dir(np):
        ufunc = getattr(np, name)
        if not isinstance(ufunc, np.ufunc) or name in not_real | gufuncs:
            continue
        dtype = "int64" if name in INTEGER else "float64"
        arrays = [np.ones(2, dtype)] * ufunc.nin
        if name == "ldexp":
            arrays = [np.ones(2), np.ones(2, np.int64)]
        try:
            ga.trace(lambda *xs, ufunc=ufunc: ufunc(*xs), *arrays)
        except ga.GraphadError:
            missing.append(name)
    assert missing == []


def test_names_are_visible_and_documented() -> None:
    assert {"sin", "add", "divide", "abs", "where", "mean", "einsum"} <= set(dir(gnp))
    assert gnp.sin.__name__ == "sin" and "sin" in gnp.sin.__doc__
    assert gnp.divide is gnp.true_divide


PROMOTION = [
    ("float32", "float64"), ("int64", "float32"), ("int8", "int16"), ("bool", "int8"), ("uint8", "int8"),
    ("int32", "float32"), ("bool", "float32"), ("uint64", "int64"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), PROMOTION)
def test_promotion(first: str, second: str) -> None:
    a, b = random(3, dtype=first), random(3, dtype=second, seed=1)
    check(lambda n, x, y: (x + y, x * y, n.maximum(x, y), x == y, x < y), a, b)
    check(lambda n, x: x + b, a)
    check(lambda n, x: n.where(x > 1, x, b), a)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint8"])
def test_weak_numbers(dtype: str) -> None:
    x = random(3, dtype=dtype)
    check(lambda n, x: (x + 1, x * 2.5, 3 - x, x / 2, n.maximum(x, 1), x > 1.5), x)
    check(lambda n, x: (n.where(x > 1, x, 0), n.where(x > 1, 1.5, x), n.clip(x, 1, 2)), x)
    check(lambda n, x: (x + np.float64(1), x * np.int8(2)), x)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.lt, operator.le,
             operator.gt, operator.ge, operator.eq, operator.ne, operator.floordiv, operator.mod, divmod]  # fmt: skip


@pytest.mark.parametrize("function", OPERATORS)
def test_operators(function: object) -> None:
    a, b = random(3, 4, low=0.5), random(4, low=0.5)
    check(lambda n, x, y: function(x, y), a, b)
    check(lambda n, x: (function(x, b), function(x, 2), function(1.5, x)), a)
    graph = ga.trace(lambda x: function(b, x), a)
    assert_same(graph(a), function(b, a))


def test_integer_operators() -> None:
    a, b = random(3, dtype="int64"), np.array([1, 2, 3])
    check(lambda n, x, y: (x & y, x | y, x ^ y, x << y, x >> y, ~x, -x, abs(x), +x), a, b)
    check(lambda n, x, y: (x // y, x % y, 5 & x, x**2, x**0, x**2.0, 2**y), a, b)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, 1.5, 2.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_power(exponent: float, dtype: str) -> None:
    x = random(3, dtype=dtype, low=0.2)
    check(lambda n, x: (x**exponent, n.power(x, exponent)), x)


def test_broadcasting() -> None:
    check(lambda n, x, y: x + y, random(3, 1), random(4))
    check(lambda n, x, y: n.where(x > 0, y, 1.0), random(3, 1), random(2, 1, 4))
    check(lambda n, x: x + [1, 2, 3, 4], random(3, 4))


def test_ufunc_keywords() -> None:
    x = random(3, dtype="float32")
    graph = ga.trace(lambda t: (np.add(t, 1, dtype=np.float64), np.add(t, 1, casting="same_kind", where=True)), x)
    assert_same(graph(x), (np.add(x, 1, dtype=np.float64), np.add(x, 1)))


def test_where() -> None:
    c, x, y = random(3, 4) > 0, random(3, 4), random(4)
    check(lambda n, c, x, y: n.where(c, x, y), c, x, y)
    check(lambda n, c, x, y: n.where(x, 1, y), c, x, y)


def test_clip() -> None:
    x = random(3, 4)
    check(lambda n, x: (n.clip(x, -1, 1), n.clip(x, None, 0.5), n.clip(x, 0.5, None), n.clip(x, min=-1)), x)
    check(lambda n, x: (n.clip(x, random(4), 3), n.clip(x, max=1), x.clip(-1, 1), x.clip(min=0)), x)


def test_rounding() -> None:
    x = 100 * random(3, 4)
    check(lambda n, x: (n.round(x), n.round(x, 2), n.round(x, -1), n.around(x, 1), x.round(1), n.fix(x)), x)
    check(lambda n, x: (n.round(x), n.round(x, 2)), random(3, dtype="int64"))
    graph = ga.trace(lambda t: round(t), x)
    assert_same(graph(x), np.round(x))


def test_rewritten_ufuncs() -> None:
    x = random(3, 4)
    check(lambda n, x: (n.square(x), n.reciprocal(x), n.positive(x), n.fabs(x), n.degrees(x), n.radians(x)), x)
    check(lambda n, x: (n.divmod(x, 0.3), n.conjugate(x), n.sinc(x), n.float_power(abs(x), 2)), x)
    check(lambda n, x: n.modf(x), np.array([1.5, -2.25, np.inf, -np.inf, -0.0, 3.0]))
    check(lambda n, x, i: n.ldexp(x, i), random(4), np.array([1, -3, 600, 0]))
    check(lambda n, x: n.sinc(x), np.array([0.0, 1e-9, 1e-3, 0.009, 0.01, 1.0, 2.5]))
    check(lambda n, x: (n.heaviside(x, 0.5), n.sign(x)), np.array([-1.0, 0.0, 2.0]))


def test_predicates() -> None:
    x = np.array([1.0, np.nan, np.inf, -np.inf, 0.0])
    check(lambda n, x: (n.isnan(x), n.isinf(x), n.isfinite(x), n.isposinf(x), n.isneginf(x)), x)
    check(lambda n, x: (n.nan_to_num(x), n.nan_to_num(x, nan=1.0, posinf=5.0, neginf=-5.0)), x)
    check(lambda n, x: n.nan_to_num(x), x.astype(np.float32))
    check(lambda n, x, y: (n.isclose(x, y), n.isclose(x, y, equal_nan=True), n.allclose(x, y)), x, x + 1e-9)
    check(lambda n, x, y: (n.array_equal(x, y), n.array_equal(x, y[:2]), n.array_equal(x, y, equal_nan=True)), x, x)
    check(lambda n, x: (n.real(x), n.imag(x), n.isreal(x), n.iscomplex(x), x.real, x.imag, x.conj()), x)


def test_special_functions() -> None:
    x = random(3, 4)
    for name in ("expit", "erf", "erfc"):
        assert_same(ga.trace(getattr(gnp, name), x)(x), getattr(special, name)(x))


def test_sinc_derivatives() -> None:
    slope = ga.grad(lambda x: np.sinc(x))
    for x in (0.0, 1e-4, 0.005, 0.3):
        step = 1e-6
        np.testing.assert_allclose(slope(x), (np.sinc(x + step) - np.sinc(x - step)) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(ga.grad(slope)(0.0), -(np.pi**2) / 3)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: np.where(x > 0), "one argument"),
        (lambda x: x[0] ** -1, "negative power"),
        (lambda x: np.frexp(x), "np.frexp cannot be traced"),
        (lambda x: np.sin(x, where=x > 0), "leaves elements undefined"),
        (lambda x: x + np.ones(7), "do not broadcast"),
        (lambda x: x / 2 & 1, "is not defined for"),
        (lambda x: np.add(x, "a"), "cannot be part of a graph"),
        (lambda x: x.astype("uint8") + 300, "out of bounds"),
        (lambda x: x.astype(np.longdouble), "is not supported"),
        (lambda x: np.clip(x, 1, min=2), "not both"),
        (lambda x: np.isnat(x), "np.isnat cannot be traced"),
        (lambda x: np.add(x, 1, dtype=bool), "with dtype=bool"),
    ],
)
def test_errors(function: object, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, np.arange(3))
    assert text in str(caught.value)
    assert "test_elementwise.py" in str(caught.value)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
@pytest.mark.parametrize("number", [-(2**70), -1, 300, 2**70])
@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_comparison_with_an_integer_that_the_dtype_does_not_hold(name, dtype, number) -> None:  # type: ignore[no-untyped-def]
    ufunc, x = getattr(np, name), np.array([0, 1, 127], dtype)
    for function in (lambda t: ufunc(t, number), lambda t: ufunc(number, t)):
        (found,) = evaluate(ga.trace(function, x), [x])
        np.testing.assert_array_equal(found, function(x))
        assert found.dtype == np.bool_
