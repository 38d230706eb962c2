"""One long axis, short others: values as components, against NumPy, with the same bits for each thread count."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.execute import Executable
from graphad.execute.native import preparing, short_axes
from graphad.execute.native.unrolled import Unrolled
from graphad.ir.errors import ExecutionError
from tests.execute.native.both_executors import THREADS, arrays_of, check, same_bits, share_everything

FLOATS = (np.float64, np.float32)
LONG = 1031


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def drawn(*shape, dtype=np.float64, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape)
    return x > 0 if dtype is np.bool_ else (x if np.dtype(dtype).kind == "f" else 10 * x).astype(dtype)


def regions_of(function, *arrays):
    found = preparing.prepared(ga.optimize(ga.trace(function, *arrays)))
    return [node for node in found.nodes if isinstance(node.op, Unrolled)]


def unrolled(function, *arrays, count=1, **keywords):
    """Check a function that takes so many unrolled regions."""
    assert len(regions_of(function, *arrays)) == count
    return check(function, *arrays, **keywords)


def cross(a, b):
    return np.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        axis=-1,
    )


def rotated(rotation, point):
    """Rodrigues' formula."""
    angle = np.sqrt(np.sum(rotation * rotation, axis=-1, keepdims=True))
    axis = rotation / angle
    along = np.sum(axis * point, axis=-1, keepdims=True)
    return point * np.cos(angle) + cross(axis, point) * np.sin(angle) + axis * along * (1 - np.cos(angle))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("jacobian", [ga.jacrev, ga.jacfwd])
def test_batched_jacobians_are_one_region(dtype, jacobian):
    each = ga.vmap(jacobian(rotated, (0, 1)))
    unrolled(each, drawn(LONG, 3, dtype=dtype), drawn(LONG, 3, dtype=dtype, seed=1))


def test_batched_hessians():
    def energy(x):
        return np.sum(np.tanh(x[:2] * x[1:]) ** 2) + np.prod(x)

    unrolled(ga.vmap(ga.hessian(energy)), drawn(LONG, 3))


@pytest.mark.parametrize("size", [16, 17, 19, 255, 256, 257, 259, 511, 515])
@pytest.mark.parametrize("dtype", FLOATS)
def test_lengths_around_lanes_and_blocks(monkeypatch, size, dtype):
    monkeypatch.setattr(short_axes, "SHORTEST", 16)
    monkeypatch.setattr(short_axes, "WIDEST", 8)
    unrolled(rotated, drawn(size, 3, dtype=dtype), drawn(size, 3, dtype=dtype, seed=1))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_long_axis_may_be_any(axis, dtype):
    def function(x, y):
        x, y = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
        total = np.sum(x * y, axis=2, keepdims=True)
        return np.moveaxis(total / (1 + x**2), 0, axis), np.max(x, axis=1) - np.min(y[:, ::-1], axis=1)

    x = np.moveaxis(drawn(LONG, 2, 3, dtype=dtype), 0, axis).copy()
    y = np.moveaxis(drawn(LONG, 2, 3, dtype=dtype, seed=1), 0, axis).copy()
    unrolled(function, x, y)


@pytest.mark.parametrize("dtype", (*FLOATS, np.int32, np.uint8, np.int64))
def test_movement_and_reductions(dtype):
    def function(x, bias):
        turned = np.swapaxes(x, 1, 2)
        joined = np.concatenate([x, 2 * x[:, ::-1], np.ones_like(x)], axis=2)
        padded = np.pad(x[:, 1:], ((0, 0), (1, 2), (0, 1)))
        flat = (turned + 1).reshape(LONG, 6)
        return (
            joined + 1,
            np.sum(padded, axis=(1, 2)),
            np.prod(flat[:, ::2], axis=1),
            np.max(turned, axis=2),
            np.min(joined, axis=(1, 2)) * bias[2],
            np.flip(x, 2) * bias,
            np.where(x > x[:, :1], x, np.arange(3, dtype=dtype)),
            np.arange(LONG)[:, None] * (x[:, 0] > 1),
        )

    found = regions_of(function, drawn(LONG, 2, 3, dtype=dtype), drawn(3, dtype=dtype))
    assert found
    check(function, drawn(LONG, 2, 3, dtype=dtype), drawn(3, dtype=dtype, seed=1))


def test_truth_values():
    def function(x, m):
        both = np.stack([m[:, 0], ~m[:, 1], m[:, 0] & m[:, 1]], axis=1)
        return np.where(both, x, -x[:, ::-1]), both, np.sum(np.where(both, x, 0), axis=1)

    unrolled(function, drawn(LONG, 3), drawn(LONG, 2, dtype=np.bool_))


def test_parts_that_are_set():
    def function(x):
        y = (x * 3).at[:, :2].set(x[:, 1:] * 2).at[:, ::2].add(x[:, :2])
        return y * x[:, :1], np.sum(y, axis=1), y.at[:, 1].multiply(x[:, 0])

    graph = ga.optimize(ga.trace(function, drawn(LONG, 3)))
    assert any(node.op.name == "update_slice" for node in graph.nodes)
    (region,) = regions_of(function, drawn(LONG, 3))
    assert any(node.op.name == "update_slice" for node in region.op.body.nodes)
    check(function, drawn(LONG, 3))


@pytest.mark.parametrize("dtype", (*FLOATS, np.int16))
def test_running_sums_and_products_of_matrices(dtype):
    def function(x, a, b, w):
        inside = np.swapaxes(a @ b, 1, 2) @ x[:, :, None]
        sums = np.cumsum(inside[:, :, 0], axis=1)
        rows = (x + sums) @ w
        return rows * sums[:, 2:], np.sum(a @ a[:, ::-1], axis=(1, 2))

    x, a, b, w = drawn(LONG, 3), drawn(LONG, 3, 3), drawn(LONG, 3, 3, seed=1), drawn(3, 2, seed=2)
    unrolled(function, *[(2 * y).astype(dtype) for y in (x, a, b, w)], bound=1e-4 if dtype is np.float32 else None)


def test_a_small_network_is_one_region():
    def network(x, w, b, v):
        return np.tanh(x @ w + b) @ v

    def jacobian(x, w, b, v):
        return ga.vmap(ga.jacfwd(lambda t: network(t, w, b, v)))(x)

    parameters = drawn(3, 6, seed=1), drawn(6, seed=2), drawn(6, 2, seed=3)
    unrolled(network, drawn(LONG, 3), *parameters)
    check(jacobian, drawn(LONG, 3), *parameters)


@pytest.mark.parametrize("dtype", FLOATS)
def test_reads_at_positions(dtype):
    rng = np.random.default_rng(4)
    i, j = rng.integers(-7, 7, LONG), rng.integers(0, 5, LONG)

    def function(x, y, i, j):
        a, b = x[i], y[i, j]
        c = rotated(a, b + a[:, ::-1])
        return c, np.sum(c[i] * c, axis=1, keepdims=True) * a

    x, y = drawn(7, 3, dtype=dtype), drawn(7, 5, 3, dtype=dtype, seed=1)
    # What is read at positions must be there before: a second region.
    check(function, x, y, i, j)
    assert len(regions_of(function, x, y, i, j)) == 2


def test_a_position_outside_is_still_an_error():
    graph = ga.trace(lambda x, i: rotated(x[i], x[i] * 2), drawn(7, 3), np.zeros(LONG, np.int64))
    exe = Executable(ga.optimize(graph), executor="native").wait()
    with pytest.raises(ExecutionError, match="index 7 is out of bounds"):
        exe(drawn(7, 3), np.full(LONG, 7))


def test_what_needs_a_sum_along_the_long_axis_comes_after_it():
    def function(x):
        y = rotated(x, x[:, ::-1])
        centre = np.mean(y, axis=0)
        return rotated(y - centre, x) / np.std(y)

    unrolled(function, drawn(LONG, 3), count=2)


def test_gradients_of_sums_along_the_long_axis():
    def loss(camera, points, seen):
        at = rotated(np.broadcast_to(camera[:3], points.shape), points - camera[3:])
        return np.sum((at[:, :2] / (at[:, 2:] + 9) - seen) ** 2)

    check(ga.value_and_grad(loss, (0, 1)), drawn(6), drawn(LONG, 3), drawn(LONG, 2, seed=1))


def test_two_long_axes_at_once():
    def function(x, y):
        return rotated(x, x + 1), rotated(y, y - 1), np.sum(x) * y

    unrolled(function, drawn(LONG, 3), drawn(LONG + 5, 3, seed=1), count=2)


def test_parts_of_a_long_formula_have_its_bits(monkeypatch):
    each = ga.vmap(ga.jacrev(rotated))
    x, y = drawn(LONG, 3), drawn(LONG, 3, seed=1)
    whole = unrolled(each, x, y)
    monkeypatch.setattr(short_axes, "HEAVIEST", 60)
    assert len(regions_of(each, x, y)) > 4
    assert same_bits(whole, check(each, x, y))


def test_a_part_of_the_results_has_the_bits_of_the_whole():
    x, y = drawn(LONG, 3), drawn(LONG, 3, seed=1)
    (node,) = regions_of(lambda x, y: (rotated(x, y), rotated(x, 2 * x)), x, y)
    for k, wanted in enumerate(node.op.evaluate(x, y)):
        op, positions = node.op.part((k,))
        (found,) = op.evaluate(*[(x, y)[p] for p in positions])
        assert same_bits([found], [wanted])
        assert len(positions) == 2 - k


def test_zeros_keep_their_signs_and_numbers_that_are_none():
    x = drawn(LONG, 3)
    x[::7], x[1::7], x[2::7], x[3::7, 1] = -0.0, np.inf, np.nan, 0.0

    def function(x):
        y = np.stack([x[:, 1], -x[:, 0], x[:, 2] * 0], axis=1)
        padded = np.pad(x[:, :2], ((0, 0), (1, 0))) + np.pad(x[:, 1:], ((0, 0), (0, 1)))
        return y + np.pad(x[:, :1], ((0, 0), (2, 0))), padded, np.sum(x[:, :2], axis=1), np.max(y, axis=1), 1 * y

    found = unrolled(function, x)
    wanted = arrays_of(Executable(ga.trace(function, x), executor="reference")(x))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.signbit(one[~np.isnan(one)]), np.signbit(other[~np.isnan(other)]))


def test_loops_over_equal_shapes_stay_as_they_are():
    x = drawn(LONG, 3)
    assert not regions_of(lambda x, b: np.exp(x * 2 + b) / (1 + x**2) - np.tanh(x), x, drawn(3))
    assert not regions_of(lambda x: np.exp(x * 2 + 1) / (1 + x**2) - np.tanh(x), drawn(LONG))
    assert not regions_of(lambda x: np.sum(x * x, axis=1) * 2, drawn(100, 3))


@pytest.mark.parametrize("threads", THREADS)
def test_state_is_read_before_it_is_written(threads):
    def step(x, by):
        return {"x": rotated(np.broadcast_to(by, x.shape), x) + x[:, ::-1]}

    x = drawn(LONG, 3)
    graph = ga.optimize(ga.trace(step, x, drawn(3)))
    found = []
    for executor in ("native", "reference"):
        exe = ga.compile(graph, updates={"x": "x"}, state={"x": x}, executor=executor, threads=threads, wait=True)
        for seed in range(3):
            exe(drawn(3, seed=seed))
        found.append(np.asarray(exe.state["x"]))
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-12)
