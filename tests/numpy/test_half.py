"""Half precision: float16 by NumPy's own loops, bfloat16 by those of ml_dtypes."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import graphad as ga
from graphad.ir.types import as_dtype, finfo, kind_of
from tests.numpy.comparing import random

BF16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype(np.float16), BF16]
FUNCTIONS = {
    "arithmetic": lambda x, y: (x + y, x - y, x * y, x / y, -x, abs(x), x**2, x % y, x // y),
    "numbers": lambda x, y: (x * 2, 2 * x, x + 1, x / 2),
    "elementwise": lambda x, y: (np.sin(x), np.exp(x), np.sqrt(abs(x)), np.tanh(x), np.log1p(abs(x)), np.floor(x)),
    "comparisons": lambda x, y: (x < y, x == y, np.isnan(x), np.maximum(x, y), np.where(x < y, x, y)),
    "reductions": lambda x, y: (np.sum(x, 0), np.prod(x), np.max(x, 1), np.cumsum(x, 0), np.argmax(x)),
    "shapes": lambda x, y: (x.T, x[1:, ::-1], np.concatenate([x, y]), np.pad(x, 1), x.reshape(-1), np.stack([x, y])),
}


def same_bits(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, map(np.asarray, expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_s_values_bit_for_bit(name, dtype):
    x, y = random(3, 4).astype(dtype), random(3, 4, seed=1, low=0.5).astype(dtype)
    graph = ga.trace(FUNCTIONS[name], x, y)
    expected = FUNCTIONS[name](x, y)
    same_bits(graph(x, y), expected)
    same_bits(ga.compile(ga.optimize(graph))(x, y), expected)
    assert ga.parse(str(graph)) == graph


def test_small_integers_go_to_float16_as_in_numpy():
    for dtype in ("int8", "uint8", "bool"):
        x = random(3, dtype=dtype)
        assert ga.trace(np.sin, x).output_types[0].dtype == np.sin(x).dtype == np.float16


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_python_numbers_do_not_widen(dtype):
    x = np.ones(3, dtype)
    for function in (
        lambda x: x * 1.5,
        lambda x: x + 2,
        lambda x: np.maximum(x, 0.5),
        lambda x: np.where(x > 0, x, 0.0),
    ):
        assert ga.trace(function, x).output_types[0].dtype == dtype


def test_promotion():
    half, brain = np.ones(2, np.float16), np.ones(2, BF16)
    for other, wanted in (("int8", BF16), ("float32", "float32"), ("float64", "float64"), ("complex64", "complex64")):
        graph = ga.trace(lambda x, y: x + y, brain, np.ones(2, other))
        assert graph.output_types[0].dtype == wanted == np.result_type(BF16, other)
    assert ga.trace(lambda x, y: x + y, brain, half).output_types[0].dtype == (brain + half).dtype
    with pytest.raises(ga.GraphadError, match="no common dtype"):
        ga.trace(lambda x, y: np.where(x > 0, x, y), brain, half)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_products_and_means(dtype):
    a, b = random(3, 4).astype(dtype), random(4, 2).astype(dtype)
    found = ga.trace(lambda a, b: (a @ b, np.einsum("ij,jk", a, b)), a, b)(a, b)
    exact = a.astype(float) @ b.astype(float)
    for each in found:
        assert each.dtype == dtype
        np.testing.assert_allclose(each.astype(float), exact, rtol=0.05, atol=0.05)
    assert ga.trace(np.mean, a)(a).dtype == np.mean(a).dtype == dtype
    large = np.full(70000, 1000, np.float16)
    assert ga.trace(np.mean, large)(large) == np.mean(large)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_gradients_are_in_the_dtype_of_the_argument(dtype):
    x = random(4, low=0.5).astype(dtype)

    def function(x):
        return np.sum(np.exp(x) * np.sqrt(x) + x**3 / 2 + np.log(x) - np.tanh(0.5 * x))

    gradient = ga.grad(function)(x)
    assert gradient.dtype == dtype
    exact = ga.grad(function)(x.astype(float))
    np.testing.assert_allclose(gradient.astype(float), exact, rtol=0.05, atol=0.1)
    mixed = ga.grad(lambda w: np.sum(w.astype(dtype) ** 2).astype(np.float32))(x.astype(np.float32))
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, 2 * x.astype(np.float32), rtol=0.02)
    batched = ga.vmap(ga.grad(lambda v: v * v))(x)
    assert batched.dtype == dtype


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_storage(dtype, tmp_path):
    weights = random(3, 20).astype(dtype)
    graph = ga.trace(lambda x: x * weights.astype(np.float32) + weights[0, 0], np.ones((3, 20), np.float32))
    ga.save(graph, tmp_path / "g")
    assert ga.load(tmp_path / "g") == graph
    stored = ga.trace(lambda x: x * weights, weights)
    ga.save(stored, tmp_path / "h")
    loaded = ga.load(tmp_path / "h")
    assert loaded == stored
    same_bits([loaded(weights)], [weights * weights])


def test_names():
    assert as_dtype("bf16") is as_dtype("bfloat16") is as_dtype(ml_dtypes.bfloat16) is BF16
    assert as_dtype("f16") == np.float16
    assert str(ga.spec((2, 3), "bfloat16")) == "bf16[2,3]"
    assert kind_of(BF16) == "f" and finfo(BF16).nmant == 7


def test_ml_dtypes_is_imported_when_asked_for():
    code = (
        "import sys, graphad as ga; assert 'ml_dtypes' not in sys.modules;"
        "ga.spec(3, 'bf16'); assert 'ml_dtypes' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    missing = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import graphad as ga\n"
        "try: ga.parse('graph f(%x: bf16[2]) -> (bf16[2]) {\\n  return %x\\n}')\n"
        "except ImportError as error: assert 'graphad[half]' in str(error), error\n"
        "else: raise SystemExit('it was there')"
    )
    subprocess.run([sys.executable, "-c", missing], check=True)
