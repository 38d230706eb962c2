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
