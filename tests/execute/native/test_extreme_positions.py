"""argmax and argmin in native code: the first of equal elements, the first NaN, for every layout and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad import ops
from graphad.execute.native.program import HostStep
from tests.execute.native.both_executors import THREADS, arrays_of, share_everything, strided

RNG = np.random.default_rng(5)

SHAPES = [(1,), (5,), (16,), (67,), (1000,), (1, 3), (3, 1), (7, 33), (33, 7), (2, 5, 9), (4, 3, 2, 5), (3, 70, 90)]
KINDS = ["i1", "u1", "i2", "u4", "i8", "u8", "?"]
CASES = [*((shape, "f4") for shape in SHAPES), *((shape, kind) for shape in ((7, 133), (9, 700)) for kind in KINDS)]


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def assert_numpys_positions(function, wanted, *arrays, threads=THREADS):
    graph = ga.trace(function, *arrays)
    for count in threads:
        exe = ga.compile(graph, executor="native", threads=count, wait=True)
        assert not any(isinstance(step, HostStep) for step in exe._native_program().order)
        for k, (one, other) in enumerate(zip(arrays_of(exe(*arrays)), wanted, strict=True)):
            assert one.dtype == np.int64
            np.testing.assert_array_equal(one, other, err_msg=f"result {k}")


def searches(x):
    return [f(x, axis) for f in (ops.argmax, ops.argmin) for axis in range(x.ndim)]


def numpys(x):
    return [f(x, axis=axis) for f in (np.argmax, np.argmin) for axis in range(x.ndim)]


@pytest.mark.parametrize(("shape", "kind"), CASES, ids=str)
def test_the_first_of_equal_elements(shape, kind):
    few = RNG.integers(0, 3, size=shape)
    many = RNG.integers(0, 120, size=shape) * 2
    for x in (few, many, -many, few * 0):
        x = (x % 4 > 1) if kind == "?" else x.astype("i8").astype(kind)
        assert_numpys_positions(searches, numpys(x), x, threads=(2,))


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("shape", [s for s in SHAPES if np.prod(s) > 1], ids=str)
def test_the_first_nan(shape, kind, share):
    x = RNG.normal(size=shape).astype(kind)
    x[RNG.random(shape) < 0.1] = np.inf
    x[RNG.random(shape) < 0.1] = -np.inf
    x[RNG.random(shape) < share] = np.nan
    assert_numpys_positions(searches, numpys(x), x, threads=(1, 3))


@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "u8"])
def test_limits_of_a_dtype(kind):
    limits = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    low, high = (-np.inf, np.inf) if kind[0] == "f" else (limits.min, limits.max)
    for values in (
        [low] * 40,
        [high] * 40,
        [low] * 39 + [limits.min],
        [high] * 39 + [limits.max],
        [0, low, high, 0] * 9,
    ):
        x = np.array([values] * 3, kind)
        assert_numpys_positions(searches, numpys(x), x, threads=(1,))


def test_zeros_are_equal():
    x = np.array([[-0.0, 0.0] * 20, [0.0, -0.0] * 20])
    assert_numpys_positions(searches, numpys(x), x)


def test_strides_make_no_difference():
    x = RNG.integers(0, 50, size=(6, 70, 40)).astype("f8")

    assert_numpys_positions(
        lambda x: [found for v in strided(x) for found in searches(v)],
        [found for v in strided(x) for found in numpys(v)],
        x,
    )


def test_in_a_classifier():
    x, w = RNG.normal(size=(50, 20)), RNG.normal(size=(20, 11))
    labels = RNG.integers(0, 11, size=50)
    exe = ga.compile(
        ga.trace(lambda x, w, y: np.mean(np.argmax(x @ w, axis=1) == y), x, w, labels), executor="native", wait=True
    )
    assert exe(x, w, labels) == np.mean(np.argmax(x @ w, axis=1) == labels)
    assert exe.straight is not None


def test_other_dtypes_are_numpys():
    x = RNG.normal(size=(3, 40)).astype("f2")
    exe = ga.compile(ga.trace(lambda x: ops.argmax(x, 1), x), executor="native", wait=True)
    np.testing.assert_array_equal(exe(x), np.argmax(x, axis=1))
