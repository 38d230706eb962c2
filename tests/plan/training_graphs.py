"""Training graphs as users write them, for the planner's tests and `tools/bench/memory.py`: value and gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import graphad as ga
from graphad.ir.graph import Graph

Array = np.ndarray[Any, Any]
Parameters = dict[str, Any]


def gradient_graph(loss: Callable[..., Any], *arguments: Any, optimized: bool = True) -> Graph:
    """Return the graph of value and gradient of a loss, optimised unless told otherwise."""
    graph = ga.value_and_grad(ga.trace(loss, *arguments))
    return ga.optimize(graph) if optimized else graph


def chain(layers: int, rows: int = 200, width: int = 64, optimized: bool = True) -> Graph:
    """An unrolled MLP with one weight: ``x = tanh(x @ w)``, `layers` times; the gradient of the sum."""

    def loss(x: Any, w: Any) -> Any:
        for _ in range(layers):
            x = np.tanh(x @ w)
        return np.sum(x)

    return gradient_graph(loss, ga.spec((rows, width)), ga.spec((width, width)), optimized=optimized)


def mlp(widths: tuple[int, ...] = (784, 512, 512, 10), batch: int = 128, optimized: bool = True) -> Graph:
    """A classifier with tanh layers and cross entropy."""
    parameters = {
        f"{kind}{k}": ga.spec(shape, "f4")
        for k, (m, n) in enumerate(itertools.pairwise(widths))
        for kind, shape in (("w", (m, n)), ("b", (n,)))
    }

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        h = x
        for k in range(len(widths) - 1):
            h = h @ p[f"w{k}"] + p[f"b{k}"]
            if k < len(widths) - 2:
                h = np.tanh(h)
        return cross_entropy(h, y)

    return gradient_graph(
        loss, parameters, ga.spec((batch, widths[0]), "f4"), ga.spec((batch,), "i8"), optimized=optimized
    )


def cross_entropy(z: Any, y: Any) -> Any:
    """Mean of ``log(sum(exp(z))) - z[y]`` over rows."""
    z = z - np.max(z, -1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), -1, keepdims=True))
    return -np.mean(np.take_along_axis(log_p, y[..., None], axis=-1))


def layer_norm(h: Any, gain: Any, bias: Any) -> Any:
    """Normalise the last axis."""
    centred = h - np.mean(h, -1, keepdims=True)
    variance = np.mean(centred * centred, -1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * gain + bias


def transformer(
    layers: int = 2,
    d: int = 64,
    heads: int = 4,
    seq: int = 32,
    batch: int = 4,
    vocab: int = 100,
    optimized: bool = True,
) -> Graph:
    """A decoder stack with pre-normalised blocks, tanh GELU and a causal mask."""
    f = 4 * d
    shapes: dict[str, tuple[int, ...]] = {"tok": (vocab, d), "pos": (seq, d), "head": (d, vocab), "g": (d,), "b": (d,)}
    for k in range(layers):
        shapes |= {f"g1{k}": (d,), f"h1{k}": (d,), f"qkv{k}": (d, 3 * d), f"c{k}": (3 * d,), f"o{k}": (d, d)}
        shapes |= {f"ob{k}": (d,), f"g2{k}": (d,), f"h2{k}": (d,), f"w1{k}": (d, f), f"b1{k}": (f,)}
        shapes |= {f"w2{k}": (f, d), f"b2{k}": (d,)}
    mask = np.triu(np.full((seq, seq), -1e30, "f4"), 1)
    half = np.float32((d // heads) ** -0.5)

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        h = p["tok"][x] + p["pos"]
        for k in range(layers):
            u = layer_norm(h, p[f"g1{k}"], p[f"h1{k}"]) @ p[f"qkv{k}"] + p[f"c{k}"]
            q, key, v = (
                np.transpose(np.reshape(u[..., j * d : (j + 1) * d], (batch, seq, heads, d // heads)), (0, 2, 1, 3))
                for j in range(3)
            )
            s = (q @ np.transpose(key, (0, 1, 3, 2))) * half + mask
            s = np.exp(s - np.max(s, -1, keepdims=True))
            s = s / np.sum(s, -1, keepdims=True)
            a = np.reshape(np.transpose(s @ v, (0, 2, 1, 3)), (batch, seq, d))
            h = h + a @ p[f"o{k}"] + p[f"ob{k}"]
            u = layer_norm(h, p[f"g2{k}"], p[f"h2{k}"]) @ p[f"w1{k}"] + p[f"b1{k}"]
            gelu = (
                np.float32(0.5) * u * (1 + np.tanh(np.float32(0.7978845608) * (u + np.float32(0.044715) * u * u * u)))
            )
            h = h + gelu @ p[f"w2{k}"] + p[f"b2{k}"]
        return cross_entropy(layer_norm(h, p["g"], p["b"]) @ p["head"], y)

    parameters = {name: ga.spec(shape, "f4") for name, shape in shapes.items()}
    tokens = ga.spec((batch, seq), "i8")
    return gradient_graph(loss, parameters, tokens, tokens, optimized=optimized)


def cnn(batch: int = 4, channels: tuple[int, ...] = (3, 32, 64, 64), size: int = 32, optimized: bool = True) -> Graph:
    """Convolutions 3x3 with relu, pools after all but the last, a global average and a dense layer."""
    from graphad import nn

    shapes: dict[str, tuple[int, ...]] = {"w": (channels[-1], 10), "b": (10,)}
    for k, (m, n) in enumerate(itertools.pairwise(channels)):
        shapes |= {f"w{k}": (n, m, 3, 3), f"b{k}": (n, 1, 1)}

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        h = x
        for k in range(len(channels) - 1):
            h = np.maximum(nn.conv(h, p[f"w{k}"], padding="same") + p[f"b{k}"], 0)
            if k < len(channels) - 2:
                h = nn.max_pool(h, 2)
        return cross_entropy(np.mean(h, (2, 3)) @ p["w"] + p["b"], y)

    parameters = {name: ga.spec(shape, "f4") for name, shape in shapes.items()}
    return gradient_graph(
        loss, parameters, ga.spec((batch, channels[0], size, size), "f4"), ga.spec((batch,), "i8"), optimized=optimized
    )
