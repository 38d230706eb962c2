"""searchsorted in native code: NumPy's numbers, with NaN last, for every length and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad.execute.native.program import HostStep
from graphad.ops.sorting import searchsorted
from tests.execute.native.both_executors import arrays_of, share_everything

RNG = np.random.default_rng(13)


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def assert_numpys_numbers(a, v, threads=(1, 3)):
    graph = ga.trace(lambda a, v: [searchsorted(a, v), searchsorted(a, v, True)], a, v)
    wanted = [np.empty(v.shape, np.int64) for _ in range(2)]
    for number, side in zip(wanted, ("left", "right"), strict=True):
        for at in np.ndindex(a.shape[:-1]):
            number[at] = np.searchsorted(a[at], v[at], side)
    for count in threads:
        exe = ga.compile(graph, executor="native", threads=count, wait=True)
        assert not any(isinstance(step, HostStep) for step in exe._native_program().order)
        for one, other in zip(arrays_of(exe(a, v)), wanted, strict=True):
            assert one.dtype == np.int64
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 9, 100, 1023])
@pytest.mark.parametrize("count", [1, 7, 64, 300])
def test_every_length(length, count):
    a = np.sort(RNG.integers(0, length + 5, size=length)).astype("f8")
    assert_numpys_numbers(a, RNG.integers(-2, length + 8, size=count) * 0.5)


@pytest.mark.parametrize("kind", ["f4", "i1", "u1", "i4", "u4", "i8", "u8", "?"])
def test_every_dtype(kind):
    few = RNG.integers(0, 100, size=70)
    values = RNG.integers(0, 110, size=(3, 50))
    if kind == "?":
        few, values = few > 40, values > 40
    elif kind[0] == "i":
        few, values = few - 50, values - 50
    assert_numpys_numbers(np.sort(few.astype(kind)), values.astype(kind))


@pytest.mark.parametrize("numbers", [0, 1, 20])
@pytest.mark.parametrize("nans", [0, 1, 5])
def test_nan_is_last(numbers, nans):
    ends = [-np.inf, np.inf] * (numbers > 1)
    a = np.sort(np.array([*RNG.normal(size=numbers), *ends, *[np.nan] * nans]))
    if a.size:
        assert_numpys_numbers(a, np.array([np.nan, -np.inf, np.inf, 0.0, -0.0, *a[:3], *RNG.normal(size=8)]))


@pytest.mark.parametrize(("rows", "shape"), [((2,), (5,)), ((3, 2), ()), ((4,), (70, 3))])
def test_many_rows(rows, shape):
    a = np.sort(RNG.normal(size=(*rows, 33)), axis=-1)
    assert_numpys_numbers(a, RNG.normal(size=(*rows, *shape)))


def test_interpolation_runs_without_python():
    x, y, at = np.linspace(0.0, 1.0, 50), RNG.normal(size=50), RNG.uniform(-0.1, 1.1, size=200)
    exe = ga.compile(ga.trace(lambda x, y, at: np.interp(at, x, y), x, y, at), executor="native", wait=True)
    np.testing.assert_allclose(exe(x, y, at), np.interp(at, x, y))
    assert exe.straight is not None
