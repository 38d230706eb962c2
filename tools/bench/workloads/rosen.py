"""Rosenbrock's function and its gradient from Python, NumPy in and NumPy out, float64: what an optimiser does."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Build, Case, Problem, buffered, ready, value_and_gradients


def problem(n: int = 10) -> Problem:
    """Return the point."""
    return {"x": np.random.default_rng(0).standard_normal(n)}


def formula(x: Any) -> Any:
    """Return the terms whose sum is Rosenbrock's function; any library's arrays."""
    return 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted."""
    import graphad as ga

    def rosenbrock(x: Any) -> Any:
        return np.sum(formula(x))

    def build() -> Case:
        both, x = ga.jit(ga.value_and_grad(rosenbrock)), p["x"]
        return Case(lambda: both(x), value_and_gradients, keep=ready(both.executable(x)))

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits, NumPy in and out."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x = p["x"]

    def build() -> Case:
        both = jax.jit(jax.value_and_grad(lambda x: jnp.sum(formula(x))))

        def step() -> Any:
            value, gradient = both(x)
            return float(value), np.asarray(gradient)

        return Case(step, value_and_gradients)

    return build


def pytensor(p: Problem) -> Build:
    """A compiled function that trusts its argument."""
    import pytensor
    import pytensor.tensor as pt

    def build() -> Case:
        x = pt.dvector("x")
        value = formula(x).sum()
        both = pytensor.function([x], [value, pt.grad(value, x)])
        both.trust_input = True
        return Case(lambda: both(p["x"]), value_and_gradients)

    return build


def casadi(p: Problem) -> Build:
    """Scalar expressions, called through fixed buffers, the documented way with the least overhead."""
    import casadi as ca

    def build() -> Case:
        x = ca.SX.sym("x", p["x"].size)
        value = ca.sum1(formula(x))
        return buffered(ca.Function("both", [x], [value, ca.gradient(value, x)]), p["x"])

    return build


def autograd(p: Problem) -> Build:
    """HIPS autograd, taped anew on each call."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    both = value_and_grad(lambda x: anp.sum(formula(x)))
    return lambda: Case(lambda: both(p["x"]), value_and_gradients)


def by_hand(p: Problem) -> Build:
    """NumPy, with the gradient written by hand."""

    def step() -> Any:
        x = p["x"]
        a = x[:-1]
        t, u = x[1:] - a * a, 1 - a
        gradient = np.zeros_like(x)
        gradient[:-1] = -400.0 * a * t - 2.0 * u
        gradient[1:] += 200.0 * t
        return 100.0 * t.dot(t) + u.dot(u), gradient

    return lambda: Case(step, value_and_gradients)


def limit(p: Problem) -> Build:
    """A loop by numba, call and arithmetic: a limit, not a competitor."""
    import numba

    @numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
    def run(x: Any) -> Any:
        value, gradient = 0.0, np.zeros(x.size)
        for i in range(x.size - 1):
            a = x[i]
            t, u = x[i + 1] - a * a, 1 - a
            value += 100.0 * t * t + u * u
            gradient[i] += -400.0 * a * t - 2.0 * u
            gradient[i + 1] += 200.0 * t
        return value, gradient

    return lambda: Case(lambda: run(p["x"]), value_and_gradients)
