"""A step of gradient descent of a classifier 784-512-512-10 on a batch of 128, float32; the parameters stay inside."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .case import Build, Case, Checksum, Problem, multiplied, ready, stepped

RATE = 0.05


def problem(batch: int = 128, sizes: tuple[int, ...] = (784, 512, 512, 10)) -> Problem:
    """Return weights, biases, a batch and its labels."""
    rng = np.random.default_rng(0)
    weights = [(rng.standard_normal((m, n)) * np.sqrt(2 / m)).astype(np.float32) for m, n in pairwise(sizes)]
    biases = [np.zeros(n, np.float32) for n in sizes[1:]]
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    return {"weights": weights, "biases": biases, "x": x, "y": rng.integers(0, sizes[-1], batch)}


def checksum(p: Problem, loss: Any, weights: Any, biases: Any) -> Checksum:
    """Return the checksum from the parameters after one step."""
    return Checksum(float(loss), stepped([*p["weights"], *p["biases"]], [*weights, *biases], RATE))


def graphad(p: Problem) -> Build:
    """Plain NumPy, traced; the parameters are state."""
    import graphad as ga

    def loss(params: Any, x: Any, y: Any) -> Any:
        h = x
        for w, b in params[:-1]:
            h = np.maximum(h @ w + b, 0)
        w, b = params[-1]
        log_probability: Any = ga.special.log_softmax(h @ w + b, axis=1)
        return -np.mean(np.take_along_axis(log_probability, y[:, None], axis=1))

    def descend(params: Any, x: Any, y: Any) -> Any:
        value, grads = ga.value_and_grad(loss)(params, x, y)
        return value, [(w - RATE * gw, b - RATE * gb) for (w, b), (gw, gb) in zip(params, grads, strict=True)]

    def build() -> Case:
        params = list(zip(p["weights"], p["biases"], strict=True))
        step = ready(ga.compile(descend, params, p["x"], p["y"], updates={"params": "1"}))

        def check(value: Any) -> Checksum:
            return checksum(p, value, *zip(*step.state["params"], strict=True))

        return Case(lambda: step(p["x"], p["y"]), check, keep=step)

    return build


def jax(p: Problem) -> Build:
    """One jitted function that gives its parameters away."""
    import jax
    import jax.numpy as jnp

    params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(p["weights"], p["biases"], strict=True)]
    x, y = jnp.asarray(p["x"]), jnp.asarray(p["y"])

    def loss(params: Any, x: Any, y: Any) -> Any:
        h = x
        for w, b in params[:-1]:
            h = jax.nn.relu(h @ w + b)
        w, b = params[-1]
        log_probability = jax.nn.log_softmax(h @ w + b)
        return -jnp.mean(jnp.take_along_axis(log_probability, y[:, None], axis=1))

    def descend(params: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return value, jax.tree.map(lambda a, g: a - RATE * g, params, grads)

    def build() -> Case:
        compiled = jax.jit(descend, donate_argnums=0)
        state = {"params": params}

        def step() -> float:
            value, state["params"] = compiled(state["params"], x, y)
            jax.block_until_ready(state["params"])
            return float(value)

        return Case(step, lambda v: checksum(p, v, *zip(*state["params"], strict=True)))

    return build


def torch(p: Problem) -> Build:
    """Eager, with the fused optimiser."""
    import torch
    import torch.nn.functional as F

    weights = [torch.from_numpy(np.ascontiguousarray(w.T)).requires_grad_() for w in p["weights"]]
    biases = [torch.from_numpy(b.copy()).requires_grad_() for b in p["biases"]]
    x, y = torch.from_numpy(p["x"]), torch.from_numpy(p["y"])

    def build() -> Case:
        optimiser = torch.optim.SGD([*weights, *biases], lr=RATE, fused=True)

        def step() -> float:
            optimiser.zero_grad(set_to_none=True)
            h = x
            for w, b in zip(weights[:-1], biases[:-1], strict=True):
                h = F.relu(F.linear(h, w, b))
            value = F.cross_entropy(F.linear(h, weights[-1], biases[-1]), y)
            value.backward()
            optimiser.step()
            return float(value.item())

        def check(value: float) -> Checksum:
            return checksum(p, value, [w.detach().numpy().T for w in weights], [b.detach().numpy() for b in biases])

        return Case(step, check)

    return build


def products(p: Problem) -> Build:
    """The products of a step alone, through NumPy's BLAS on all cores: a limit, not a competitor."""
    sizes, batch = [p["x"].shape[1], *(len(b) for b in p["biases"])], len(p["x"])
    rng = np.random.default_rng(1)
    pairs: list[tuple[Any, Any]] = []
    for k, (m, n) in enumerate(pairwise(sizes)):
        x, w, back = (rng.random(shape, np.float32) for shape in ((batch, m), (m, n), (batch, n)))
        pairs += [(x, w), (x.T, back), *([(back, w.T)] if k else [])]
    return multiplied(pairs)
