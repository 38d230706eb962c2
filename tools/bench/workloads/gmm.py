"""ADBench's Gaussian mixture with full covariances and a Wishart prior, 1,000 points: value and gradient, float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .adbench import FULL, load, objectives
from .case import Build, Case, Problem, ready, value_and_gradients


def problem(instance: str = "d10_K100", folder: Path = FULL / "gmm" / "1k") -> Problem:
    """Return the mixture's parameters (weights, means, inverse covariances), and points and prior."""
    values = load.gmm(str(folder / f"gmm_{instance}.txt"))
    return {"parameters": values[:3], "data": values[3:]}


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted; the points are constants of the graph."""
    import graphad as ga

    parameters = p["parameters"]

    def density(parameters: Any) -> Any:
        return objectives.gmm(np, *parameters, *p["data"])

    def build() -> Case:
        both = ga.jit(ga.value_and_grad(density))
        return Case(lambda: both(parameters), value_and_gradients, keep=ready(both.executable(parameters)))

    return build


def jax(p: Problem) -> Build:
    """One jitted function, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    parameters = tuple(jnp.asarray(a) for a in p["parameters"])
    x, gamma, m = p["data"]
    x = jnp.asarray(x)

    def density(parameters: Any) -> Any:
        return objectives.gmm(jnp, *parameters, x, gamma, m)

    def build() -> Case:
        both = jax.jit(jax.value_and_grad(density))
        return Case(lambda: jax.block_until_ready(both(parameters)), value_and_gradients)

    return build
