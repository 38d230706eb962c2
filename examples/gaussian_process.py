"""Gaussian-process regression in plain NumPy: hyperparameters fitted by SciPy with graphad's gradient.

A kernel with one length scale a feature; the marginal likelihood by a Cholesky factorization (Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006, algorithm 2.1). Data: scikit-learn's diabetes set. Leaves
`out/gaussian_process.svg`: how the likelihood falls, the effect of the body mass index, and the held-out predictions.

python examples/gaussian_process.py [--out out]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import graphad as ga

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def kernel(theta: Any, a: Any, b: Any) -> Any:
    """Covariance of the function at the rows of a and b: a linear part, and a smooth one with a scale a feature.

    theta holds logarithms: of the linear part's deviation, the smooth part's, the noise's, and the length scales.
    """
    scaled_a, scaled_b = a / np.exp(theta[3:]), b / np.exp(theta[3:])
    squares = np.sum(scaled_a**2, axis=1)[:, None] + np.sum(scaled_b**2, axis=1) - 2 * scaled_a @ scaled_b.T
    return np.exp(2 * theta[0]) * (a @ b.T) + np.exp(2 * theta[1]) * np.exp(-0.5 * squares)


def factor_and_weights(theta: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Cholesky factor of the covariance of the data, and its inverse times y."""
    covariance = kernel(theta, x, x) + np.exp(2 * theta[2]) * np.eye(len(y))
    factor = np.linalg.cholesky(covariance)
    return factor, np.linalg.solve(factor.T, np.linalg.solve(factor, y))


def negative_log_likelihood(theta: Any, x: Any, y: Any) -> Any:
    """Minus the logarithm of the marginal likelihood of the data, a point."""
    factor, weights = factor_and_weights(theta, x, y)
    total = 0.5 * y @ weights + np.sum(np.log(np.diagonal(factor))) + 0.5 * len(y) * np.log(2 * np.pi)
    return total / len(y)


def predict(theta: Any, x: Any, y: Any, new: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of new measurements."""
    factor, weights = factor_and_weights(theta, x, y)
    across = kernel(theta, x, new)
    explained = np.sum(np.linalg.solve(factor, across) ** 2, axis=0)
    variance = np.diagonal(kernel(theta, new, new)) - explained + np.exp(2 * theta[2])
    return across.T @ weights, np.sqrt(variance)


def main() -> None:
    """Fit, compare with linear regression on held-out patients, and draw."""
    parser = argparse.ArgumentParser(description="Gaussian-process regression with graphad's gradient.")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    data = load_diabetes()
    x = data.data / data.data.std(axis=0)
    scale = data.target.std()
    y = (data.target - data.target.mean()) / scale
    x, held_x, y, held_y = train_test_split(x, y, test_size=0.25, random_state=0)

    value_and_grad = ga.jit(ga.value_and_grad(negative_log_likelihood))
    seen: list[float] = []

    def recorded(theta: Any) -> tuple[float, Any]:
        value, gradient = value_and_grad(theta, x, y)
        seen.append(float(value))
        return float(value), gradient

    start = np.concatenate([np.log([0.3, 0.5, 0.7]), np.full(x.shape[1], np.log(3.0))])
    found = minimize(recorded, start, jac=True, method="L-BFGS-B", bounds=[(-5.0, 5.0)] * len(start))
    mean, deviation = predict(found.x, x, y, held_x)

    def explained(prediction: Any) -> float:
        return float(1 - np.mean((held_y - prediction) ** 2) / np.var(held_y))

    design = np.column_stack([x, np.ones(len(x))])
    linear = np.column_stack([held_x, np.ones(len(held_x))]) @ np.linalg.lstsq(design, y)[0]
    inside = np.mean(np.abs(held_y - mean) < 1.96 * deviation)
    print(
        f"negative log likelihood a patient {seen[0]:.4f} -> {found.fun:.4f} after {len(seen)} evaluations, "
        f"gradient {np.abs(value_and_grad(found.x, x, y)[1]).max():.1e}\n"
        f"held-out variance explained {explained(mean):.1%}, by linear regression {explained(linear):.1%}\n"
        f"held-out patients inside the 95% interval: {inside:.1%}"
    )

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    left.plot(seen, marker=".")
    left.set(xlabel="evaluation", ylabel="negative log likelihood a patient", title="Fit of 13 hyperparameters")

    feature = list(data.feature_names).index("bmi")
    line = np.zeros((100, x.shape[1]))
    line[:, feature] = np.linspace(x[:, feature].min(), x[:, feature].max(), 100)
    along, spread = (scale * values for values in predict(found.x, x, y, line))
    center = data.target.mean()
    middle.fill_between(line[:, feature], center + along - 1.96 * spread, center + along + 1.96 * spread, alpha=0.2)
    middle.plot(line[:, feature], center + along)
    middle.plot(x[:, feature], center + scale * y, ".", color="gray", markersize=3)
    middle.set(xlabel="body mass index (deviations)", ylabel="progression", title="Others at their means; 95% interval")

    measured, predicted = center + scale * held_y, center + scale * mean
    right.errorbar(measured, predicted, 1.96 * scale * deviation, fmt=".", elinewidth=0.5, alpha=0.7)
    right.plot([measured.min(), measured.max()], [measured.min(), measured.max()], color="gray", linewidth=1)
    right.set(xlabel="measured progression", ylabel="predicted", title="Held-out patients")
    figure.savefig(options.out / "gaussian_process.svg")


if __name__ == "__main__":
    main()
