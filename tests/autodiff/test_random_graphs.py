"""Properties of derivatives and batching on random graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

import graphad as ga
from tests.random_graphs import random_graphs

LIMITS = {"deadline": None, "max_examples": 40, "suppress_health_check": [HealthCheck.too_slow]}


def results(function):
    """Return the function with its results as a tuple."""

    def tupled(*arrays):
        found = function(*arrays)
        return found if isinstance(found, tuple) else (found,)

    return tupled


def scalar(function):
    """Return a scalar function of the results: a weighted sum of squares and values."""

    def value(*arrays):
        return sum(np.sum(r * (k + 1) + r * r / 2) for k, r in enumerate(results(function)(*arrays)))

    return value


@settings(**LIMITS)
@given(random_graphs())
def test_tracing_keeps_the_values(example):
    traced = ga.trace(results(example.function), *example.arrays)(*example.arrays)
    for got, wanted in zip(traced, results(example.function)(*example.arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


@settings(**LIMITS)
@given(random_graphs())
def test_derivatives_agree_with_central_differences(example):
    f = scalar(example.function)
    rng = np.random.default_rng(0)
    directions = [np.asarray(rng.uniform(-1, 1, a.shape)) for a in example.arrays]
    step = 1e-5
    high, low = (f(*(a + s * step * d for a, d in zip(example.arrays, directions, strict=True))) for s in (1, -1))
    numeric = (high - low) / (2 * step)
    gradients = ga.grad(f, argnums=tuple(range(len(directions))))(*example.arrays)
    reverse = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    _, forward = ga.jvp(f, example.arrays, directions)
    np.testing.assert_allclose(reverse, numeric, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-10)


@settings(**LIMITS)
@given(random_graphs(max_inputs=2, max_steps=8))
def test_hessians_are_symmetric_and_all_modes_agree(example):
    f = scalar(example.function)
    flat = ga.hessian(f, argnums=0)(*example.arrays)
    size = example.arrays[0].size
    matrix = np.reshape(flat, (size, size))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-9)
    other = np.reshape(ga.jacrev(ga.grad(f))(*example.arrays), (size, size))
    np.testing.assert_allclose(matrix, other, rtol=1e-9, atol=1e-9)
    v = np.ones_like(example.arrays[0])
    zeros = [None] * (len(example.arrays) - 1)
    product = ga.hvp(f, example.arrays, (v, *zeros))[0]
    np.testing.assert_allclose(matrix @ v.ravel(), np.ravel(product), rtol=1e-9, atol=1e-9)


@settings(**LIMITS)
@given(random_graphs())
def test_a_batch_is_a_loop(example):
    f = results(example.function)
    batches = [np.stack([a, a / 2, -a]) for a in example.arrays]
    mapped = ga.vmap(f)(*batches)
    for k in range(3):
        for whole, one in zip(mapped, f(*(b[k] for b in batches)), strict=True):
            np.testing.assert_allclose(whole[k], one, rtol=1e-10, atol=1e-12)
