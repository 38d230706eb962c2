"""Mean loss of a logistic regression, 200 rows of 20, and its gradient; weights in NumPy, the data inside, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Build, Case, Problem, buffered, ready, value_and_gradients


def problem(rows: int = 200, columns: int = 20) -> Problem:
    """Return features, labels 0 or 1, and weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns))
    w = 0.3 * rng.standard_normal(columns)
    return {"x": x, "w": w, "y": (rng.random(rows) < 0.5).astype(np.float64)}


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted; the data are constants of the graph."""
    import graphad as ga

    x, y, w = p["x"], p["y"], p["w"]

    def loss(w: Any) -> Any:
        z = x @ w
        return np.mean(np.logaddexp(0, z) - y * z)

    def build() -> Case:
        both = ga.jit(ga.value_and_grad(loss))
        return Case(lambda: both(w), value_and_gradients, keep=ready(both.executable(w)))

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits; the data on the device."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y, w = jnp.asarray(p["x"]), jnp.asarray(p["y"]), p["w"]

    def loss(w: Any, x: Any, y: Any) -> Any:
        z = x @ w
        return jnp.mean(jax.nn.softplus(z) - y * z)

    def build() -> Case:
        both = jax.jit(jax.value_and_grad(loss))

        def step() -> Any:
            value, gradient = both(w, x, y)
            return float(value), np.asarray(gradient)

        return Case(step, value_and_gradients)

    return build


def pytensor(p: Problem) -> Build:
    """A compiled function that trusts its argument; the data are shared variables."""
    import pytensor
    import pytensor.tensor as pt

    x, y = pytensor.shared(p["x"]), pytensor.shared(p["y"])

    def build() -> Case:
        w = pt.dvector("w")
        z = x @ w
        value = (pt.softplus(z) - y * z).mean()
        both = pytensor.function([w], [value, pt.grad(value, w)])
        both.trust_input = True
        return Case(lambda: both(p["w"]), value_and_gradients)

    return build


def casadi(p: Problem) -> Build:
    """Matrix expressions, called through fixed buffers."""
    import casadi as ca

    def build() -> Case:
        w = ca.MX.sym("w", p["w"].size)
        z, y = ca.mtimes(ca.DM(p["x"]), w), ca.DM(p["y"])
        value = ca.sum1(ca.log1p(ca.exp(-ca.fabs(z))) + ca.fmax(z, 0) - y * z) / p["y"].size
        return buffered(ca.Function("both", [w], [value, ca.gradient(value, w)]), p["w"])

    return build


def by_hand(p: Problem) -> Build:
    """NumPy, with the gradient written by hand."""
    x, y, w = p["x"], p["y"], p["w"]

    def step() -> Any:
        z = x @ w
        e = np.exp(-np.abs(z))
        value = np.mean(np.log1p(e) + np.maximum(z, 0) - y * z)
        return value, (np.where(z >= 0, 1.0, e) / (1 + e) - y) @ x / y.size

    return lambda: Case(step, value_and_gradients)


def limit(p: Problem) -> Build:
    """A loop by numba on one thread: a limit, not a competitor."""
    from math import exp, log1p

    import numba

    @numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
    def run(w: Any, x: Any, y: Any) -> Any:
        rows, columns = x.shape
        value, gradient = 0.0, np.zeros(columns)
        for i in range(rows):
            z = 0.0
            for j in range(columns):
                z += x[i, j] * w[j]
            e = exp(-abs(z))
            value += log1p(e) + max(z, 0.0) - y[i] * z
            slope = ((1.0 if z >= 0 else e) / (1 + e) - y[i]) / rows
            for j in range(columns):
                gradient[j] += slope * x[i, j]
        return value / rows, gradient

    return lambda: Case(lambda: run(p["w"], p["x"], p["y"]), value_and_gradients)
