"""Kernels for sliding windows against the ops' own evaluation, bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from graphad.execute.native.code import Module
from graphad.execute.native.convolution import contiguous
from graphad.execute.native.kernel import Kernel
from graphad.execute.native.pooling import extreme_gradient_kernel, position_kernel, window_kernel, windows_of
from graphad.ops.windows import WindowMax, WindowMin, WindowPosition, WindowSum
from tests.execute.native.running_kernels import compiled

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]
KINDS = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
SORTS = [("f32", False), ("f32", True), ("f64", True), ("i32", False), ("i64", False), ("u8", False)]
"""Kinds, and whether nan and inf are among the elements."""

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


@dataclass
class Use:
    """A kernel to run, its operands, and what must come out."""

    kernel: Kernel | None
    operands: Sequence[Array]
    expected: Array


def check(module: Module, uses: Sequence[Use]) -> None:
    """Run the kernels of a module, each with one, two and three threads, and compare."""
    run = compiled(module, [use.kernel for use in uses if use.kernel is not None])
    for use in uses:
        assert use.kernel is not None
        for threads in (1, 2, 3):
            result = np.full(use.expected.shape, 77, use.expected.dtype)
            run([*use.operands, result], threads, [use.kernel])
            np.testing.assert_array_equal(result, use.expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_folds(case: tuple[Sizes, Sizes, Sizes, Sizes]) -> None:
    shape, size, steps, dilation = case
    module, uses = Module(), []
    for op, (kind, special) in itertools.product((WindowSum, WindowMax, WindowMin), SORTS):
        x = numbers(shape, kind, special)
        expected = op(size, steps, dilation).evaluate(x)
        w = windows_of(op(size, steps, dilation), kind, shape, contiguous(shape), contiguous(expected.shape))
        uses.append(Use(window_kernel(module, op, w, 32), [x], expected))
    check(module, uses)


@pytest.mark.parametrize("vector_bytes", [16, 64])
@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_folds_with_other_vectors(case: tuple[Sizes, Sizes, Sizes, Sizes], vector_bytes: int) -> None:
    shape, size, steps, dilation = case
    x = np.random.default_rng(0).standard_normal(shape)
    op = WindowSum(size, steps, dilation)
    expected = op.evaluate(x)
    module = Module()
    w = windows_of(op, "f64", shape, contiguous(shape), contiguous(expected.shape))
    check(module, [Use(window_kernel(module, WindowSum, w, vector_bytes), [x], expected)])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_positions(case: tuple[Sizes, Sizes, Sizes, Sizes]) -> None:
    shape, size, steps, dilation = case
    module, uses = Module(), []
    for largest, (kind, special) in itertools.product((True, False), SORTS):
        x = numbers(shape, kind, special)
        op = WindowPosition(size, steps, dilation, largest)
        expected = op.evaluate(x)
        w = windows_of(op, kind, shape, contiguous(shape), contiguous(expected.shape))
        uses.append(Use(position_kernel(module, w, largest, shape, 32), [x], expected))
    check(module, uses)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_of_extremes(case: tuple[Sizes, Sizes, Sizes, Sizes]) -> None:
    shape, size, steps, dilation = case
    module, uses = Module(), []
    for largest, kind in itertools.product((True, False), ("f32", "f64")):
        x = numbers(shape, kind, True)
        op = WindowPosition(size, steps, dilation, largest)
        positions = op.evaluate(x)
        g = np.asarray(np.random.default_rng(1).standard_normal(positions.shape), x.dtype)
        g[g > 1] = -0.0
        expected = np.zeros(shape, x.dtype)
        np.add.at(expected.reshape(-1), positions.ravel(), g.ravel())
        w = windows_of(op, kind, shape, contiguous(shape), contiguous(positions.shape))
        uses.append(Use(extreme_gradient_kernel(module, w, largest, 32), [x, g], expected))
    check(module, uses)
    assert not any(np.signbit(use.expected[use.expected == 0]).any() for use in uses)


def test_views() -> None:
    """Channels last as a view, results into a slice of their buffer; positions count as x is indexed."""
    held = np.random.default_rng(0).standard_normal((2, 12, 17, 5)).astype(np.float32)
    x = held.transpose(0, 3, 1, 2)[:, ::-1, :, 1:]
    op = WindowMax((1, 1, 2, 3), (1, 1, 2, 2), (1, 1, 1, 1))
    expected = op.evaluate(x)
    buffer = np.full((2, 5, 6, 20), 7, np.float32)
    y = buffer[..., 1 : 1 + 2 * expected.shape[3] : 2]
    x_strides, y_strides = (tuple(s // 4 for s in a.strides) for a in (x, y))
    offsets = (x.ctypes.data - held.ctypes.data) // 4, (y.ctypes.data - buffer.ctypes.data) // 4
    module = Module()
    w = windows_of(op, "f32", x.shape, x_strides, y_strides, offsets)
    kernel = window_kernel(module, WindowMax, w, 32)
    assert kernel is not None
    compiled(module, [kernel])([held, buffer], 2)
    np.testing.assert_array_equal(y, expected)
    assert (buffer[..., ::2] == 7).all()

    position = WindowPosition(op.size, op.strides, op.dilation, True)
    module = Module()
    w = windows_of(position, "f32", x.shape, x_strides, contiguous(expected.shape), (offsets[0], 0))
    check(module, [Use(position_kernel(module, w, True, x.shape, 32), [held], position.evaluate(x))])


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
        check(module, [Use(window_kernel(module, WindowSum, w, 32), [x], expected)])
