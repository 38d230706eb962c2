"""Gradients of composites against central differences: what the ops' own tests cannot see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparing import random

import graphad as ga
import graphad.numpy as gnp

X = random(3, 4, low=0.3, high=2.0)
ORDER = np.argsort(X, axis=1)

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "std": lambda x: np.std(x),
    "var": lambda x: np.var(x, 0, ddof=1).sum(),
    "prod": lambda x: np.prod(x, 1).sum(),
    "masked max": lambda x: np.max(x, 0, where=x > 0.5, initial=-1).sum(),
    "average": lambda x: np.average(x, 0, weights=x[:, 0])[1],
    "logsumexp": lambda x: gnp.logsumexp(x, 1).prod(),
    "softmax": lambda x: (gnp.softmax(x) ** 2).sum(),
    "log_softmax": lambda x: (gnp.log_softmax(x, 0) ** 2).sum(),
    "einsum": lambda x: np.einsum("ij,kj,kl->il", x, x, x).sum(),
    "einsum diagonal": lambda x: np.einsum("ii", x @ x.T) * x[0, 0],
    "tensordot": lambda x: (np.tensordot(x, x, ([1], [1])) ** 2).sum(),
    "kron": lambda x: (np.kron(x, x[0]) ** 2).sum(),
    "trace": lambda x: np.trace(x @ x.T),
    "tril": lambda x: (np.tril(x) @ x.T).sum(),
    "pad": lambda x: (np.pad(x, 2, mode="reflect") ** 2).sum(),
    "pad with constants": lambda x: (np.pad(x, ((1, 2), (0, 1)), constant_values=2.0) ** 2).sum(),
    "roll": lambda x: (np.roll(x, 1, 1) * x).sum(),
    "cumsum": lambda x: (np.cumsum(x, 1) ** 2).sum(),
    "linspace": lambda x: (np.linspace(x[0], x[1], 5) ** 2).sum(),
    "indexing": lambda x: (x[[0, 2, 2], 1:] ** 2).sum(),
    "take_along_axis": lambda x: (np.take_along_axis(x, ORDER, 1) * np.arange(4)).sum(),
    "select": lambda x: np.select([x > 1, x > 0.7], [x * 2, x**2], 0.0).sum(),
    "at.set": lambda x: (x.at[1:, ::-2].set(x[:2, :2] ** 2) * x).sum(),
    "at.add": lambda x: (x.at[[0, 0, 1]].add(x) ** 2).sum(),
    "at.multiply": lambda x: (x.at[:, [1, 2]].multiply(x[:, :2]) ** 2).sum(),
    "at.divide": lambda x: (x.at[0].divide(x[1]) ** 2).sum(),
    "at.max": lambda x: (x.at[0].max(1.0) ** 2).sum(),
    "clip": lambda x: np.clip(x, 0.5, 1.5).sum(),
    "sinc": lambda x: np.sinc(x).sum(),
    "modf": lambda x: (np.modf(x)[0] ** 2).sum(),
    "ldexp": lambda x: np.ldexp(x, 3).sum(),
    "power": lambda x: (x ** x[0]).sum() + (x**3).sum() + (2**x).sum(),
    "nan_to_num": lambda x: (np.nan_to_num(np.where(x > 1, np.nan, x)) ** 2).sum(),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_gradient(name: str) -> None:
    graph = ga.trace(FUNCTIONS[name], X)
    numeric = np.zeros_like(X)
    for index in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[index] = 1e-6
        numeric[index] = (graph(X + step) - graph(X - step)) / 2e-6
    np.testing.assert_allclose(ga.grad(FUNCTIONS[name])(X), numeric, rtol=1e-5, atol=1e-6)
