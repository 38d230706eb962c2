"""Prices of 1e6 European calls and their five greeks, the gradient of the summed price, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Build, Case, Problem, ready, value_and_gradients

ROOT_HALF = 0.5**0.5


def problem(n: int = 1_000_000) -> Problem:
    """Return spot, strike, rate, volatility and time, one of each for every option."""
    rng = np.random.default_rng(0)
    ranges = ((50, 150), (50, 150), (0.01, 0.1), (0.1, 0.5), (0.1, 2))
    return {"options": [rng.uniform(low, high, n) for low, high in ranges]}


def price(options: Any, log: Any, exp: Any, sqrt: Any, erf: Any) -> Any:
    """Return the price of each option, with the functions of a library."""
    s, k, r, v, t = options
    deviation = v * sqrt(t)
    d1 = (log(s / k) + (r + 0.5 * v * v) * t) / deviation
    d2 = d1 - deviation
    return s * (0.5 + 0.5 * erf(d1 * ROOT_HALF)) - k * exp(-r * t) * (0.5 + 0.5 * erf(d2 * ROOT_HALF))


def graphad(p: Problem) -> Build:
    """Plain NumPy, traced."""
    import graphad as ga

    def total(options: Any) -> Any:
        return np.sum(price(options, np.log, np.exp, np.sqrt, ga.special.erf))

    def build() -> Case:
        greeks = ga.jit(ga.value_and_grad(total))
        executable = ready(greeks.executable(p["options"]))
        return Case(lambda: greeks(p["options"]), value_and_gradients, keep=executable)

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    options = [jnp.asarray(a) for a in p["options"]]

    def total(options: Any) -> Any:
        return jnp.sum(price(options, jnp.log, jnp.exp, jnp.sqrt, jax.scipy.special.erf))

    def build() -> Case:
        greeks = jax.jit(jax.value_and_grad(total))
        return Case(lambda: jax.block_until_ready(greeks(options)), value_and_gradients)

    return build


def torch(p: Problem) -> Build:
    """Eager."""
    return _torch(p, compiled=False)


def torch_compile(p: Problem) -> Build:
    """The same function through `torch.compile`."""
    return _torch(p, compiled=True)


def _torch(p: Problem, *, compiled: bool) -> Build:
    import torch

    options = [torch.from_numpy(a).requires_grad_() for a in p["options"]]

    def total(*options: Any) -> Any:
        return price(options, torch.log, torch.exp, torch.sqrt, torch.erf).sum()

    def build() -> Case:
        function = torch.compile(total) if compiled else total

        def step() -> Any:
            value = function(*options)
            return value, torch.autograd.grad(value, options)

        return Case(step, lambda r: value_and_gradients((r[0].item(), r[1])))

    return build


def by_hand(p: Problem) -> Build:
    """The closed form in NumPy, with SciPy's erf."""
    from scipy.special import erf

    s, k, r, v, t = p["options"]

    def step() -> Any:
        root = np.sqrt(t)
        d1 = (np.log(s / k) + (r + 0.5 * v * v) * t) / (v * root)
        n1, n2 = (0.5 + 0.5 * erf(d * ROOT_HALF) for d in (d1, d1 - v * root))
        discount = np.exp(-r * t)
        density = s * np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
        paid = k * discount * n2
        greeks = [n1, -discount * n2, t * paid, density * root, density * v / (2 * root) + r * paid]
        return np.sum(s * n1 - paid), greeks

    return lambda: Case(step, value_and_gradients)


def limit(p: Problem) -> Build:
    """The closed form in one loop, by numba on all cores: a limit, not a competitor."""
    from math import erf, exp, log, pi, sqrt

    import numba

    greeks = [np.empty_like(a) for a in p["options"]]

    @numba.njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
    def run(s: Any, k: Any, r: Any, v: Any, t: Any, gs: Any, gk: Any, gr: Any, gv: Any, gt: Any) -> float:
        total = 0.0
        for i in numba.prange(s.size):
            root = sqrt(t[i])
            d1 = (log(s[i] / k[i]) + (r[i] + 0.5 * v[i] * v[i]) * t[i]) / (v[i] * root)
            n1, n2 = 0.5 + 0.5 * erf(d1 * ROOT_HALF), 0.5 + 0.5 * erf((d1 - v[i] * root) * ROOT_HALF)
            discount, density = exp(-r[i] * t[i]), s[i] * exp(-0.5 * d1 * d1) / sqrt(2 * pi)
            paid = k[i] * discount * n2
            total += s[i] * n1 - paid
            gs[i], gk[i], gr[i] = n1, -discount * n2, t[i] * paid
            gv[i], gt[i] = density * root, density * v[i] / (2 * root) + r[i] * paid
        return total

    return lambda: Case(lambda: (run(*p["options"], *greeks), greeks), value_and_gradients)
