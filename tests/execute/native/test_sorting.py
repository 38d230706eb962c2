"""Sorting in native code: NumPy's order, with NaN last, and stable positions, for every layout and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad.execute.native.program import HostStep
from graphad.execute.native.sorting import LONGEST, MOST
from graphad.ops.sorting import argsort, sort
from tests.execute.native.both_executors import THREADS, arrays_of, check, share_everything, strided

RNG = np.random.default_rng(9)

SHAPES = [(1,), (5,), (8,), (9,), (17,), (300,), (1, 3), (3, 1), (33, 7), (2, 5, 9), (4, 3, 2, 5), (2, 40, 20)]
KINDS = ["f8", "i1", "u2", "i4", "u4", "i8", "u8", "?"]
CASES = [*((shape, "f4") for shape in SHAPES), *((shape, kind) for shape in ((70,), (3, 30)) for kind in KINDS)]


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def assert_numpys_order(function, wanted, *arrays, threads=(1, 2)):
    graph = ga.trace(function, *arrays)
    for count in threads:
        exe = ga.compile(graph, executor="native", threads=count, wait=True)
        assert not any(isinstance(step, HostStep) for step in exe._native_program().order)
        for k, (one, other) in enumerate(zip(arrays_of(exe(*arrays)), wanted, strict=True)):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=f"result {k}")


def both(x):
    return [f(x, axis) for f in (sort, argsort) for axis in range(x.ndim)]


def numpys(x):
    axes = range(x.ndim)
    return [*(np.sort(x, axis=a) for a in axes), *(np.argsort(x, axis=a, kind="stable") for a in axes)]


@pytest.mark.parametrize(("shape", "kind"), CASES, ids=str)
def test_order(shape, kind):
    few = RNG.integers(-2, 3, size=shape)
    many = RNG.integers(-100, 100, size=shape)
    ascending = np.arange(np.prod(shape)).reshape(shape) % 120
    for x in (few, many, ascending, -ascending, few * 0):
        x = (x > 0) if kind == "?" else x.astype("i8").astype(kind)
        assert_numpys_order(both, numpys(x), x)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_nan_is_last(kind, share):
    x = RNG.normal(size=(6, 90)).astype(kind)
    x[RNG.random(x.shape) < 0.1] = np.inf
    x[RNG.random(x.shape) < 0.1] = -np.inf
    x[RNG.random(x.shape) < share] = np.nan
    x[RNG.random(x.shape) < share / 2] = -np.nan
    assert_numpys_order(both, numpys(x), x)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8", "u8"])
def test_limits_of_a_dtype(kind):
    limits = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    values = [limits.max, 0, limits.min, 1, limits.max, limits.max - 1, limits.min, 0]
    if kind[0] == "f":
        values += [np.inf, -np.inf, np.nan, limits.tiny, -limits.tiny, limits.smallest_subnormal]
    x = np.array([RNG.permutation(np.array(values * 4, kind)) for _ in range(3)])
    assert_numpys_order(both, numpys(x), x)


def test_zeros_are_equal():
    x = np.array([0.0, -0.0] * 20 + [1.0, -1.0])
    assert_numpys_order(lambda x: argsort(x, 0), [np.argsort(x, kind="stable")], x)
    assert_numpys_order(lambda x: sort(x, 0), [np.sort(x)], x)


def test_strides_make_no_difference():
    x = RNG.integers(0, 50, size=(6, 20, 15)).astype("f8")

    assert_numpys_order(
        lambda x: [found for v in strided(x) for found in both(v)],
        [found for v in strided(x) for found in numpys(v)],
        x,
    )


def test_in_place():
    x = RNG.normal(size=(12, 30))
    wanted = [np.sort(np.sort(x * 2.0, axis=0) + 1.0, axis=1) * 3.0]
    assert_numpys_order(lambda x: sort(sort(x * 2.0, 0) + 1.0, 1) * 3.0, wanted, x)


def test_gradients():
    x, weights = RNG.normal(size=(4, 30)), RNG.normal(size=(4, 30))
    check(ga.value_and_grad(lambda x: np.sum(weights * np.sort(x, axis=1) ** 2)), x, threads=THREADS)


def test_what_is_left_to_numpy():
    cases = [
        (lambda x: sort(x, 0), np.sort, RNG.normal(size=MOST + 1)),
        (lambda x: argsort(x, 0), np.argsort, RNG.normal(size=LONGEST + 1)),
        (lambda x: sort(x, 0), np.sort, RNG.normal(size=20).astype("f2")),
        (lambda x: sort(x, 0), np.sort, np.zeros(0)),
    ]
    for function, wanted, x in cases:
        exe = ga.compile(ga.trace(function, x), executor="native", wait=True)
        np.testing.assert_array_equal(exe(x), wanted(x))


def test_a_line_of_thousands():
    x = RNG.integers(0, 1000, size=(2, 5000)).astype("f4")
    assert_numpys_order(lambda x: argsort(x, 1), [np.argsort(x, axis=1, kind="stable")], x)
