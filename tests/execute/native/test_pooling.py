"""Kernels for sliding windows against the ops' own evaluation, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphad.execute.native.code import Module
from graphad.execute.native.convolution import contiguous
from graphad.execute.native.pooling import extreme_gradient_kernel, position_kernel, window_kernel, windows_of
from graphad.ops.windows import Window, WindowMax, WindowMin, WindowPosition, WindowSum
from tests.execute.native.running_kernels import compiled

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]
KINDS = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}

CASES: list[tuple[Sizes, Sizes, Sizes, Sizes]] = [
    ((3, 4, 16, 16), (1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 1, 1)),
    ((3, 4, 15, 19), (1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 1, 1)),
    ((3, 4, 15, 19), (1, 1, 3, 3), (1, 1, 2, 2), (1, 1, 1, 1)),
    ((3, 4, 15, 39), (1, 1, 3, 3), (1, 1, 3, 3), (1, 1, 1, 1)),
    ((3, 4, 15, 39), (1, 1, 2, 2), (1, 1, 3, 3), (1, 1, 1, 1)),
    ((3, 4, 15, 39), (1, 1, 3, 3), (1, 1, 1, 1), (1, 1, 2, 3)),
    ((3, 4, 15, 70), (1, 1, 2, 2), (1, 1, 2, 5), (1, 1, 1, 1)),
    ((3, 16, 15, 9), (1, 2, 3, 1), (1, 2, 3, 1), (1, 1, 1, 1)),
    ((2, 1, 7, 7), (1, 1, 7, 7), (1, 1, 1, 1), (1, 1, 1, 1)),
    ((2, 20, 12), (1, 12, 2), (1, 1, 2), (1, 1, 1)),
    ((5, 50), (1, 5), (1, 5), (1, 1)),
    ((50,), (5,), (5,), (1,)),
    ((6,), (1,), (1,), (1,)),
    ((2, 3, 4, 6, 18), (1, 1, 2, 2, 2), (1, 1, 2, 2, 2), (1, 1, 1, 1, 1)),
    ((0, 3, 4, 4), (1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 1, 1)),
]


def numbers(shape: Sequence[int], kind: str, special: bool = False) -> Array:
    """Return small whole numbers, so that many are equal; with nan and inf among them."""
    draw = np.random.default_rng(3)
    x: Array = draw.integers(0 if kind[0] == "u" else -4, 5, shape).astype(KINDS[kind])
    if special:
        x[draw.random(shape) < 0.1] = np.nan
        x[draw.random(shape) < 0.1] = np.inf
    return x


def ran(kernel: Any, module: Module, buffers: Sequence[Array]) -> Array:
    """Run a kernel with one, two and three threads; return the last buffer."""
    assert kernel is not None
    run = compiled(module, [kernel])
    found = []
    for threads in (1, 2, 3):
        buffers[-1].fill(77)
        run(buffers, threads)
        found.append(buffers[-1].copy())
    assert all(other.tobytes() == found[0].tobytes() for other in found)
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", [WindowSum, WindowMax, WindowMin])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_folds(case: tuple[Sizes, Sizes, Sizes, Sizes], op: type[Window], kind: str) -> None:
    shape, *attributes = case
    for special in (False, True) if kind[0] == "f" else (False,):
        x = numbers(shape, kind, special)
        expected = op(*attributes).evaluate(x)
        module = Module()
        w = windows_of(op(*attributes), kind, shape, contiguous(shape), contiguous(expected.shape))
        y = np.empty(expected.shape, x.dtype)
        np.testing.assert_array_equal(ran(window_kernel(module, op, w, 32), module, [x, y]), expected)


@pytest.mark.parametrize("vector_bytes", [16, 64])
@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_folds_with_other_vectors(case: tuple[Sizes, Sizes, Sizes, Sizes], vector_bytes: int) -> None:
    shape, *attributes = case
    x = np.random.default_rng(0).standard_normal(shape)
    expected = WindowSum(*attributes).evaluate(x)
    module = Module()
    w = windows_of(WindowSum(*attributes), "f64", shape, contiguous(shape), contiguous(expected.shape))
    kernel = window_kernel(module, WindowSum, w, vector_bytes)
    np.testing.assert_array_equal(ran(kernel, module, [x, np.empty(expected.shape)]), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_positions(case: tuple[Sizes, Sizes, Sizes, Sizes], largest: bool, kind: str) -> None:
    shape, *attributes = case
    x = numbers(shape, kind, kind[0] == "f")
    op = WindowPosition(*attributes, largest)
    expected = op.evaluate(x)
    module = Module()
    w = windows_of(op, kind, shape, contiguous(shape), contiguous(expected.shape))
    kernel = position_kernel(module, w, largest, shape, 32)
    np.testing.assert_array_equal(ran(kernel, module, [x, np.empty(expected.shape, np.int64)]), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_of_extremes(case: tuple[Sizes, Sizes, Sizes, Sizes], largest: bool, kind: str) -> None:
    shape, *attributes = case
    x = numbers(shape, kind, True)
    op = WindowPosition(*attributes, largest)
    positions = op.evaluate(x)
    g = np.random.default_rng(1).standard_normal(positions.shape).astype(x.dtype)
    g[g > 1] = -0.0
    expected = np.zeros(x.size, x.dtype)
    np.add.at(expected, positions.ravel(), g.ravel())
    module = Module()
    w = windows_of(op, kind, shape, contiguous(shape), contiguous(positions.shape))
    dx = ran(extreme_gradient_kernel(module, w, largest, 32), module, [x, g, np.empty(shape, x.dtype)])
    assert dx.tobytes() == expected.tobytes()


def test_views() -> None:
    """Channels last as a view, results into a slice of their buffer; positions count as x is indexed."""
    held = np.random.default_rng(0).standard_normal((2, 12, 17, 5)).astype(np.float32)
    x = held.transpose(0, 3, 1, 2)[:, ::-1, :, 1:]
    op = WindowMax((1, 1, 2, 3), (1, 1, 2, 2), (1, 1, 1, 1))
    expected = op.evaluate(x)
    buffer = np.full((2, 5, 6, 20), 7, np.float32)
    y = buffer[..., 1 : 1 + 2 * expected.shape[3] : 2]
    strides = [tuple(s // 4 for s in a.strides) for a in (x, y)]
    offsets = (x.ctypes.data - held.ctypes.data) // 4, (y.ctypes.data - buffer.ctypes.data) // 4
    module = Module()
    w = windows_of(op, "f32", x.shape, *strides, offsets)
    kernel = window_kernel(module, WindowMax, w, 32)
    assert kernel is not None
    compiled(module, [kernel])([held, buffer], 2)
    np.testing.assert_array_equal(y, expected)
    assert (buffer[..., ::2] == 7).all()

    position = WindowPosition(op.size, op.strides, op.dilation, True)
    found = np.empty(expected.shape, np.int64)
    module = Module()
    w = windows_of(position, "f32", x.shape, strides[0], contiguous(found.shape), (offsets[0], 0))
    np.testing.assert_array_equal(
        ran(position_kernel(module, w, True, x.shape, 32), module, [held, found]), position.evaluate(x)
    )


def test_what_is_the_hosts() -> None:
    shape = (4, 100)
    op = WindowMax((1, 70), (1, 1), (1, 1))
    w = windows_of(op, "f32", shape, contiguous(shape), (31, 1))
    assert window_kernel(Module(), WindowMax, w, 32) is not None
    assert position_kernel(Module(), w, True, shape, 32) is None
    assert extreme_gradient_kernel(Module(), w, True, 32) is None
    other = windows_of(op, "bool", shape, contiguous(shape), (31, 1))
    assert window_kernel(Module(), WindowSum, other, 32) is None


def test_long_windows() -> None:
    """Windows too long to be written out are folded by loops, in the same order."""
    for shape, size, steps in [((2, 100), (1, 70), (1, 3)), ((2, 30, 9), (1, 25, 9), (1, 1, 1))]:
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        op = WindowSum(size, steps, (1,) * len(shape))
        expected = op.evaluate(x)
        module = Module()
        w = windows_of(op, "f32", shape, contiguous(shape), contiguous(expected.shape))
        kernel = window_kernel(module, WindowSum, w, 32)
        np.testing.assert_array_equal(ran(kernel, module, [x, np.empty(expected.shape, np.float32)]), expected)
