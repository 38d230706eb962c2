"""An inverse problem of the heat equation on a square: find the initial temperature from a later, noisy picture of it.

The simulation is plain NumPy: explicit steps of the five-point stencil, with the boundary held at 0. graphad
differentiates through all steps; L-BFGS minimises the misfit with a smoothness penalty. Leaves `out/heat_equation.svg`.

python examples/heat_equation.py [--out out]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.optimize import minimize

import graphad as ga

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SIZE, STEPS, RATE, NOISE, SMOOTHNESS = 48, 40, 0.2, 0.002, 1e-5


def heat(u: Any) -> Any:
    """Return the temperature [n, n] after STEPS explicit steps, u = 0 outside."""
    for _ in range(STEPS):
        v = np.pad(u, 1)
        u = u + RATE * (v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4 * u)
    return u


def misfit(u: Any, seen: Any) -> Any:
    """Mean square distance of the simulated picture to the one seen, plus a penalty on differences of neighbours."""
    rough = np.sum(np.diff(u, axis=0) ** 2) + np.sum(np.diff(u, axis=1) ** 2)
    return np.mean((heat(u) - seen) ** 2) + SMOOTHNESS * rough / u.size


def truth() -> np.ndarray[Any, Any]:
    """Return a disc and a bar."""
    y, x = np.mgrid[0 : 1 : SIZE * 1j, 0 : 1 : SIZE * 1j]
    disc = (x - 0.35) ** 2 + (y - 0.35) ** 2 < 0.03
    bar = (abs(x - 0.7) < 0.08) & (abs(y - 0.6) < 0.25)
    return np.asarray(disc + 0.7 * bar, dtype=float)


def main() -> None:
    """Simulate, invert, draw."""
    parser = argparse.ArgumentParser(description="Invert the heat equation.")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    initial = truth()
    seen = heat(initial) + np.random.default_rng(0).normal(scale=NOISE, size=initial.shape)
    value_and_grad = ga.jit(ga.value_and_grad(misfit))

    def objective(flat: Any) -> Any:
        value, gradient = value_and_grad(flat.reshape(SIZE, SIZE), seen)
        return float(value), gradient.ravel()

    limits = [(0, 1)] * seen.size
    found = minimize(
        objective,
        seen.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"maxiter": 400, "ftol": 1e-12, "gtol": 1e-9},
    )
    recovered = found.x.reshape(SIZE, SIZE)
    errors = [float(np.sqrt(np.mean((a - initial) ** 2))) for a in (seen, recovered)]
    print(
        f"root mean square error: blurred picture {errors[0]:.3f}, recovered {errors[1]:.3f} ({found.nit} iterations)"
    )

    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
    pictures = {"initial": initial, f"seen after {STEPS} steps": seen, "recovered": recovered}
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, vmin=0, vmax=1, cmap="inferno")
        axis.set(title=title, xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(options.out / "heat_equation.svg")


if __name__ == "__main__":
    main()
