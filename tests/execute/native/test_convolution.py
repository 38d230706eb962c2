"""Convolution kernels against the op's own evaluation, for sizes, strides and shares of every sort."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphad.execute.native.code import Module
from graphad.execute.native.convolution import (
    Convolution,
    Epilogue,
    Layout,
    by_pixels,
    contiguous,
    convolution_kernels,
    of_op,
)
from graphad.execute.native.convolution_shape import balanced, divisor, phases
from graphad.execute.native.lanes import Lanes
from graphad.ops.convolution import Conv
from tests.execute.native.running_kernels import compiled

Array = np.ndarray[Any, Any]
Shape = Sequence[int]
KINDS = {"f32": np.float32, "f64": np.float64}


def op(
    rank: int = 2,
    strides: Any = 1,
    padding: Any = 1,
    dilation: Any = 1,
    spread: Any = 1,
    groups: int = 1,
) -> Conv:
    """Return an op; one number serves all axes."""

    def each(value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank

    pads = tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
    return Conv(each(strides), pads, each(dilation), each(spread), groups)


def random(shape: Shape, kind: str, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(KINDS[kind])


def bound(conv: Conv, x: Array, w: Array) -> Array:
    """Return how far results may be off: each product and each sum is rounded once at most."""
    count = w[0].size + 2
    sizes = conv.evaluate(np.abs(x).astype(np.float64), np.abs(w).astype(np.float64))
    return np.asarray(count * np.finfo(x.dtype).eps * sizes + np.finfo(x.dtype).tiny)


def check(conv: Conv, x_shape: Shape, w_shape: Shape, kind: str = "f32", vector_bytes: int = 32) -> list[bool]:
    """Compare results, and bits between thread counts; return by which way each kernel went."""
    x, w = random(x_shape, kind, 0), random(w_shape, kind, 1)
    expected = conv.evaluate(x.astype(np.float64), w.astype(np.float64))
    c = of_op(conv, kind, x_shape, w_shape, expected.shape)
    module = Module()
    kernels = convolution_kernels(module, c, vector_bytes)
    assert kernels is not None
    run = compiled(module, kernels)
    results = []
    for threads in (1, 2, 3):
        y = np.full(expected.shape, np.nan, KINDS[kind])
        run([x, w, y], threads)
        results.append(y)
    assert (np.abs(results[0] - expected) <= bound(conv, x, w)).all()
    for other in results[1:]:
        assert other.tobytes() == results[0].tobytes()
    return [by_pixels(phase, vector_bytes) for phase in phases(c)]


SIZES = [
    (op(), (2, 3, 16, 16), (8, 3, 3, 3)),
    (op(), (1, 5, 9, 13), (7, 5, 3, 3)),
    (op(), (3, 2, 8, 8), (13, 2, 3, 3)),
    (op(), (2, 4, 6, 5), (16, 4, 3, 3)),
    (op(), (40, 3, 4, 4), (5, 3, 3, 3)),
    (op(padding=0), (2, 7, 11, 33), (6, 7, 1, 1)),
    (op(padding=0), (2, 7, 5, 5), (6, 7, 5, 5)),
    (op(strides=2), (2, 4, 17, 19), (6, 4, 3, 3)),
    (op(strides=(2, 3), padding=3), (2, 3, 20, 41), (5, 3, 7, 7)),
    (op(padding=((2, 1), (-1, 3)), dilation=(2, 3)), (2, 5, 17, 29), (7, 5, 3, 3)),
    (op(padding=((-2, -3), (-1, -2))), (2, 5, 17, 29), (7, 5, 3, 3)),
    (op(spread=2, padding=2), (2, 5, 9, 9), (7, 5, 3, 3)),
    (op(spread=(3, 2), padding=((1, 3), (2, 1))), (2, 3, 7, 9), (9, 3, 2, 1)),
    (op(strides=(3, 2), spread=(2, 3), dilation=(2, 1), padding=2), (2, 5, 9, 9), (7, 5, 3, 3)),
    (op(strides=2, spread=4, dilation=3, padding=4), (2, 3, 5, 8), (4, 3, 3, 3)),
    (op(groups=4), (3, 4, 9, 12), (4, 1, 3, 3)),
    (op(groups=3), (2, 6, 9, 12), (12, 2, 3, 3)),
    (op(groups=2), (2, 6, 4, 4), (20, 3, 3, 3)),
    (op(), (6, 9, 16, 16), (20, 9, 16, 16)),
    (op(strides=2, dilation=2), (6, 9, 16, 16), (20, 9, 7, 7)),
    (op(), (3, 40, 30, 30), (9, 40, 30, 30)),
    (op(1), (3, 4, 50), (5, 4, 3)),
    (op(1, strides=2, padding=((1, 2),)), (3, 4, 50), (5, 4, 3)),
    (op(1, strides=2), (1, 1, 400), (1, 1, 99)),
    (op(3, strides=(1, 1, 2), dilation=(1, 2, 1)), (2, 3, 7, 8, 9), (5, 3, 3, 2, 3)),
    (op(3), (1, 3, 4, 5, 20), (5, 3, 3, 2, 3)),
    (op(3, padding=0), (4, 3, 4, 5, 6), (5, 3, 1, 1, 1)),
    (op(0), (3, 4), (5, 4)),
    (op(), (1, 70, 12, 12), (3, 70, 3, 3)),
    (op(padding=0), (1, 300, 64, 40), (7, 300, 1, 1)),
]


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"{case[1]}{case[2]}")
def test_values(case: tuple[Conv, Shape, Shape]) -> None:
    check(*case)


@pytest.mark.parametrize("case", SIZES[::2], ids=lambda case: f"{case[1]}{case[2]}")
def test_values_in_double_precision(case: tuple[Conv, Shape, Shape]) -> None:
    check(*case, "f64")


@pytest.mark.parametrize("vector_bytes", [16, 64])
@pytest.mark.parametrize("case", SIZES[::5], ids=lambda case: f"{case[1]}{case[2]}")
def test_values_with_other_vectors(case: tuple[Conv, Shape, Shape], vector_bytes: int) -> None:
    check(*case, "f32", vector_bytes)


def test_both_ways_are_taken() -> None:
    assert check(op(), (1, 2, 4, 16), (3, 2, 3, 3)) == [True]
    assert check(op(), (1, 2, 4, 4), (3, 2, 3, 3)) == [False]


def test_random_sizes() -> None:
    draw = np.random.default_rng(7)
    for _ in range(12):
        kernel, space = draw.integers(1, 4, 2), draw.integers(4, 14, 2)
        groups = int(draw.integers(1, 3))
        conv = op(
            strides=draw.integers(1, 3, 2).tolist(),
            padding=[tuple(p) for p in draw.integers(0, 3, (2, 2)).tolist()],
            dilation=draw.integers(1, 3, 2).tolist(),
            spread=draw.integers(1, 3, 2).tolist(),
            groups=groups,
        )
        inner, out = draw.integers(1, 6, 2).tolist()
        batch = int(draw.integers(1, 4))
        x_shape = (batch, groups * inner, *space.tolist())
        w_shape = (groups * out, inner, *kernel.tolist())
        padded = [n + sum(p) for n, p in zip(space.tolist(), conv.padding, strict=True)]
        if all(n > (k - 1) * d for n, k, d in zip(padded, kernel.tolist(), conv.dilation, strict=True)):
            check(conv, x_shape, w_shape, str(draw.choice(["f32", "f64"])))


def test_nothing_in_or_out() -> None:
    assert (_computed(op(), (2, 0, 4, 16), (3, 0, 3, 3)) == 0).all()
    assert (_computed(op(), (2, 0, 4, 4), (3, 0, 3, 3)) == 0).all()
    for x_shape, w_shape in [((0, 1, 4, 4), (2, 1, 3, 3)), ((2, 1, 4, 4), (0, 1, 3, 3)), ((2, 1, 0, 4), (2, 1, 3, 3))]:
        y_shape = (x_shape[0], w_shape[0], *x_shape[2:])
        assert convolution_kernels(Module(), of_op(op(), "f32", x_shape, w_shape, y_shape), 32) == []


def test_other_kinds_are_the_hosts() -> None:
    c = of_op(op(), "f32", (1, 1, 4, 4), (1, 1, 3, 3), (1, 1, 4, 4))
    assert convolution_kernels(Module(), replace(c, kind="i32"), 32) is None


def _computed(conv: Conv, x_shape: Shape, w_shape: Shape) -> Array:
    y_shape = conv.evaluate(np.zeros(x_shape), np.zeros(w_shape)).shape
    module = Module()
    kernels = convolution_kernels(module, of_op(conv, "f32", x_shape, w_shape, y_shape), 32)
    assert kernels
    y = np.full(y_shape, np.nan, np.float32)
    compiled(module, kernels)([random(x_shape, "f32", 0), random(w_shape, "f32", 1), y])
    return y


def viewed(conv: Conv, x: Array, w: Array, y: Array, bases: Sequence[Array]) -> Convolution:
    """Return the convolution of views into the buffers `bases`."""
    xs, ws, ys = (tuple(s // a.itemsize for s in a.strides) for a in (x, w, y))
    offsets = [(a.ctypes.data - base.ctypes.data) // a.itemsize for a, base in zip((x, w, y), bases, strict=True)]
    kind = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}[x.dtype]
    ends = [Layout(kind, ys, offsets[2])]
    return of_op(conv, kind, x.shape, w.shape, y.shape, xs, ws, ends, (offsets[0], offsets[1]))


@pytest.mark.parametrize("space", [(6, 17), (5, 5)])
def test_views_are_read_where_they_lie(space: tuple[int, int]) -> None:
    """Channels last, reversed and swapped kernels, results into a slice: no operand is copied first."""
    bases = [random((2, *space, 12), "f32", 0), random((9, 6, 3, 3), "f32", 1), np.full((2, 6, 9, 40), 7, np.float32)]
    x = bases[0].transpose(0, 3, 1, 2)[:, 1:10]
    w = bases[1][:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    y = bases[2][:, :, 1 : 1 + space[0], 2 : 2 + 2 * space[1] : 2]
    conv = op()
    module = Module()
    kernels = convolution_kernels(module, viewed(conv, x, w, y, bases), 32)
    assert kernels
    around = bases[2].copy()
    compiled(module, kernels)(bases, 2)
    expected = conv.evaluate(x.astype(np.float64), w.astype(np.float64))
    assert (np.abs(y - expected) <= bound(conv, x, w)).all()
    around[:, :, 1 : 1 + space[0], 2 : 2 + 2 * space[1] : 2] = y
    np.testing.assert_array_equal(around, bases[2])


def test_gradient_of_the_kernel_from_views() -> None:
    """Batch and channels swapped as views, as the op's vjp has them, with the result swapped back."""
    x, g, dw = random((8, 3, 12, 12), "f32", 0), random((8, 18, 12, 12), "f32", 1), np.empty((18, 3, 3, 3), np.float32)
    conv = op()
    image, kernel, result = x.transpose(1, 0, 2, 3), g.transpose(1, 0, 2, 3), dw.transpose(1, 0, 2, 3)
    module = Module()
    kernels = convolution_kernels(module, viewed(conv, image, kernel, result, (x, g, dw)), 32)
    assert kernels
    compiled(module, kernels)([x, g, dw], 2)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for a, b in itertools.product(range(3), range(3)):
        expected = np.einsum("nihw,nohw->oi", padded[:, :, a : a + 12, b : b + 12], g.astype(np.float64))
        np.testing.assert_allclose(dw[:, :, a, b], expected, rtol=0, atol=1e-3)


EPILOGUES = [
    (op(), (2, 4, 6, 18), (18, 4, 3, 3)),
    (op(), (2, 4, 5, 5), (18, 4, 3, 3)),
    (op(), (3, 4, 5, 5), (16, 4, 3, 3)),
    (op(), (3, 4, 6, 4), (5, 4, 3, 3)),
    (op(groups=2), (2, 4, 6, 18), (18, 2, 3, 3)),
    (op(groups=2), (2, 4, 5, 5), (32, 2, 3, 3)),
    (op(padding=0), (2, 7, 11, 33), (6, 7, 1, 1)),
    (op(spread=(3, 2), padding=((1, 3), (2, 1))), (2, 3, 7, 9), (9, 3, 2, 1)),
    (op(strides=(3, 2), spread=(2, 3), dilation=(2, 1), padding=2), (2, 5, 9, 9), (7, 5, 3, 3)),
    (op(1), (3, 4, 50), (5, 4, 3)),
    (op(3, padding=0), (4, 3, 4, 5, 6), (5, 3, 1, 1, 1)),
    (op(0), (3, 4), (16, 4)),
]


def broadcasts(shape: Shape) -> list[tuple[int, ...]]:
    """Return shapes that broadcast to `shape`: with each axis alone, all, none, all but the first, all but the last."""
    rank = len(shape)
    kept = [{k} for k in range(rank)] + [set(), set(range(rank)), set(range(1, rank)), set(range(rank - 1))]
    return [tuple(n if k in axes else 1 for k, n in enumerate(shape)) for axes in kept]


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("vector_bytes", [16, 32])
@pytest.mark.parametrize("case", EPILOGUES, ids=lambda case: f"{case[1]}{case[2]}")
def test_epilogue(case: tuple[Conv, Shape, Shape], vector_bytes: int, kind: str) -> None:
    """Sums of the results and of arrays that repeat along each axis, a mask of each, and a mask that is read."""
    conv, x_shape, w_shape = case
    x, w = random(x_shape, kind, 0), random(w_shape, kind, 1)
    sums = conv.evaluate(x.astype(np.float64), w.astype(np.float64))
    terms = [random(shape, kind, 2 + k) for k, shape in enumerate(broadcasts(sums.shape))]
    chosen = random(sums.shape, kind, 1000) > 0
    read = [*(np.broadcast_to(term, sums.shape) for term in terms), chosen]

    def apply(value: Lanes, operands: Sequence[Lanes]) -> list[Lanes]:
        total = value
        for operand in operands[:-1]:
            total = total + operand
        return [operands[-1].spread(value.count).select(total, value), total > 0.0]

    written = [np.full(sums.shape, np.nan, KINDS[kind]), np.full(sums.shape, 7, np.uint8).view(np.bool_)]
    kinds = [*(kind for _ in terms), "bool", kind, "bool"]
    strides = [tuple(s // a.itemsize for s in a.strides) for a in (*read, *written)]
    ends = [Layout(k, s) for k, s in zip(kinds, strides, strict=True)]
    module = Module()
    c = of_op(conv, kind, x_shape, w_shape, sums.shape, ends=ends)
    kernels = convolution_kernels(module, c, vector_bytes, Epilogue("sum of all", len(read), apply))
    assert kernels
    run = compiled(module, kernels)
    found = []
    for threads in (1, 2, 3):
        results = [a.copy() for a in written]
        run([x, w, *terms, chosen, *results], threads)
        found.append(results)
    expected = sums + sum(term.astype(np.float64) for term in terms)
    slack = bound(conv, x, w) + 20 * np.finfo(KINDS[kind]).eps * (np.abs(sums) + sum(np.abs(term) for term in terms))
    total, positive = found[0]
    assert (np.abs(total - np.where(chosen, expected, sums)) <= slack).all()
    assert ((positive == (expected > 0)) | (np.abs(expected) <= slack)).all()
    for results in found[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results, found[0], strict=True))


def test_an_epilogue_is_part_of_the_name() -> None:
    c = of_op(op(), "f32", (2, 3, 8, 8), (4, 3, 3, 3), (2, 4, 8, 8))
    module = Module()
    plain = convolution_kernels(module, c, 32)
    doubled = convolution_kernels(module, c, 32, Epilogue("doubled", 0, lambda sums, _: [sums * 2.0]))
    assert plain and doubled and plain[0].name != doubled[0].name


def test_equal_convolutions_share_one_function() -> None:
    module = Module()
    c = of_op(op(), "f32", (2, 3, 8, 8), (4, 3, 3, 3), (2, 4, 8, 8))
    first, second = convolution_kernels(module, c, 32), convolution_kernels(module, c, 32)
    assert first == second


@pytest.mark.parametrize(("space", "out"), [(16, 8), (5, 16), (5, 7)])
@pytest.mark.parametrize("groups", [1, 2])
def test_another_batch_takes_the_same_code(space: int, out: int, groups: int) -> None:
    """Kernels that cut the work alike are equal; what they are given tells how many images there are."""
    conv = op(groups=groups)
    w = random((groups * out, 3, 3, 3), "f32", 1)
    module, calls = Module(), []
    for batch in (64, 65, 71):
        x = random((batch, 3 * groups, space, space), "f32", 0)
        y = np.full((batch, groups * out, space, space), np.nan, np.float32)
        kernels = convolution_kernels(module, of_op(conv, "f32", x.shape, w.shape, y.shape), 32)
        assert kernels
        calls.append((kernels, x, y))
    assert len({kernels[0].name for kernels, _, _ in calls}) < 3
    run = compiled(module, [kernel for kernels, _, _ in calls for kernel in kernels])
    for kernels, x, y in calls:
        run([x, w, y], 3, kernels)
        expected = conv.evaluate(x.astype(np.float64), w.astype(np.float64))
        assert (np.abs(y - expected) <= bound(conv, x, w)).all()


def test_phases_leave_no_zeros_to_multiply() -> None:
    """What a spread-out image costs is what its elements cost."""
    x_shape, w_shape, y_shape = (2, 5, 9, 9), (7, 5, 4, 4), (2, 7, 20, 20)
    c = of_op(op(spread=2, padding=((3, 3), (3, 3))), "f32", x_shape, w_shape, y_shape)
    parts = phases(c)
    assert len(parts) == 4
    assert sum(math.prod(part.results) for part in parts) == 400
    assert all(part.kernel == (2, 2) and part.spread == (1, 1) for part in parts)


def test_cuts() -> None:
    assert balanced(64, 6) == [(6, 9), (5, 2)]
    assert balanced(12, 6) == [(6, 2)]
    assert balanced(0, 6) == []
    assert divisor(3136, 512) == 448 and divisor(7, 3) == 1 and contiguous((2, 3, 4)) == (12, 4, 1)
