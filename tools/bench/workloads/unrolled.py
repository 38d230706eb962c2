"""A graph of about n small ops (sin, mul, add on vectors of 8) from a Python loop, and its three gradients, float64."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .case import Build, Case, Problem, ready, value_and_gradients


def problem(ops: int = 1000) -> Problem:
    """Return three vectors and the number of ops."""
    rng = np.random.default_rng(0)
    return {"vectors": [rng.uniform(-1, 1, 8) for _ in range(3)], "ops": ops}


def chain(vectors: Any, ops: int, sin: Callable[[Any], Any]) -> Any:
    """Return the last vector: 3 ops an iteration, each sine used by two iterations and v by all."""
    x, previous, v = vectors
    for _ in range(ops // 3):
        a = sin(x)
        x = a * previous + v
        previous = a
    return x


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted."""
    import graphad as ga

    vectors = p["vectors"]

    def total(vectors: Any) -> Any:
        return np.sum(chain(vectors, p["ops"], np.sin))

    def build() -> Case:
        both = ga.jit(ga.value_and_grad(total))
        return Case(lambda: both(vectors), value_and_gradients, keep=ready(both.executable(vectors)))

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    sys.setrecursionlimit(1_000_000)
    vectors = [jnp.asarray(a) for a in p["vectors"]]

    def build() -> Case:
        both = jax.jit(jax.value_and_grad(lambda vectors: jnp.sum(chain(vectors, p["ops"], jnp.sin))))
        return Case(lambda: jax.block_until_ready(both(vectors)), value_and_gradients)

    return build


def pytensor(p: Problem) -> Build:
    """A compiled function of shared variables."""
    import pytensor
    import pytensor.tensor as pt

    sys.setrecursionlimit(1_000_000)
    vectors = [pytensor.shared(a, shape=a.shape) for a in p["vectors"]]

    def build() -> Case:
        value = chain(vectors, p["ops"], pt.sin).sum()
        both = pytensor.function([], [value, *pt.grad(value, vectors)])
        return Case(both, lambda r: value_and_gradients((r[0], r[1:])))

    return build


def casadi(p: Problem) -> Build:
    """Matrix expressions in CasADi's virtual machine, called through fixed buffers."""
    import casadi as ca

    def build() -> Case:
        vectors = [ca.MX.sym(name, 8) for name in "xwv"]
        value = ca.sum1(chain(vectors, p["ops"], ca.sin))
        adjoints = ca.Function("forward", vectors, [value], [*"xwv"], ["value"]).reverse(1)(*vectors, value, 1)
        turned = [a.T if a.shape[0] == 1 else a for a in adjoints]
        function = ca.Function("both", vectors, [value, *turned])
        results = [np.zeros(1), *(np.zeros(8) for _ in vectors)]
        buffers, run = function.buffer()
        for k, vector in enumerate(p["vectors"]):
            buffers.set_arg(k, vector.data)
        for k, result in enumerate(results):
            buffers.set_res(k, result.data)

        def step() -> Any:
            run()
            return results[0][0], results[1:]

        # CasADi crashes where `run` outlives the function and its buffers.
        return Case(step, value_and_gradients, keep=(function, buffers))

    return build


def by_hand(p: Problem) -> Build:
    """NumPy, with a hand-written tape."""

    def step() -> Any:
        x, previous, v = p["vectors"]
        tape = []
        for _ in range(p["ops"] // 3):
            a = np.sin(x)
            tape.append((x, a, previous))
            x, previous = a * previous + v, a
        value = x.sum()
        back, back_previous, back_v = np.ones(8), np.zeros(8), np.zeros(8)
        for x, a, previous in reversed(tape):
            back_v = back_v + back
            back_a = back * previous + back_previous
            back_previous = back * a
            back = back_a * np.cos(x)
        return value, [back, back_previous, back_v]

    return lambda: Case(step, value_and_gradients)
