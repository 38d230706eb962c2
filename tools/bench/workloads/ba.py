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


def _by_hand(cameras: Any, points: Any, weights: Any, observations: Any, features: Any) -> Any:
    """Return the blocks, one observation after the other; plain loops, for numba to compile."""
    count = observations.shape[0]
    by_camera, by_point = np.zeros((count, 2, 11)), np.empty((count, 2, 3))
    by_weight, by_prior = np.empty((count, 2)), np.empty(count)
    rotation, by_rotation, projection = np.empty((3, 3)), np.empty((3, 3)), np.empty((2, 3))
    q, k, turned = np.empty(3), np.empty(3), np.empty(3)
    for n in range(count):
        camera, point, weight = cameras[observations[n, 0]], points[observations[n, 1]], weights[n]
        angle = np.sqrt(camera[0] ** 2 + camera[1] ** 2 + camera[2] ** 2)
        cosine, sine = np.cos(angle), np.sin(angle)
        along = 0.0
        for i in range(3):
            q[i], k[i] = point[i] - camera[3 + i], camera[i] / angle
            along += k[i] * q[i]
        # p = cos q + sin (k x q) + (1 - cos) (k.q) k, with k the axis.
        for i in range(3):
            j, m = (i + 1) % 3, (i + 2) % 3
            cross = k[j] * q[m] - k[m] * q[j]
            turned[i] = cosine * q[i] + sine * cross + (1 - cosine) * along * k[i]
            by_angle = -sine * q[i] + cosine * cross + sine * along * k[i]
            for c in range(3):
                rotation[i, c] = (1 - cosine) * k[i] * k[c]
                by_rotation[i, c] = (1 - cosine) * k[i] * q[c]
            rotation[i, i] += cosine
            rotation[i, m] += sine * k[j]
            rotation[i, j] -= sine * k[m]
            by_rotation[i, i] += (1 - cosine) * along
            by_rotation[i, m] -= sine * q[j]
            by_rotation[i, j] += sine * q[m]
            # From the axis to the rotation vector: k = r / angle.
            radial = by_rotation[i, 0] * k[0] + by_rotation[i, 1] * k[1] + by_rotation[i, 2] * k[2]
            for c in range(3):
                by_rotation[i, c] = by_angle * k[c] + (by_rotation[i, c] - radial * k[c]) / angle
        x, y = turned[0] / turned[2], turned[1] / turned[2]
        square = x * x + y * y
        focal, k1, k2 = camera[6], camera[9], camera[10]
        scale, slope = 1 + k1 * square + k2 * square * square, 2 * (k1 + 2 * k2 * square)
        for i in range(2):
            mine = x if i == 0 else y
            dx, dy = mine * slope * x, mine * slope * y
            if i == 0:
                dx += scale
            else:
                dy += scale
            factor = weight * focal / turned[2]
            projection[i, 0], projection[i, 1] = factor * dx, factor * dy
            projection[i, 2] = -factor * (dx * x + dy * y)
            for c in range(3):
                moved, spun = 0.0, 0.0
                for j in range(3):
                    moved += projection[i, j] * rotation[j, c]
                    spun += projection[i, j] * by_rotation[j, c]
                by_point[n, i, c] = moved
                by_camera[n, i, 3 + c] = -moved
                by_camera[n, i, c] = spun
            by_camera[n, i, 6] = weight * mine * scale
            by_camera[n, i, 7 + i] = weight
            by_camera[n, i, 9] = weight * mine * focal * square
            by_camera[n, i, 10] = weight * mine * focal * square * square
            by_weight[n, i] = mine * scale * focal + camera[7 + i] - features[n, i]
        by_prior[n] = -2 * weight
    return by_camera, by_point, by_weight, by_prior


def by_hand(p: Problem) -> Build:
    """The derivatives written by hand, in Python loops."""
    return lambda: Case(lambda: _by_hand(*p.values()), jacobian_checksum)


def limit(p: Problem) -> Build:
    """The derivatives written by hand, compiled by numba, on one thread: a limit, not a competitor."""
    import numba

    def build() -> Case:
        run = numba.njit(fastmath=True)(_by_hand)
        return Case(lambda: run(*p.values()), jacobian_checksum)

    return build
