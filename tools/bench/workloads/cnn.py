"""A step of gradient descent of a small CNN: three 3x3 convolutions (32, 64, 64), two pools, 32x32 images, float32."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .case import Build, Case, Checksum, Problem, multiplied, ready, stepped

RATE = 0.05


def problem(batch: int = 32, size: int = 32, channels: tuple[int, ...] = (3, 32, 64, 64), classes: int = 10) -> Problem:
    """Return kernels [out, in, 3, 3], biases, the last layer, images [batch, channel, row, column] and labels."""
    rng = np.random.default_rng(0)
    kernels = [
        (rng.standard_normal((n, m, 3, 3)) * np.sqrt(2 / (9 * m))).astype(np.float32) for m, n in pairwise(channels)
    ]
    biases = [np.full(n, 0.01, np.float32) for n in channels[1:]]
    last = (rng.standard_normal((channels[-1], classes)) / 8).astype(np.float32), np.zeros(classes, np.float32)
    x = rng.standard_normal((batch, channels[0], size, size)).astype(np.float32)
    return {"params": [*kernels, *biases, *last], "x": x, "y": rng.integers(0, classes, batch)}


def checksum(p: Problem, loss: Any, params: Any) -> Checksum:
    """Return the checksum from the parameters after one step."""
    return Checksum(float(loss), stepped(p["params"], params, RATE))


def graphad(p: Problem) -> Build:
    """Plain NumPy with `ga.nn`, traced; the parameters are state."""
    import graphad as ga

    def layer(h: Any, kernel: Any, bias: Any) -> Any:
        return np.maximum(ga.nn.conv(h, kernel, padding="same") + bias[:, None, None], 0)

    def loss(params: Any, x: Any, y: Any) -> Any:
        k1, k2, k3, b1, b2, b3, w, b = params
        h = ga.nn.max_pool(layer(x, k1, b1), 2)
        h = ga.nn.max_pool(layer(h, k2, b2), 2)
        h = layer(h, k3, b3).mean(axis=(2, 3))
        log_probability: Any = ga.special.log_softmax(h @ w + b, axis=1)
        return -np.mean(np.take_along_axis(log_probability, y[:, None], axis=1))

    def descend(params: Any, x: Any, y: Any) -> Any:
        value, grads = ga.value_and_grad(loss)(params, x, y)
        return value, [a - RATE * g for a, g in zip(params, grads, strict=True)]

    def build() -> Case:
        step = ready(ga.compile(descend, p["params"], p["x"], p["y"], updates={"params": "1"}))
        return Case(lambda: step(p["x"], p["y"]), lambda v: checksum(p, v, step.state["params"]), keep=step)

    return build


def jax(p: Problem) -> Build:
    """Channels last, as Flax does."""
    import jax
    import jax.numpy as jnp

    params = [jnp.asarray(a.transpose(2, 3, 1, 0) if a.ndim == 4 else a) for a in p["params"]]
    x, y = jnp.asarray(p["x"].transpose(0, 2, 3, 1)), jnp.asarray(p["y"])

    def layer(h: Any, kernel: Any, bias: Any) -> Any:
        order = ("NHWC", "HWIO", "NHWC")
        return jax.nn.relu(jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=order) + bias)

    def pooled(h: Any) -> Any:
        return jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def loss(params: Any, x: Any, y: Any) -> Any:
        k1, k2, k3, b1, b2, b3, w, b = params
        h = pooled(layer(pooled(layer(x, k1, b1)), k2, b2))
        h = layer(h, k3, b3).mean((1, 2))
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

        def check(value: float) -> Checksum:
            arrays = [np.asarray(a) for a in state["params"]]
            return checksum(p, value, [a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays])

        return Case(step, check)

    return build


def torch(p: Problem) -> Build:
    """Eager, with the fused optimiser."""
    import torch
    import torch.nn.functional as F

    params = [torch.from_numpy(a.copy()).requires_grad_() for a in p["params"]]
    x, y = torch.from_numpy(p["x"]), torch.from_numpy(p["y"])
    k1, k2, k3, b1, b2, b3, w, b = params

    def build() -> Case:
        optimiser = torch.optim.SGD(params, lr=RATE, fused=True)

        def step() -> float:
            optimiser.zero_grad(set_to_none=True)
            h = F.max_pool2d(F.relu(F.conv2d(x, k1, b1, padding=1)), 2)
            h = F.max_pool2d(F.relu(F.conv2d(h, k2, b2, padding=1)), 2)
            h = F.relu(F.conv2d(h, k3, b3, padding=1)).mean((2, 3))
            value = F.cross_entropy(F.linear(h, w.T, b), y)
            value.backward()
            optimiser.step()
            return float(value.item())

        return Case(step, lambda v: checksum(p, v, [a.detach().numpy() for a in params]))

    return build


def products(p: Problem) -> Build:
    """The convolutions of a step as products of copied windows, without the copies: a limit, not a competitor."""
    rng = np.random.default_rng(1)
    batch, _, size, _ = p["x"].shape
    pairs: list[tuple[Any, Any]] = []
    for k, kernel in enumerate(p["params"][:3]):
        rows, m, n = batch * size * size, kernel[0].size, len(kernel)
        x, w, back = (rng.random(shape, np.float32) for shape in ((rows, m), (m, n), (rows, n)))
        pairs += [(x, w), (x.T, back), *([(back, w.T)] if k else [])]
        size //= 2 if k < 2 else 1
    return multiplied(pairs)
