"""ADBench's hand tracking, 100 points: the 26 columns of the Jacobian of the residuals, in forward mode, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .adbench import FULL, jacobian_checksum, load, objectives
from .case import Build, Case, Problem, ready


def problem(size: str = "small") -> Problem:
    """Return the pose, the model (`size` small or big), which vertices are seen, and where."""
    folder = FULL / "hand" / f"simple_{size}"
    model = load.hand_model(str(FULL / "hand" / "model" if size == "small" else folder / "model"))
    pose, _, seen, where = load.hand(str(folder / "hand1_t26_c100.txt"), with_us=False)
    return {"pose": pose, "model": model, "seen": seen, "where": where}


def graphad(p: Problem) -> Build:
    """Plain NumPy, jitted; the model is a constant of the graph."""
    import graphad as ga

    pose = p["pose"]

    def residuals(pose: Any) -> Any:
        return objectives.hand_simple(np, pose, p["model"], p["seen"], p["where"])

    def build() -> Case:
        jacobian = ga.jit(ga.jacfwd(residuals))
        return Case(lambda: jacobian(pose), jacobian_checksum, keep=ready(jacobian.executable(pose)))

    return build


def jax(p: Problem) -> Build:
    """The same in JAX, 64 bits."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    pose = jnp.asarray(p["pose"])

    def residuals(pose: Any) -> Any:
        return objectives.hand_simple(jnp, pose, p["model"], p["seen"], p["where"])

    def build() -> Case:
        jacobian = jax.jit(jax.jacfwd(residuals))
        return Case(lambda: jax.block_until_ready(jacobian(pose)), jacobian_checksum)

    return build


def _by_hand(
    pose: Any,
    parents: Any,
    relatives: Any,
    inverse_absolutes: Any,
    positions: Any,
    weights: Any,
    seen: Any,
) -> Any:
    """Return the Jacobian, [points, 3, 26]; loops over bones and seen vertices, for numba to compile."""
    bones = len(parents)
    absolute, transform = np.zeros((bones, 4, 4)), np.zeros((bones, 4, 4))
    by_joint, moved = np.zeros((bones, 20, 4, 4)), np.zeros((bones, 20, 4, 4))
    depends = np.zeros((bones, 20), np.bool_)
    for b in range(bones):
        parent, place = parents[b], (b - 2) % 4
        before = relatives[b] if parent < 0 else absolute[parent] @ relatives[b]
        local, by_flex, by_side = np.eye(4), np.zeros((4, 4)), np.zeros((4, 4))
        bends = 2 <= b < 22 and place < 3
        first = 4 * ((b - 2) // 4) + (place + 1 if place else 0)
        if bends:
            side = pose[6 + first + 1] if place == 0 else 0.0
            cx, sx, cz, sz = np.cos(pose[6 + first]), np.sin(pose[6 + first]), np.cos(side), np.sin(side)
            local[0, :3] = cz, -sz * cx, sz * sx
            local[1, :3] = sz, cz * cx, -cz * sx
            local[2, :3] = 0.0, sx, cx
            by_flex[0, :3] = 0.0, sz * sx, sz * cx
            by_flex[1, :3] = 0.0, -cz * sx, -cz * cx
            by_flex[2, :3] = 0.0, cx, -sx
            by_side[0, :3] = -sz, -cz * cx, cz * sx
            by_side[1, :3] = cz, -sz * cx, sz * sx
        absolute[b] = before @ local
        if parent >= 0:
            for k in range(20):
                if depends[parent, k]:
                    depends[b, k] = True
                    by_joint[b, k] = by_joint[parent, k] @ relatives[b] @ local
        if bends:
            depends[b, first] = True
            by_joint[b, first] = before @ by_flex
            if place == 0:
                depends[b, first + 1] = True
                by_joint[b, first + 1] = before @ by_side
        transform[b] = absolute[b] @ inverse_absolutes[b]
        for k in range(20):
            if depends[b, k]:
                moved[b, k] = by_joint[b, k] @ inverse_absolutes[b]
    # The rotation of the whole hand, cos I + (1 - cos) k k' + sin [k]x, by its vector.
    angle = np.sqrt(pose[0] ** 2 + pose[1] ** 2 + pose[2] ** 2)
    axis, sine, cosine, unit = pose[:3] / angle, np.sin(angle), np.cos(angle), np.eye(3)
    cross = np.zeros((4, 3, 3))
    slopes, turns = np.zeros((3, 3, 3)), np.zeros((4, 3))
    for c in range(3):
        turns[c] = (unit[c] - axis * axis[c]) / angle
    turns[3] = axis
    for c in range(4):
        for i in range(3):
            j, m = (i + 1) % 3, (i + 2) % 3
            cross[c, m, j], cross[c, j, m] = turns[c, i], -turns[c, i]
    square = np.outer(axis, axis)
    rotation = cosine * unit + (1 - cosine) * square + sine * cross[3]
    for c in range(3):
        slopes[c] = axis[c] * (sine * (square - unit) + cosine * cross[3]) + sine * cross[c]
        slopes[c] += (1 - cosine) * (np.outer(turns[c], axis) + np.outer(axis, turns[c]))
    jacobian = np.zeros((len(seen), 3, 26))
    for n in range(len(seen)):
        vertex = positions[seen[n]]
        at, by = np.zeros(3), np.zeros((20, 3))
        for b in range(bones):
            weight = weights[seen[n], b]
            if weight == 0:
                continue
            for i in range(3):
                for c in range(4):
                    at[i] += weight * transform[b, i, c] * vertex[c]
            for k in range(20):
                if depends[b, k]:
                    for i in range(3):
                        for c in range(4):
                            by[k, i] += weight * moved[b, k, i, c] * vertex[c]
        for i in range(3):
            jacobian[n, i, 3 + i] = -1.0
            for j in range(3):
                for c in range(3):
                    jacobian[n, i, c] -= slopes[c, i, j] * at[j]
                for k in range(20):
                    jacobian[n, i, 6 + k] -= rotation[i, j] * by[k, j]
    return jacobian


def _arguments(p: Problem) -> tuple[Any, ...]:
    """Return what `_by_hand` takes."""
    model = p["model"]
    names = ("relatives", "inverse_absolutes", "positions", "weights")
    return (p["pose"], np.asarray(model["parents"]), *(model[name] for name in names), p["seen"])


def by_hand(p: Problem) -> Build:
    """The derivatives written by hand, in Python loops."""
    return lambda: Case(lambda: _by_hand(*_arguments(p)), jacobian_checksum)


def limit(p: Problem) -> Build:
    """The derivatives written by hand, compiled by numba: only seen vertices, on one thread; not a competitor."""
    import numba

    def build() -> Case:
        run, arguments = numba.njit(fastmath=True)(_by_hand), _arguments(p)
        return Case(lambda: run(*arguments), jacobian_checksum)

    return build
