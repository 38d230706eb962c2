"""Booleans and small integers: the dtype of NumPy's own loop, and its values; powers with a number as exponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparing import check, random

import graphad as ga
from graphad.ir.errors import OpTypeError

SMALL = ["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32"]
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda n, x: (n.abs(x), abs(x)),
    "square": lambda n, x: n.square(x),
    "conj": lambda n, x: (n.conj(x), x.conj(), x.conjugate()),
    "round": lambda n, x: (n.round(x), x.round()),
    "ldexp": lambda n, x: (n.ldexp(x, 2), n.ldexp(x, n.asarray([0, 1, 2])), n.ldexp(x, n.asarray([True, True, False]))),
    "fabs": lambda n, x: n.fabs(x),
    "degrees": lambda n, x: n.degrees(x),
    "radians": lambda n, x: n.radians(x),
    "modf": lambda n, x: n.modf(x),
    "angle": lambda n, x: (n.angle(x), n.angle(x, deg=True)),
}


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_loop_that_numpy_chooses(name: str, dtype: str) -> None:
    check(FUNCTIONS[name], random(3, dtype=dtype), tolerance=2e-3 if dtype in SMALL[:3] + ["float16"] else 1e-6)


@pytest.mark.parametrize("dtype", SMALL[1:])
def test_positive(dtype: str) -> None:
    check(lambda n, x: n.positive(x), random(3, dtype=dtype))


def test_what_numpy_refuses_for_booleans() -> None:
    x = np.array([True, False])
    for function in (np.positive, lambda x: np.round(x, 1)):
        with pytest.raises(TypeError):
            function(x)
        with pytest.raises(OpTypeError):
            ga.trace(function, x)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_reciprocals_of_integers(dtype: str) -> None:
    values = np.array([1, 2, 1] if dtype[0] in "bu" else [1, -1, 2, -3]).astype(dtype)
    check(lambda n, x: n.reciprocal(x), values)


def test_a_reciprocal_of_zero_is_numpys() -> None:
    x = np.array([0, 1, 2], np.int32)
    check(lambda n, x: n.reciprocal(x), x)
    with np.errstate(all="ignore"):
        expected = np.reciprocal(x)
    np.testing.assert_array_equal(ga.compile(ga.trace(np.reciprocal, x))(x), expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64", "complex64"])
def test_float_power(dtype: str) -> None:
    x = random(4, dtype=dtype)
    check(lambda n, x: (n.float_power(x, 300), n.float_power(x, 2), n.float_power(x + 3, -1.5)), x)
    check(lambda n, x: (n.float_power(x, x), n.float_power(2, x), n.float_power(x + 2, 1j)), x)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, 2.0, 7])
def test_power_of_a_number_is_numpys_bit_for_bit(dtype: str, exponent: float) -> None:
    x = random(9, dtype=dtype, low=0.1)
    with np.errstate(all="ignore"):
        expected = np.power(x, exponent)
    graph = ga.trace(lambda x: np.power(x, exponent), x)
    assert any(node.op.name == "power_scalar" for node in graph.nodes)
    for found in (graph(x), ga.compile(graph)(x)):
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


def test_power_with_a_dtype() -> None:
    x = random(3, dtype="int32")
    check(lambda n, x: (n.power(x, 2, dtype="float32"), n.power(x, x * x, dtype="int64")), x)


def test_powers_that_integers_do_not_have() -> None:
    x = np.ones(2, np.int8)
    for exponent in (-1, 300):
        with pytest.raises((ValueError, OverflowError)):
            np.power(x, exponent)
        for function in (np.power, lambda x, n: x**n):
            with pytest.raises(OpTypeError):
                ga.trace(lambda x, function=function, exponent=exponent: function(x, exponent), x)


def test_the_gradient_of_a_square_is_light() -> None:
    x = np.array([0.0, -3.0, 2.0])
    graph = ga.grad(ga.trace(lambda x: np.sum(np.power(x, 2)), x))
    np.testing.assert_array_equal(graph(x), 2 * x)
    assert not {"log", "power", "where"} & {node.op.name for node in graph.nodes}


def test_the_gradient_of_the_power_zero_is_zero_at_zero() -> None:
    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(ga.grad(ga.trace(lambda x: np.sum(np.power(x, 0)), x))(x), [0, 0])
