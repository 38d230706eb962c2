"""Random bits in native code: those of the reference executor, for every size, key, counter and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad.execute.native.program import HostStep
from graphad.ops.philox import U32, U64, philox_bits
from tests.execute.native.both_executors import THREADS, arrays_of, check, share_everything

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def numbers(*shape):
    return RNG.integers(0, 2**64, size=shape, dtype=np.uint64)


def assert_same_bits(function, *arrays):
    graph = ga.trace(function, *arrays)
    wanted = arrays_of(ga.compile(graph, executor="reference")(*arrays))
    for count in THREADS:
        exe = ga.compile(graph, executor="native", threads=count, wait=True)
        assert not any(isinstance(step, HostStep) for step in exe._native_program().order)
        for one, other in zip(arrays_of(exe(*arrays)), wanted, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [U32, U64])
def test_every_size(dtype):
    sizes = [1, 2, 3, 4, 5, 31, 33, 63, 64, 1023, 1024, 1025, 2049, 5000]
    key, low, high = numbers(), numbers(), numbers()
    assert_same_bits(lambda *given: [philox_bits(*given, (n,), dtype) for n in sizes], key, low, high)


@pytest.mark.parametrize("dtype", [U32, U64])
@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (33, 50)])
def test_many_keys(shape, dtype):
    keys = [numbers(2, 3) for _ in range(3)]
    assert_same_bits(lambda *given: philox_bits(*given, shape, dtype), *keys)


def test_the_counter_carries():
    top = np.uint64(2**64 - 3)
    for high in (np.uint64(0), np.uint64(2**64 - 1)):
        assert_same_bits(lambda *given: philox_bits(*given, (700,), U64), numbers(), top, high)


def test_no_bits():
    check(lambda *given: philox_bits(*given, (0,), U32), numbers(), numbers(), numbers())


def test_dropout_runs_without_python():
    def layer(key, x):
        return np.where(ga.random.uniform(key, x.shape) < 0.5, x * 2.0, 0.0)

    key, x = ga.random.key(3), RNG.normal(size=(40, 30))
    exe = ga.compile(ga.trace(layer, key, x), executor="native", wait=True)
    assert exe.straight is not None
    np.testing.assert_array_equal(exe(key, x), ga.compile(ga.trace(layer, key, x), executor="reference")(key, x))
