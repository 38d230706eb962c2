"""Logistic regression in plain NumPy, fitted by SciPy with graphad's derivatives.

L-BFGS takes our value and gradient, Newton-CG our Hessian-vector product too. Data: scikit-learn's breast cancer set.
Leaves `out/logistic_regression.svg`: the loss of both methods against the evaluations of the objective.

python examples/logistic_regression.py [--out out]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer

import graphad as ga

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PENALTY = 1e-2


def objective(weights: Any, x: Any, y: Any) -> Any:
    """Mean logistic loss of labels y in {-1, 1}, with a ridge penalty; the last weight is the intercept."""
    margin = y * (x @ weights[:-1] + weights[-1])
    return np.mean(np.log(1 + np.exp(-margin))) + PENALTY / 2 * np.sum(weights[:-1] ** 2)


def main() -> None:
    """Fit with both methods and draw how the loss falls."""
    parser = argparse.ArgumentParser(description="Logistic regression with SciPy's optimisers and our derivatives.")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    data, target = load_breast_cancer(return_X_y=True)
    x = (data - data.mean(axis=0)) / data.std(axis=0)
    y = np.where(target == 1, 1.0, -1.0)
    start = np.zeros(x.shape[1] + 1)

    value_and_grad = ga.jit(ga.value_and_grad(objective))
    hvp = ga.jit(lambda w, v, x, y: ga.hvp(lambda w: objective(w, x, y), (w,), (v,))[0])
    losses: dict[str, list[float]] = {"L-BFGS-B": [], "Newton-CG": []}

    figure, axes = plt.subplots(figsize=(6, 4))
    for method, seen in losses.items():

        def recorded(w: Any, seen: list[float] = seen) -> Any:
            value, gradient = value_and_grad(w, x, y)
            seen.append(float(value))
            return float(value), gradient

        second = {"hessp": lambda w, v: hvp(w, v, x, y)} if method == "Newton-CG" else {}
        found = minimize(recorded, start, jac=True, method=method, **second)
        accuracy = np.mean(np.sign(x @ found.x[:-1] + found.x[-1]) == y)
        print(
            f"{method:10s} loss {found.fun:.8f} after {len(seen)} evaluations, "
            f"gradient {np.abs(value_and_grad(found.x, x, y)[1]).max():.1e}, accuracy {accuracy:.2%}"
        )
        axes.plot(seen, marker=".", label=method)
    axes.set(xlabel="evaluation", ylabel="loss", yscale="log", title="Logistic regression, breast cancer data")
    axes.legend()
    figure.savefig(options.out / "logistic_regression.svg")


if __name__ == "__main__":
    main()
