"""One graph on both executors: native code against NumPy's values, and the same bits for every thread count."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad as ga
from graphad.execute import Executable
from graphad.execute.native import program
from graphad.ir.containers import flatten
from graphad.ir.types import is_inexact

THREADS = (1, 2, 3)


def arrays_of(result):
    return [np.asarray(leaf) for leaf in flatten(result, lambda leaf: not isinstance(leaf, (tuple, list, dict)))[0]]


def assert_agree(found, wanted, bound):
    """Compare results: shapes, dtypes, places of nan and infinity; finite values to `bound` of the largest one."""
    assert len(found) == len(wanted)
    for k, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), k
        if not is_inexact(other.dtype):
            np.testing.assert_array_equal(one, other, err_msg=f"result {k}")
            continue
        finite = np.isfinite(other)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other), err_msg=f"result {k}: nan")
        rest = ~finite & ~np.isnan(other)
        np.testing.assert_array_equal(one[rest], other[rest], err_msg=f"result {k}: infinite")
        size = float(np.max(np.abs(other[finite]), initial=0.0))
        np.testing.assert_allclose(one[finite], other[finite], rtol=bound, atol=bound * size, err_msg=f"result {k}")


def same_bits(one, other):
    return all(a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def bound_of(arrays):
    """Return a bound on relative differences for graphs of arrays of these dtypes."""
    types = {np.asarray(a).dtype for a in arrays}
    if any(t.itemsize == 2 and is_inexact(t) for t in types):
        return 2e-2
    return 2e-5 if np.dtype(np.float32) in types or np.dtype(np.complex64) in types else 1e-11


def check(function, *arrays, bound=None, optimize=ga.optimize, threads=THREADS):
    """Run a function natively for each thread count, twice, and on the reference executor; return native results."""
    graph = optimize(ga.trace(function, *arrays))
    with np.errstate(all="ignore"):
        wanted = arrays_of(Executable(graph, executor="reference")(*arrays))
        runs = []
        for count in threads:
            exe = Executable(graph, executor="native", threads=count).wait()
            runs += [arrays_of(exe(*arrays)) for _ in range(2)]
    for other in runs[1:]:
        assert same_bits(runs[0], other)
    assert_agree(runs[0], wanted, bound or bound_of(arrays))
    return runs[0]


def share_everything(monkeypatch):
    """Let all threads take part in every step, however small."""
    monkeypatch.setattr(program, "SINGLE_NS", 0.0)
    monkeypatch.setattr(program, "SMALL_NS", 0.0)


def strided(x: Any) -> tuple[Any, ...]:
    """Return views of an array of three axes that lie otherwise in memory: turned, with gaps, repeated."""
    return np.transpose(x, (2, 0, 1)), x[:, ::2, ::3], np.broadcast_to(x[:, :, 3:4], x.shape)
