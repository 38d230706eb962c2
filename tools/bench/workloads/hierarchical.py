"""Log density and gradient of a normal regression with an intercept and a slope a group (85 groups, 919 rows), float64.

mu ~ N(0, 10); sigma_a, sigma_b, sigma_y ~ HalfCauchy(5) on the log scale; z ~ N(0, 1), not centred;
y ~ N(a[group] + b[group] floor, sigma_y).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .case import Build, Case, Problem, buffered, ready, value_and_gradients

HALF_LOG_TAU = 0.5 * np.log(2 * np.pi).item()
LOG_10 = np.log(10.0).item()
LOG_CAUCHY = np.log(2 / (5 * np.pi)).item()


def problem(groups: int = 85, rows: int = 919) -> Problem:
    """Return each row's group, floor and result, and a point: 5 shared parameters and 2 for each group."""
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, groups, rows))
    floor = (rng.random(rows) < 0.17).astype(np.float64)
    a, b = 1.5 + 0.3 * rng.standard_normal(groups), -0.7 + 0.3 * rng.standard_normal(groups)
    y = a[group] + b[group] * floor + 0.75 * rng.standard_normal(rows)
    point = np.concatenate([[1.0, -0.5, -0.5, -0.7, -0.2], 0.5 * rng.standard_normal(2 * groups)])
    return {"group": group, "floor": floor, "y": y, "groups": groups, "point": point}


def log_density(
    point: Any,
    group: Any,
    floor: Any,
    y: Any,
    groups: int,
    rows: int,
    total: Callable[..., Any],
    exp: Callable[..., Any],
    log1p: Callable[..., Any],
) -> Any:
    """Return the log density at `point`, with the functions of a library."""
    mean_a, log_a, mean_b, log_b, log_y = (point[k] for k in range(5))
    za, zb = point[5 : 5 + groups], point[5 + groups :]
    a, b = mean_a + exp(log_a) * za, mean_b + exp(log_b) * zb
    residual = (y - a[group] - b[group] * floor) / exp(log_y)
    result = -0.5 * (mean_a / 10) ** 2 - 0.5 * (mean_b / 10) ** 2 - 2 * (HALF_LOG_TAU + LOG_10)
    for log_sigma in (log_a, log_b, log_y):
        result = result + LOG_CAUCHY - log1p((exp(log_sigma) / 5) ** 2) + log_sigma
    result = result - 0.5 * total(za**2) - 0.5 * total(zb**2) - 2 * groups * HALF_LOG_TAU
    return result - 0.5 * total(residual**2) - rows * log_y - rows * HALF_LOG_TAU


def data(p: Problem) -> tuple[Any, Any, Any, int, int]:
    """Return what `log_density` takes after the point, as NumPy arrays."""
    return p["group"], p["floor"], p["y"], p["groups"], len(p["y"])


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted; the data are constants of the graph."""
    import graphad as ga

    point = p["point"]

    def model(point: Any) -> Any:
        return log_density(point, *data(p), np.sum, np.exp, np.log1p)

    def build() -> Case:
        both = ga.jit(ga.value_and_grad(model))
        return Case(lambda: both(point), value_and_gradients, keep=ready(both.executable(point)))

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    group, floor, y = jnp.asarray(p["group"]), jnp.asarray(p["floor"]), jnp.asarray(p["y"])

    def model(point: Any) -> Any:
        return log_density(point, group, floor, y, *data(p)[3:], jnp.sum, jnp.exp, jnp.log1p)

    def build() -> Case:
        both = jax.jit(jax.value_and_grad(model))

        def step() -> Any:
            value, gradient = both(p["point"])
            return float(value), np.asarray(gradient)

        return Case(step, value_and_gradients)

    return build


def pytensor(p: Problem) -> Build:
    """A compiled function that trusts its argument; the data are constants, as PyMC makes them."""
    import pytensor
    import pytensor.tensor as pt

    group, floor, y = (pt.constant(a) for a in data(p)[:3])

    def build() -> Case:
        point = pt.dvector("point")
        value = log_density(point, group, floor, y, *data(p)[3:], pt.sum, pt.exp, pt.log1p)
        both = pytensor.function([point], [value, pt.grad(value, point)])
        both.trust_input = True
        return Case(lambda: both(p["point"]), value_and_gradients)

    return build


def casadi(p: Problem) -> Build:
    """Matrix expressions, called through fixed buffers."""
    import casadi as ca

    group = [int(g) for g in p["group"]]

    def build() -> Case:
        point = ca.MX.sym("point", p["point"].size)
        floor, y = ca.DM(p["floor"]), ca.DM(p["y"])
        value = log_density(point, group, floor, y, *data(p)[3:], ca.sum1, ca.exp, ca.log1p)
        return buffered(ca.Function("both", [point], [value, ca.gradient(value, point)]), p["point"])

    return build


def by_hand(p: Problem) -> Build:
    """NumPy, with the gradient written by hand."""
    from math import exp, log1p

    group, floor, y, groups, rows = data(p)

    def step() -> Any:
        mean_a, log_a, mean_b, log_b, log_y = p["point"][:5].tolist()
        za, zb = p["point"][5 : 5 + groups], p["point"][5 + groups :]
        sigma_a, sigma_b, sigma_y = exp(log_a), exp(log_b), exp(log_y)
        residual = (y - (mean_a + sigma_a * za)[group] - (mean_b + sigma_b * zb)[group] * floor) / sigma_y
        squares = residual.dot(residual)
        value = -0.5 * (mean_a**2 + mean_b**2) / 100 - 0.5 * (za.dot(za) + zb.dot(zb)) - 0.5 * squares - rows * log_y
        value += 3 * LOG_CAUCHY - 2 * LOG_10 - (2 + 2 * groups + rows) * HALF_LOG_TAU
        for sigma in (sigma_a, sigma_b, sigma_y):
            value += np.log(sigma) - log1p((sigma / 5) ** 2)
        by_a = np.bincount(group, residual / sigma_y, groups)
        by_b = np.bincount(group, residual / sigma_y * floor, groups)
        prior = [1 - 2 * s * s / (25 + s * s) for s in (sigma_a, sigma_b, sigma_y)]
        shared = [
            by_a.sum() - mean_a / 100,
            prior[0] + sigma_a * by_a.dot(za),
            by_b.sum() - mean_b / 100,
            prior[1] + sigma_b * by_b.dot(zb),
            prior[2] - rows + squares,
        ]
        return value, np.concatenate([shared, sigma_a * by_a - za, sigma_b * by_b - zb])

    return lambda: Case(step, value_and_gradients)


def limit(p: Problem) -> Build:
    """Loops by numba on one thread: a limit, not a competitor."""
    from math import exp, log1p

    import numba

    groups, rows = p["groups"], len(p["y"])
    constant = 3 * LOG_CAUCHY - 2 * LOG_10 - (2 + 2 * groups + rows) * HALF_LOG_TAU

    @numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
    def run(q: Any, group: Any, floor: Any, y: Any) -> Any:
        g = np.zeros(q.size)
        sa, sb, sy = exp(q[1]), exp(q[3]), exp(q[4])
        squares = 0.0
        for i in range(rows):
            j = group[i]
            r = (y[i] - q[0] - sa * q[5 + j] - (q[2] + sb * q[5 + groups + j]) * floor[i]) / sy
            squares += r * r
            g[5 + j] += r / sy
            g[5 + groups + j] += r / sy * floor[i]
        value = constant - 0.005 * (q[0] * q[0] + q[2] * q[2]) - 0.5 * squares - rows * q[4] + q[1] + q[3] + q[4]
        value -= log1p((sa / 5) ** 2) + log1p((sb / 5) ** 2) + log1p((sy / 5) ** 2)
        for j in range(5, 5 + groups):
            za, zb, a, b = q[j], q[j + groups], g[j], g[j + groups]
            g[0] += a
            g[1] += sa * a * za
            g[2] += b
            g[3] += sb * b * zb
            value -= 0.5 * (za * za + zb * zb)
            g[j], g[j + groups] = sa * a - za, sb * b - zb
        g[0] -= q[0] / 100
        g[1] += 1 - 2 * sa * sa / (25 + sa * sa)
        g[2] -= q[2] / 100
        g[3] += 1 - 2 * sb * sb / (25 + sb * sb)
        g[4] = 1 - 2 * sy * sy / (25 + sy * sy) - rows + squares
        return value, g

    return lambda: Case(lambda: run(p["point"], p["group"], p["floor"], p["y"]), value_and_gradients)
