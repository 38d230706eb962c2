"""A step of gradient descent of a decoder: 2 pre-norm layers, causal attention, width 256, 4 heads, float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Build, Case, Checksum, Problem, multiplied, ready, stepped

RATE = 0.1


def problem(
    batch: int = 8, length: int = 128, width: int = 256, heads: int = 4, layers: int = 2, words: int = 1000
) -> Problem:
    """Return parameters by name, a batch of words, the words that follow, and the sizes."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return (0.05 * rng.standard_normal(shape)).astype(np.float32)

    def ones(n: int) -> Any:
        return np.ones(n, np.float32)

    def zeros(n: int) -> Any:
        return np.zeros(n, np.float32)

    d = width
    params = {"tokens": normal(words, d), "places": normal(length, d), "head": normal(d, words)}
    params |= {"scale": ones(d), "shift": zeros(d)}
    for k in range(layers):
        params |= {f"scale1_{k}": ones(d), f"shift1_{k}": zeros(d), f"w_qkv_{k}": normal(d, 3 * d)}
        params |= {f"b_qkv_{k}": zeros(3 * d), f"w_out_{k}": normal(d, d), f"b_out_{k}": zeros(d)}
        params |= {f"scale2_{k}": ones(d), f"shift2_{k}": zeros(d), f"w_up_{k}": normal(d, 4 * d)}
        params |= {f"b_up_{k}": zeros(4 * d), f"w_down_{k}": normal(4 * d, d), f"b_down_{k}": zeros(d)}
    x, y = rng.integers(0, words, (2, batch, length))
    return {"params": params, "x": x, "y": y, "heads": heads, "layers": layers}


def checksum(p: Problem, loss: Any, params: Any) -> Checksum:
    """Return the checksum from the parameters after one step."""
    return Checksum(float(loss), stepped(list(p["params"].values()), [params[k] for k in p["params"]], RATE))


def graphad(p: Problem) -> Build:
    """Plain NumPy, traced; the parameters are state."""
    import graphad as ga

    heads, layers = p["heads"], p["layers"]

    def normalised(h: Any, scale: Any, shift: Any) -> Any:
        centred = h - h.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * scale + shift

    def gelu(u: Any) -> Any:
        return 0.5 * u * (1 + np.tanh(np.sqrt(2 / np.pi).item() * (u + 0.044715 * u**3)))

    def attention(u: Any) -> Any:
        batch, length, three = u.shape
        size = three // 3 // heads
        q, k, v = (t.reshape(batch, length, heads, size).swapaxes(1, 2) for t in np.split(u, 3, axis=-1))
        scores = np.where(np.tri(length, dtype=bool), q @ k.swapaxes(-1, -2) * size**-0.5, -np.inf)
        return (ga.special.softmax(scores, axis=-1) @ v).swapaxes(1, 2).reshape(batch, length, heads * size)

    def loss(a: Any, x: Any, y: Any) -> Any:
        h = a["tokens"][x] + a["places"]
        for k in range(layers):
            u = normalised(h, a[f"scale1_{k}"], a[f"shift1_{k}"]) @ a[f"w_qkv_{k}"] + a[f"b_qkv_{k}"]
            h = h + attention(u) @ a[f"w_out_{k}"] + a[f"b_out_{k}"]
            u = normalised(h, a[f"scale2_{k}"], a[f"shift2_{k}"]) @ a[f"w_up_{k}"] + a[f"b_up_{k}"]
            h = h + gelu(u) @ a[f"w_down_{k}"] + a[f"b_down_{k}"]
        log_probability: Any = ga.special.log_softmax(normalised(h, a["scale"], a["shift"]) @ a["head"], axis=-1)
        return -np.mean(np.take_along_axis(log_probability, y[..., None], axis=-1))

    def descend(params: Any, x: Any, y: Any) -> Any:
        value, grads = ga.value_and_grad(loss)(params, x, y)
        return value, {name: a - RATE * grads[name] for name, a in params.items()}

    def build() -> Case:
        step = ready(ga.compile(descend, p["params"], p["x"], p["y"], updates={"params": "1"}))
        return Case(lambda: step(p["x"], p["y"]), lambda v: checksum(p, v, step.state["params"]), keep=step)

    return build


def jax(p: Problem) -> Build:
    """One jitted function that gives its parameters away, with `jax.nn`'s attention and GELU."""
    import jax
    import jax.numpy as jnp

    heads, layers = p["heads"], p["layers"]
    params = {k: jnp.asarray(v) for k, v in p["params"].items()}
    x, y = jnp.asarray(p["x"]), jnp.asarray(p["y"])

    def normalised(h: Any, scale: Any, shift: Any) -> Any:
        mean, variance = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
        return (h - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + shift

    def loss(a: Any, x: Any, y: Any) -> Any:
        h = a["tokens"][x] + a["places"]
        batch, length, width = h.shape
        for k in range(layers):
            u = normalised(h, a[f"scale1_{k}"], a[f"shift1_{k}"]) @ a[f"w_qkv_{k}"] + a[f"b_qkv_{k}"]
            parts = (t.reshape(batch, length, heads, width // heads) for t in jnp.split(u, 3, axis=-1))
            mixed = jax.nn.dot_product_attention(*parts, is_causal=True).reshape(batch, length, width)
            h = h + mixed @ a[f"w_out_{k}"] + a[f"b_out_{k}"]
            u = normalised(h, a[f"scale2_{k}"], a[f"shift2_{k}"]) @ a[f"w_up_{k}"] + a[f"b_up_{k}"]
            h = h + jax.nn.gelu(u) @ a[f"w_down_{k}"] + a[f"b_down_{k}"]
        log_probability = jax.nn.log_softmax(normalised(h, a["scale"], a["shift"]) @ a["head"])
        return -jnp.mean(jnp.take_along_axis(log_probability, y[..., None], axis=-1))

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

        return Case(step, lambda v: checksum(p, v, state["params"]))

    return build


def torch(p: Problem) -> Build:
    """Eager, with torch's attention, layer norm and fused optimiser."""
    return _torch(p, compiled=False)


def torch_compile(p: Problem) -> Build:
    """The same loss through `torch.compile`."""
    return _torch(p, compiled=True)


def _torch(p: Problem, *, compiled: bool) -> Build:
    import torch
    import torch.nn.functional as F

    heads, layers = p["heads"], p["layers"]
    turned = {k for k in p["params"] if k == "head" or k.startswith("w_")}
    a = {
        k: torch.from_numpy(np.ascontiguousarray(v.T) if k in turned else v.copy()).requires_grad_()
        for k, v in p["params"].items()
    }
    x, y = torch.from_numpy(p["x"]), torch.from_numpy(p["y"])

    def loss(x: Any, y: Any) -> Any:
        h = F.embedding(x, a["tokens"]) + a["places"]
        batch, length, width = h.shape
        for k in range(layers):
            u = F.layer_norm(h, (width,), a[f"scale1_{k}"], a[f"shift1_{k}"])
            parts = F.linear(u, a[f"w_qkv_{k}"], a[f"b_qkv_{k}"]).split(width, -1)
            split = (t.view(batch, length, heads, width // heads).transpose(1, 2) for t in parts)
            mixed = F.scaled_dot_product_attention(*split, is_causal=True).transpose(1, 2).reshape(batch, length, width)
            h = h + F.linear(mixed, a[f"w_out_{k}"], a[f"b_out_{k}"])
            u = F.layer_norm(h, (width,), a[f"scale2_{k}"], a[f"shift2_{k}"])
            u = F.gelu(F.linear(u, a[f"w_up_{k}"], a[f"b_up_{k}"]), approximate="tanh")
            h = h + F.linear(u, a[f"w_down_{k}"], a[f"b_down_{k}"])
        scores = F.linear(F.layer_norm(h, (width,), a["scale"], a["shift"]), a["head"])
        return F.cross_entropy(scores.flatten(0, 1), y.flatten())

    def build() -> Case:
        function = torch.compile(loss) if compiled else loss
        optimiser = torch.optim.SGD(list(a.values()), lr=RATE, fused=True)

        def step() -> float:
            optimiser.zero_grad(set_to_none=True)
            value = function(x, y)
            value.backward()
            optimiser.step()
            return float(value.item())

        def check(value: float) -> Checksum:
            return checksum(p, value, {k: t.detach().numpy().T if k in turned else t.detach() for k, t in a.items()})

        return Case(step, check)

    return build


def products(p: Problem) -> Build:
    """The products of a step alone, through NumPy's BLAS on all cores: a limit, not a competitor."""
    (batch, length), (words, width) = p["x"].shape, p["params"]["tokens"].shape
    heads, layers, rows = p["heads"], p["layers"], p["x"].size
    rng = np.random.default_rng(1)
    pairs: list[tuple[Any, Any]] = []
    layer = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    for m, n in [*layer * layers, (width, words)]:
        x, w, back = (rng.random(shape, np.float32) for shape in ((rows, m), (m, n), (rows, n)))
        pairs += [(x, w), (x.T, back), (back, w.T)]
    for _ in range(layers):
        q = rng.random((batch, heads, length, width // heads), np.float32)
        s = rng.random((batch, heads, length, length), np.float32)
        pairs += [(q, q.swapaxes(2, 3)), (s, q)] * 2 + [(s.swapaxes(2, 3), q)] * 2
    return multiplied(pairs)
