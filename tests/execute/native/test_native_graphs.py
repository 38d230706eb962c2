"""Native code on random graphs with their gradients: the values of NumPy, the same bits for every thread count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphad as ga
from graphad.execute import Executable
from graphad.ir.walk import evaluate
from tests.random_graphs import random_graphs


def with_gradients(example):
    """Return the optimised graph of a random function and the gradient of the sum of its results."""

    def total(*arrays):
        found = example.function(*arrays)
        return sum(np.sum(y) for y in (found if isinstance(found, tuple) else (found,)))

    def both(*arrays):
        return example.function(*arrays), ga.grad(total, argnums=tuple(range(len(arrays))))(*arrays)

    return ga.optimize(ga.trace(both, *example.arrays))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_native_code_keeps_the_values_of_random_graphs(dtype, data):
    example = data.draw(random_graphs(dtype=dtype))
    graph = with_gradients(example)
    wanted = evaluate(graph, list(example.arrays))
    exes = [Executable(graph, executor="native", threads=n).wait() for n in (1, 2)]
    runs = [exe._run(list(example.arrays)) for exe in exes]
    del runs
    found = [[np.asarray(x) for x in exe._programs[()].program.run(list(example.arrays))] for exe in exes]
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for a, b, w in zip(*found, wanted, strict=True):
        assert a.tobytes() == b.tobytes()
        np.testing.assert_allclose(a, w, rtol=tolerance, atol=tolerance)
