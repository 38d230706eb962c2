"""Running sums, products, extremes and recurrences in native code: NumPy's bits, for every layout and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad import ops
from graphad.execute import Executable
from graphad.execute.native.program import HostStep
from graphad.ops.cumulative import cumsum, exclusive_prod
from graphad.ops.recurrence import cummax, cummin, cumprod, recurrence
from tests.execute.native.both_executors import THREADS, arrays_of, check, same_bits, share_everything

RNG = np.random.default_rng(3)

SHAPES = [(1,), (5,), (300,), (1, 3), (3, 1), (3, 4), (7, 33), (33, 7), (2, 5, 9), (4, 3, 2, 5), (20, 150), (2, 9, 300)]
"""Single lines, vectors of lines with and without a rest, blocks of many lines."""
KINDS = ["f8", "i1", "u2", "i4", "u8", "?"]
CASES = [*((shape, "f4") for shape in SHAPES), *((shape, kind) for shape in ((7, 33), (3, 300)) for kind in KINDS)]


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def backwards(x, axis):
    return cumsum(x, axis, True)


RUNNING = [cumsum, backwards, cumprod, cummax, cummin]


def example(shape, kind):
    x = RNG.normal(size=shape) * 2
    if kind == "?":
        return x > 0
    if kind[0] != "f":
        return (x * 3).astype("i8").astype(kind)
    x.flat[0] = -0.0
    return x.astype(kind)


def assert_numpys_bits(function, *arrays, threads=THREADS):
    graph = ga.trace(function, *arrays)
    with np.errstate(all="ignore"):
        wanted = arrays_of(Executable(graph, executor="reference")(*arrays))
    for count in threads:
        exe = Executable(graph, executor="native", threads=count).wait()
        assert not any(isinstance(step, HostStep) for step in exe._native_program().order)
        found = arrays_of(exe(*arrays))
        assert [k for k, (a, b) in enumerate(zip(found, wanted, strict=True)) if not same_bits([a], [b])] == []


@pytest.mark.parametrize(("shape", "kind"), CASES, ids=str)
def test_bits_of_numpy(shape, kind):
    x = example(shape, kind)
    functions = RUNNING if kind == "?" else [*RUNNING, exclusive_prod]
    assert_numpys_bits(lambda x: [f(x, axis) for f in functions for axis in range(x.ndim)], x)


@pytest.mark.parametrize("kind", ["f4", "f8", "i2"])
def test_strides_make_no_difference(kind):
    x = example((6, 5, 40), kind)

    def several(x):
        swapped = ops.transpose(x, (2, 0, 1))
        column = ops.broadcast_to(ops.slice_(x, (0, 0, 3), (6, 5, 4)), (6, 5, 40))
        every = ops.slice_(x, (0, 0, 0), (6, 5, 40), (1, 2, 3))
        return [f(v, axis) for f in RUNNING for v in (swapped, column, every) for axis in range(3)]

    assert_numpys_bits(several, x)


def test_nan_stays_and_infinities_pass():
    x = example((7, 90), "f8")
    x[2, 5], x[3, 80], x[4, 0], x[5, 3], x[5, 9] = np.nan, np.inf, np.nan, np.inf, -np.inf
    found = check(lambda x: [f(x, axis) for f in RUNNING for axis in (0, 1)], x)
    assert all(np.isnan(y).any() for y in found)


@pytest.mark.parametrize("shape", [(40,), (6, 50), (300, 3), (3, 300)], ids=str)
def test_in_place(shape):
    """What is summed is made for it alone, so that the sums lie where it lay."""
    x = example(shape, "f8")
    for axis in range(x.ndim):
        assert_numpys_bits(lambda x, a=axis: [f(f(x * 2.0, a) + 1.0, a) * 3.0 for f in RUNNING], x)


def test_no_elements():
    for shape in ((0,), (3, 0), (0, 3)):
        check(lambda x: [f(x, axis) for f in RUNNING for axis in range(x.ndim)], np.zeros(shape))


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1,), (50,), (3, 40), (40, 3), (6, 5, 4), (5, 700)], ids=str)
def test_recurrences(shape, kind):
    a, b = RNG.uniform(-1, 1, size=shape).astype(kind), example(shape, kind)
    both = [(axis, way) for axis in range(len(shape)) for way in (False, True)]
    check(lambda a, b: [recurrence(a, b, axis, way) for axis, way in both], a, b, threads=THREADS)
    found = ga.compile(ga.trace(lambda a, b: recurrence(a, b, 0), a, b), executor="native", wait=True)(a, b)
    wanted = np.array(b)
    for k in range(1, len(b)):
        wanted[k] = a[k] * wanted[k - 1] + b[k]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("function", [np.cumsum, np.cumprod, np.prod, np.maximum.accumulate])
def test_gradients(function):
    x = RNG.normal(size=(4, 30))
    weights = RNG.normal(size=function(x, axis=1).shape)
    check(ga.value_and_grad(lambda x: np.sum(weights * function(x, axis=1) ** 2)), x)


def test_other_dtypes_are_numpys():
    for kind in ("f2", "c16"):
        x = np.ones((3, 4), kind)
        exe = ga.compile(ga.trace(lambda x: cumsum(x, 1), x), executor="native", wait=True)
        np.testing.assert_array_equal(exe(x), np.cumsum(x, axis=1))
