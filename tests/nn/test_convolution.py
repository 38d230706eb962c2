"""Convolution against direct sums, SciPy and JAX; its transpose against its gradient; every way of computing it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import signal

import graphad as ga
from graphad import nn
from graphad.ops import convolution_numpy

Array = np.ndarray[Any, Any]


def random(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    return np.random.default_rng(seed + sum(shape)).uniform(-1, 1, shape).astype(dtype)


def by_sums(x: Array, w: Array, strides: Any, pads: Any, dilation: Any, groups: int = 1) -> Array:
    """Return the convolution by its definition, one result after the other."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    extents = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    space = [(n - e) // s + 1 for n, e, s in zip(x.shape[2:], extents, strides, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *space), x.dtype)
    out, inner = w.shape[0] // groups, w.shape[1]
    for o, place in itertools.product(range(w.shape[0]), itertools.product(*map(range, space))):
        first = o // out * inner
        index = tuple(slice(t * s, t * s + e, d) for t, s, e, d in zip(place, strides, extents, dilation, strict=True))
        window = x[(slice(None), slice(first, first + inner), *index)]
        y[(slice(None), o, *place)] = np.sum(window * w[o], axis=tuple(range(1, x.ndim)))
    return y


CASES = {
    "1d": ((2, 3, 9), (4, 3, 3), (1,), ((0, 0),), (1,), 1),
    "1d strides": ((2, 3, 9), (4, 3, 3), (2,), ((2, 1),), (1,), 1),
    "2d": ((2, 3, 7, 6), (4, 3, 3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
    "2d all": ((2, 4, 9, 8), (6, 2, 3, 2), (2, 3), ((1, 2), (2, 0)), (2, 1), 2),
    "depthwise": ((2, 3, 7, 6), (3, 1, 3, 3), (1, 2), ((1, 1), (1, 1)), (1, 1), 3),
    "depth multiplier": ((2, 3, 7), (6, 1, 3), (1,), ((1, 1),), (1,), 3),
    "3d": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), (1, 1, 2), ((0, 0), (1, 1), (0, 0)), (1, 1, 1), 1),
    "large kernel": ((2, 3, 12, 12), (2, 3, 11, 11), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "one result": ((2, 3, 4, 4), (5, 3, 4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "pointwise": ((2, 3, 4, 4), (5, 3, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "no space": ((2, 3), (5, 3), (), (), (), 1),
    "empty batch": ((0, 3, 5), (2, 3, 2), (1,), ((0, 0),), (1,), 1),
    "sequence": ((1, 1, 30), (1, 1, 7), (1,), ((3, 3),), (1,), 1),
}


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_values(name: str, dtype: str) -> None:
    x_shape, w_shape, strides, pads, dilation, groups = CASES[name]
    x, w = random(*x_shape), random(*w_shape, seed=1)
    x, w = ((5 * a).astype(dtype) for a in (x, w))
    graph = ga.trace(lambda x, w: nn.conv(x, w, strides, pads, dilation, groups), x, w)
    found, expected = graph(x, w), by_sums(x, w, strides, pads, dilation, groups)
    assert found.dtype == x.dtype
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(CASES))
def test_derivatives(name: str) -> None:
    x_shape, w_shape, strides, pads, dilation, groups = CASES[name]
    x, w = random(*x_shape), random(*w_shape, seed=1)
    ga.check_grads(lambda x, w: nn.conv(x, w, strides, pads, dilation, groups) ** 2, (x, w), rtol=1e-4, atol=1e-4)


def test_scipy() -> None:
    x, w = random(20, 30), random(5, 4)
    found = ga.trace(lambda x, w: nn.conv(x[None, None], w[None, None]), x, w)(x, w)
    np.testing.assert_allclose(found[0, 0], signal.correlate(x, w, "valid"), rtol=1e-12)


WAYS = [
    convolution_numpy.by_windows,
    convolution_numpy.by_results,
    convolution_numpy.by_frequencies,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", sorted(set(CASES) - {"no space", "empty batch"}))
def test_every_way_of_computing(way: Any, name: str) -> None:
    x_shape, w_shape, strides, pads, dilation, groups = CASES[name]
    x, w = random(*x_shape), random(*w_shape, seed=1)
    expected = by_sums(x, w, strides, pads, dilation, groups)
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    y = np.zeros((len(x), groups, w.shape[0] // groups, *expected.shape[2:]))
    grouped = padded.reshape(len(x), groups, -1, *padded.shape[2:])
    way(y, grouped, w.reshape(groups, -1, *w.shape[1:]), strides, dilation)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-10, atol=1e-12)


def test_large_kernels_with_nan_stay_local() -> None:
    x, w = random(1, 1, 64, 64), random(1, 1, 17, 17)
    exact = by_sums(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1))
    np.testing.assert_allclose(ga.trace(nn.conv, x, w)(x, w), exact, rtol=1e-9, atol=1e-12)
    x[0, 0, 0, 0] = np.nan
    found = ga.trace(nn.conv, x, w)(x, w)
    assert np.isnan(found).sum() == 1


def test_padding() -> None:
    x, w = random(1, 1, 7, 8), random(1, 1, 3, 2)

    def shape(**arguments: Any) -> tuple[int, ...]:
        return ga.trace(lambda x, w: nn.conv(x, w, **arguments), x, w)(x, w).shape[2:]

    assert shape() == (5, 7)
    assert shape(padding="same") == (7, 8)
    assert shape(padding="same", strides=2) == (4, 4)
    assert shape(padding="same", strides=(3, 5), dilation=2) == (3, 2)
    assert shape(padding=1) == (7, 9)
    assert shape(padding=(1, (0, 2))) == (7, 9)


@pytest.mark.parametrize("padding", ["valid", 1, ((0, 1), (2, 0))])
@pytest.mark.parametrize(("strides", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), ((3, 2), (1, 2), 2), (2, 1, 2)])
def test_transpose_is_the_gradient(padding: Any, strides: Any, dilation: Any, groups: int) -> None:
    w = random(4, 2, 3, 3)
    g = random(2, 4, 5, 4)
    found = ga.trace(lambda g, w: nn.conv_transpose(g, w, strides, padding, dilation, groups), g, w)(g, w)
    image = np.zeros(found.shape)
    forward = ga.trace(lambda x: nn.conv(x, w, strides, padding, dilation, groups), image)
    assert forward(image).shape == g.shape
    _, pull = ga.vjp(lambda x: nn.conv(x, w, strides, padding, dilation, groups), image)
    pulled = pull(g)
    np.testing.assert_allclose(found, pulled[0] if isinstance(pulled, tuple) else pulled, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transpose_with_same_padding_is_that_of_jax(kernel: int, stride: int) -> None:
    x, w = random(2, 3, 4), random(3, 2, kernel)
    found = ga.trace(lambda x, w: nn.conv_transpose(x, w, stride, "same"), x, w)(x, w)
    # jax.lax.conv_transpose: kernel + stride - 2 zeros, the odd one before, around x spread out.
    total = kernel + stride - 2
    before = kernel - 1 if stride > kernel - 1 else -(-total // 2)
    spread = np.zeros((2, 3, 3 * stride + 1))
    spread[:, :, ::stride] = x
    turned = w[:, :, ::-1].transpose(1, 0, 2)
    np.testing.assert_allclose(found, by_sums(spread, turned, (1,), ((before, total - before),), (1,)), rtol=1e-12)


def test_transpose_derivatives_and_output_padding() -> None:
    x, w = random(1, 2, 3), random(2, 3, 4)
    ga.check_grads(lambda x, w: nn.conv_transpose(x, w, 3, 1, 2, output_padding=2) ** 2, (x, w), rtol=1e-4)
    found = ga.trace(lambda x, w: nn.conv_transpose(x, w, 3, 1, 2, output_padding=2), x, w)(x, w)
    assert found.shape == (1, 3, (3 - 1) * 3 + 6 + 1 - 2 + 2)


def test_vmap() -> None:
    x, w = random(3, 2, 2, 5), random(3, 4, 1, 2)

    def f(x: Any, w: Any) -> Any:
        return nn.conv(x, w, 2, 1, groups=2)

    expected = np.stack([by_sums(a, b, (2,), ((1, 1),), (1,), 2) for a, b in zip(x, w, strict=True)])
    np.testing.assert_allclose(ga.vmap(f)(x, w), expected, rtol=1e-12)


def test_symbolic_batch_and_space() -> None:
    w = random(4, 3, 3, 3)
    graph = ga.trace(lambda x: nn.conv(x, w, padding="same"), ga.spec((ga.dim("n"), 3, ga.dim("h"), 8), "float64"))
    x = random(2, 3, 5, 8)
    np.testing.assert_allclose(graph(x), by_sums(x, w, (1, 1), ((1, 1), (1, 1)), (1, 1)), rtol=1e-12)
    strided = ga.trace(lambda x: nn.conv(x, w, 2, 1), ga.spec((ga.dim("n"), 3, 8, 8), "float64"))
    x = random(2, 3, 8, 8)
    gradient = ga.grad(lambda x: (nn.conv(x, w, 2, 1) ** 2).sum())
    assert strided(x).shape == (2, 4, 4, 4)
    assert gradient(x).shape == x.shape


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: nn.conv(x, np.ones((4, 2, 3))), "channels in"),
        (lambda x: nn.conv(x, np.ones((4, 3, 3, 3))), "as many axes"),
        (lambda x: nn.conv(x, np.ones((4, 3, 9))), "exceeds the padded size"),
        (lambda x: nn.conv(x, np.ones((4, 3, 2)), strides=0), "strides must be positive"),
        (lambda x: nn.conv(x, np.ones((4, 3, 2)), padding="full"), "'same', 'valid'"),
        (lambda x: nn.conv(x, np.ones((4, 1, 2)), groups=3), "do not fall into 3 groups"),
        (lambda x: nn.conv(x, np.ones((4, 3, 0))), "is empty"),
        (lambda x: nn.conv_transpose(x, np.ones((3, 4, 2)), output_padding=1), "less than the stride"),
    ],
)
def test_errors(function: Any, text: str) -> None:
    with pytest.raises(ga.GraphadError, match=text):
        ga.trace(function, np.ones((2, 3, 5)))
