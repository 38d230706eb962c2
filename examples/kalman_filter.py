"""A Kalman filter in plain NumPy, whose noise levels are learnt by maximising its likelihood.

A point moves in the plane with nearly constant velocity; only its position is seen, with noise. The filter is an
ordinary Python loop over the observations, unrolled by the trace; the gradient of the log-likelihood with respect to
the two noise levels comes back through all of it. Leaves `out/kalman_filter.svg`.

python examples/kalman_filter.py [--out out]
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

STEPS, INTERVAL = 80, 0.1
MOVE = np.block([[np.eye(2), INTERVAL * np.eye(2)], [np.zeros((2, 2)), np.eye(2)]])
SEE = np.hstack([np.eye(2), np.zeros((2, 2))])
PUSH = np.vstack([INTERVAL**2 / 2 * np.eye(2), INTERVAL * np.eye(2)])


def kalman(log_noise: Any, observed: Any) -> tuple[Any, Any]:
    """Return the negative log-likelihood of the observations [steps, 2] and the filtered means [steps, 4].

    `log_noise` holds the logarithms of the standard deviations of acceleration and of observation.
    """
    process = np.exp(2 * log_noise[0]) * (PUSH @ PUSH.T)
    sight = np.exp(2 * log_noise[1]) * np.eye(2)
    mean, covariance = np.zeros(4), 10 * np.eye(4)
    surprise, means = 0.0, []
    for seen in observed:
        mean, covariance = MOVE @ mean, MOVE @ covariance @ MOVE.T + process
        innovation = seen - SEE @ mean
        spread = SEE @ covariance @ SEE.T + sight
        gain = np.linalg.solve(spread, SEE @ covariance).T
        surprise = surprise + 0.5 * (
            innovation @ np.linalg.solve(spread, innovation) + np.linalg.slogdet(2 * np.pi * spread)[1]
        )
        mean, covariance = mean + gain @ innovation, covariance - gain @ SEE @ covariance
        means.append(mean)
    return surprise, np.stack(means)


def simulate(rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return true positions and noisy observations, both [steps, 2]."""
    state = np.array([0.0, 0.0, 1.0, 0.5])
    positions = []
    for _ in range(STEPS):
        state = MOVE @ state + PUSH @ rng.normal(scale=1.5, size=2)
        positions.append(state[:2])
    truth = np.array(positions)
    return truth, truth + rng.normal(scale=0.2, size=truth.shape)


def main() -> None:
    """Learn the noise levels, filter, and draw the path."""
    parser = argparse.ArgumentParser(description="Learn the noise levels of a Kalman filter.")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    truth, observed = simulate(np.random.default_rng(3))
    likelihood = ga.jit(ga.value_and_grad(lambda log_noise, seen: kalman(log_noise, seen)[0]))
    found = minimize(likelihood, np.zeros(2), args=(observed,), jac=True, method="L-BFGS-B")
    acceleration, sight = np.exp(found.x)
    # The same function, on plain arrays: nothing in it knows about graphad.
    path = kalman(found.x, observed)[1]
    errors = [float(np.sqrt(np.mean((a[:, :2] - truth) ** 2))) for a in (observed, path)]
    print(f"learnt noise: acceleration {acceleration:.2f} (true 1.5), observation {sight:.3f} (true 0.2)")
    print(f"root mean square error: observed {errors[0]:.3f}, filtered {errors[1]:.3f}")

    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(*observed.T, ".", color="0.6", label="observed")
    axes.plot(*truth.T, label="true path")
    axes.plot(*path[:, :2].T, "--", label="filtered, learnt noise")
    axes.set(xlabel="x", ylabel="y", title="Kalman filter")
    axes.legend()
    figure.savefig(options.out / "kalman_filter.svg")


if __name__ == "__main__":
    main()
