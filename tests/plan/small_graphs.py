"""Random graphs for planning: a list of integers, each one op on earlier values, so that Hypothesis can shrink them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

import graphad as ga
from graphad import ops
from graphad.ir.graph import Graph, flat_containers
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import make_input

CHOICES = st.lists(st.integers(0, 2**30), min_size=1, max_size=40)


def random_graph(choices: Sequence[int], sizes: tuple[int, ...] = (2, 3)) -> Graph:
    """Return the graph that `choices` describe; its sizes come from `sizes` (0 and 1 are welcome)."""
    m, n = sizes[0], sizes[-1]
    shapes = [(m, n), (n, m), (m, m), (m * n,), ()]
    inputs = [make_input(f"x{k}", ga.spec(shape)) for k, shape in enumerate(shapes)]
    values: list[Tensor] = list(inputs)
    for choice in choices:
        values.append(_next(choice, values))
    marked = [values[c % len(values)] for c in choices[:3]] + values[-2:]
    outputs = [t.value for t in marked]
    containers = flat_containers(len(inputs), len(outputs))
    names = tuple(f"out{k}" for k in range(len(outputs)))
    return Graph(
        "random", tuple(t.value for t in inputs), tuple(outputs), tuple(f"x{k}" for k in range(5)), names, *containers
    )


def _next(choice: int, values: Sequence[Tensor]) -> Tensor:
    kind, rest = choice % 14, choice // 14
    x = values[-1 - rest % min(len(values), 6)]
    rest //= 6
    same = [v for v in values if v.type == x.type]
    y = same[rest % len(same)]
    if kind == 0:
        return ops.sin(x)
    if kind == 1:
        return ops.add(x, y)
    if kind == 2:
        return ops.mul(y, x)
    if kind == 3:
        return ops.transpose(x, tuple(range(x.ndim))[::-1])
    if kind == 4:
        return ops.reshape(x, (int(x.size),))
    if kind == 5:
        return ops.broadcast_to(x, (2, *x.shape)) if x.ndim < 3 else ops.reduce_sum(x, (0,))
    if kind == 6:
        return ops.reduce_sum(x, (rest % x.ndim,)) if x.ndim else ops.exp(x)
    if kind == 7:
        partners = [
            v for v in values if v.ndim == x.ndim >= 2 and v.shape[:-2] == x.shape[:-2] and v.shape[-2] == x.shape[-1]
        ]
        return ops.matmul(x, partners[rest % len(partners)]) if partners else ops.neg(x)
    if kind == 8:
        return ops.flip(x, (rest % x.ndim,)) if x.ndim else ops.tanh(x)
    if kind == 9 and x.ndim:
        stop = int(x.shape[0])
        return ops.slice_(x, (min(1, stop), *(0,) * (x.ndim - 1)), tuple(x.shape), (1 + rest % 2, *(1,) * (x.ndim - 1)))
    if kind == 10 and x.ndim:
        return ops.concatenate([x, y], 0)
    if kind == 11:
        return ops.reshape(x, (1, *x.shape, 1)) if x.ndim < 3 else ops.reshape(x, (int(x.size), 1))
    if kind == 12:
        return ops.cast(ops.cast(x, np.dtype(np.float32)), np.dtype(np.float64))
    return ops.where(ops.less(x, y), x, ops.cos(y))


def random_inputs(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    """Return arrays for the inputs of a static graph."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(t.shape)).astype(t.dtype) for t in graph.input_types]
