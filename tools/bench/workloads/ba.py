"""ADBench's bundle adjustment ba1, 31,843 observations: the 2 x 15 block of each residual, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .adbench import COPIES, jacobian_checksum, load, objectives
from .case import Build, Case, Problem, ready


def problem() -> Problem:
    """Return cameras, points, weights, observations and features, every entry different."""
    values = load.ba(str(COPIES / "ba" / "ba1_n49_m7776_p31843.txt"), jitter=3)
    return dict(zip(("cameras", "points", "weights", "observations", "features"), values, strict=True))


def graphad(p: Problem) -> Build:
    """The blocks 2 x 11, 2 x 3 and 2 x 1 of every observation, in reverse mode under `vmap`."""
    import graphad as ga

    cameras, points, weights, observations, features = p.values()

    def error(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        return objectives.ba_reproj(np, camera, point, weight, feature)

    def blocks(cameras: Any, points: Any, weights: Any) -> Any:
        each = ga.vmap(ga.jacrev(error, (0, 1, 2)))
        return (*each(cameras[observations[:, 0]], points[observations[:, 1]], weights, features), -2 * weights)

    def build() -> Case:
        jacobian = ga.jit(blocks)
        executable = ready(jacobian.executable(cameras, points, weights))
        return Case(lambda: jacobian(cameras, points, weights), jacobian_checksum, keep=executable)

    return build


def jax(p: Problem) -> Build:
    """The same in JAX, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    cameras, points, weights, observations, features = (jnp.asarray(a) for a in p.values())

    def error(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        return objectives.ba_reproj(jnp, camera, point, weight, feature)

    def blocks(cameras: Any, points: Any, weights: Any) -> Any:
        each = jax.vmap(jax.jacrev(error, (0, 1, 2)))
        return (*each(cameras[observations[:, 0]], points[observations[:, 1]], weights, features), -2 * weights)

    def build() -> Case:
        jacobian = jax.jit(blocks)
        return Case(lambda: jax.block_until_ready(jacobian(cameras, points, weights)), jacobian_checksum)

    return build
