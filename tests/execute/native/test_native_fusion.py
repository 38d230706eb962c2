"""Loop nests under stress: row groups, reductions of everything, views, reads at positions, and state in place.

Every graph runs with all threads in every step, however small; results have the values of NumPy and the same bits for
each thread count.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad import special
from graphad.execute import Executable
from graphad.execute.native import preparing
from graphad.execute.native.regions import Region
from graphad.ir.errors import ExecutionError
from tests.execute.native.both_executors import (
    THREADS,
    arrays_of,
    assert_agree,
    bound_of,
    check,
    same_bits,
    share_everything,
)

FLOATS = (np.float64, np.float32)


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


def drawn(*shape, dtype=np.float64, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape)
    return x > 0 if dtype is np.bool_ else (x if np.dtype(dtype).kind == "f" else 10 * x).astype(dtype)


def pairs(values, dtypes=FLOATS):
    return [pytest.param(v, d, id=f"{v}-{np.dtype(d).name}".replace(" ", "")) for v in values for d in dtypes]


# Rows: several passes over the reduced axes.


def softmax(x, axis):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def normed(x, axis):
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axis, keepdims=True) + 1e-5)


def logsumexp(x, axis):
    top = np.max(x, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top


def variance(x, axis):
    return np.var(x, axis=axis, keepdims=True)


ROW_SHAPES = [(3, 5, 7), (8, 9, 4), (33, 2, 31), (1, 17, 1), (2, 64, 16), (40, 300), (1, 1, 1)]


@pytest.mark.parametrize(("shape", "dtype"), pairs(ROW_SHAPES))
def test_rows_over_every_axis_with_their_gradients(shape, dtype):
    x, w = drawn(*shape, dtype=dtype), drawn(*shape, dtype=dtype, seed=1)

    def everything(x, w):
        found = []
        for axis in [*range(len(shape)), (0, len(shape) - 1)]:
            for function in (softmax, normed, logsumexp, variance):
                found.append(function(x, axis))
                found.append(ga.grad(lambda t, f=function, a=axis: np.sum(f(t, a) * w + f(t, a) ** 2))(x))
        return found

    ones = any(n == 1 for n in shape)  # a row of one element: a gradient of zero, up to rounding
    bound = {np.float64: 1e-8, np.float32: 2e-3}[dtype]
    if ones:
        found, wanted = (arrays_of(Executable(ga.trace(everything, x, w), executor=e).wait()(x, w)) for e in EXECUTORS)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=bound, atol=bound)
    else:
        check(everything, x, w, bound=bound)


EXECUTORS = ("native", "reference")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 129])
def test_sizes_around_the_lanes(size):
    a, b = drawn(size), drawn(size, 3)
    single = drawn(size, dtype=np.float32)

    def everything(a, b, c):
        return (
            np.exp(a) * 2,
            np.sum(a),
            np.max(b, axis=0),
            np.sum(b, axis=1),
            b * a[:, None],
            softmax(b, 0),
            softmax(b, 1),
            np.sum(c * c),
            np.tanh(c) + c,
            c.astype(np.float64) + a,
            np.cumsum(c),
        )

    check(everything, a, b, single, bound=2e-5)


def test_a_row_keeps_what_two_passes_need():
    x = drawn(5, 1000)
    check(lambda x: softmax(np.sin(np.exp(x)), 1), x)
    check(lambda x: softmax(np.sin(np.exp(x)), 0), drawn(300, 37))
    check(lambda x: normed(np.tanh(x) * np.exp(x), 1), drawn(3, 33000), bound=1e-10)


@pytest.mark.parametrize("columns", [1, 3, 8, 31, 255, 256, 257, 700, 1100])
def test_sums_down_columns(columns):
    x, y = drawn(37, columns), drawn(37, columns, dtype=np.float32)

    def everything(x, y):
        return (
            np.sum(np.exp(x), axis=0),
            np.max(x, axis=0) * 2,
            np.sum(x * x[:1], axis=0),
            np.min(y, axis=0),
            np.any(y > 2.5, axis=0),
            np.prod(1 + y / 10, axis=0) - 1,
            np.sum(x > 0, axis=0),
        )

    check(everything, x, y, bound=2e-5)


def test_a_value_kept_for_later_passes_is_first_needed_in_a_later_one():
    def twice(x):
        for _ in range(2):
            x = np.sin(x) * 0.5 + 0.1 * np.mean(np.exp(-x * x), axis=0)
        return x

    check(twice, drawn(5, 4))
    check(lambda x: twice(x.T).T, drawn(5, 40))


def test_an_operand_is_read_where_the_loops_stand_and_elsewhere():
    x = drawn(1, 3)
    check(lambda x: (ga.ops.pad(x, (0, 0), (0, 0), (1, 0)) + x, np.pad(x, ((0, 0), (1, 1)))[:, 1:-1] * x), x)


# Everything reduced, in parts.


@pytest.mark.parametrize(("size", "dtype"), pairs([1, 33, 1000, 32768, 32769, 40001, 100_003]))
def test_reductions_of_everything_beside_elementwise_results(size, dtype):
    x, y = drawn(size, dtype=dtype), drawn(size, dtype=dtype, seed=1)

    def everything(x, y):
        sums = np.sum(x), np.sum(x * y), np.mean(x * x) + np.sum(np.abs(y)), np.var(x)
        return *sums, np.max(x), np.min(y), np.any(x > 3), np.all(y > -9), x + 1, np.sin(x) * y, x / np.sum(y * y)

    check(everything, x, y, bound={np.float64: 1e-9, np.float32: 1e-3}[dtype])


WIDE_SHAPES = [(200, 201), (3, 20000), (20000, 3), (41, 29, 37)]


@pytest.mark.parametrize(
    ("shape", "dtype"), pairs(WIDE_SHAPES, (*FLOATS, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_))
)
def test_large_reductions_of_every_type(shape, dtype):
    x = drawn(*shape, dtype=dtype)

    def everything(x):
        found = [np.sum(x), np.max(x), np.min(x), np.sum(x, axis=0), np.max(x, axis=-1), np.sum(x.T), np.sum(x != 0)]
        return [*found, np.argmax(x), np.count_nonzero(x, axis=0), np.any(x, axis=0), np.all(x), x == x[:1]]

    check(everything, x, bound=1e-3 if dtype is np.float32 else 1e-9)


@pytest.mark.parametrize("shape", [(50000,), (7, 9), (9, 7), (3, 300)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_that_are_none(shape, dtype):
    x = drawn(*shape, dtype=dtype)
    x.reshape(-1)[::5], x.reshape(-1)[3::11] = -0.0, np.inf
    with_nan = x.copy()
    with_nan.reshape(-1)[shape[-1] // 2] = np.nan
    zeros = np.full(shape, -0.0, dtype)

    def everything(x, y, z):
        found = []
        for t in (x, y, z):
            for axis in (None, 0, -1):
                found += [np.max(t, axis=axis), np.min(t, axis=axis), np.sum(t, axis=axis), np.nanmax(t, axis=axis)]
            found += [np.maximum(t, 0), np.minimum(t, z), np.fmax(t, y), np.sign(t), np.isnan(t), t - np.max(t)]
        return found

    found = check(everything, x, with_nan, zeros, bound=1e-4 if dtype is np.float32 else 1e-10)
    total = found[2 * 18 + 2]
    assert total == 0 and np.signbit(total) == np.signbit(np.sum(zeros))


# Views, broadcasts, movement.

VIEW_SHAPES = [(9, 13, 8), (1, 7, 3), (2, 31, 33), (16, 8, 4)]


@pytest.mark.parametrize(("shape", "dtype"), pairs(VIEW_SHAPES, (*FLOATS, np.int16, np.uint8, np.bool_)))
def test_views_and_movement(shape, dtype):
    x = drawn(*shape, dtype=dtype)

    def twice(a):
        return a ^ True if dtype is np.bool_ else a + a

    def everything(x):
        y = twice(x)
        moved = [x.T, np.transpose(x, (1, 0, 2)), x[::-1, :, ::-1], x[:, ::2, 1:], x[:, ::-3], np.flip(x, 1).T]
        moved += [y.T, y[::-1], np.transpose(y, (2, 0, 1))[:, ::-2], np.moveaxis(y, 1, 2)[..., ::2]]
        spread = [x[:, :1] != x, x[:1] == x, x[..., :1] == x, x[:1, :1, :1] != x, x[0, 0] == x, x[:, 0, None] != x]
        joined = [np.concatenate([x, x[:, ::-1], x[:1]], 0), np.concatenate([y, x], 2), np.stack([x, y], 1)]
        joined += [np.pad(y, ((1, 0), (2, 3), (0, 1))), np.roll(y, 1, 0), np.tile(y, (1, 2, 1)), np.repeat(y, 2, 1)]
        sums = [np.max(x.T, axis=0), np.min(x[:, ::-1], axis=1), np.any(np.transpose(x, (1, 2, 0)), axis=1)]
        sums += [np.sum(x[:, ::2], axis=(0, 2)), np.sum(np.broadcast_to(x[:1], shape), axis=0)]
        flat = np.reshape(x, (-1,)) == np.reshape(x[::-1], (-1,))
        return [*map(twice, moved), *spread, *joined, *sums, flat, np.reshape(y.T, (-1,))]

    check(everything, x, bound=1e-4)


@pytest.mark.parametrize("dtype", (*FLOATS, np.int32, np.uint8))
def test_pads_with_gaps_between(dtype):
    x = drawn(5, 7, dtype=dtype)
    pad = ga.ops.pad
    settings = [
        ((0, 0), (0, 0), (1, 2)),
        ((1, 2), (0, 3), (0, 0)),
        ((2, 0), (1, 1), (2, 1)),
        ((0, 0), (9, 40), (0, 0)),
        ((3, 5), (0, 0), (3, 0)),
    ]

    def everything(x):
        found = []
        for low, high, interior in settings:
            y = pad(x + x, low, high, interior)
            found += [y, y * 3 + 1, np.sum(y, axis=0), np.max(y, axis=1), pad(x.T, low, high, interior) * 2]
        return found

    check(everything, x, bound=1e-5)


def test_gradients_of_strided_slices_are_pads():
    x = drawn(31, 33)

    def total(x):
        return np.sum(np.sin(x[::3, 1::2]) * x[::3, ::2][:, :16]) + np.sum(x[5:20, -7:] ** 2) + np.sum(np.diff(x) ** 2)

    check(lambda x: (total(x), ga.grad(total)(x)), x)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 4)])
def test_nothing(shape):
    x = drawn(*shape)

    def everything(x):
        return (
            np.exp(x) + 1,
            np.sum(x),
            np.sum(x, axis=-1),
            np.sum(x, axis=0),
            x.T * 2,
            np.concatenate([x, x]),
            1 + x[:0],
        )

    check(everything, x)
    check(lambda x: ga.grad(lambda t: np.sum(t * t))(x), x)


# Positions.

TABLES = [(9, 13), (1, 7), (31, 33), (100, 8), (5, 1), (300, 5)]


def positions(shape, seed=3):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(-shape[0], shape[0], 11), rng.integers(-shape[1], shape[1], 11)
    return rows, columns, rng.integers(-shape[1], shape[1], shape[0])


@pytest.mark.parametrize(("shape", "dtype"), pairs(TABLES, (*FLOATS, np.int32, np.int8, np.bool_)))
def test_reads_at_positions(shape, dtype):
    x, u = drawn(*shape, dtype=dtype), drawn(shape[0], dtype=dtype, seed=2)

    def everything(x, i, j, k, u):
        counted = np.arange(shape[0])
        found = [x[i], x[:, j], x[i, j], x[i][:, ::-1], x[counted, k] == u, np.take_along_axis(x, k[:, None], 1)]
        found += [np.sum(x[i], axis=0), np.sum(x[i], axis=1), np.max(x.T[j], axis=0), x[i[:3]][:, j[:4]] == x[0, 0]]
        return [*found, x[i[:, None], j], np.take(x, i[:6].reshape(2, 3), axis=0), x[i] == x[0]]

    check(everything, x, *positions(shape), u, bound=1e-4)


@pytest.mark.parametrize(("shape", "dtype"), pairs(TABLES))
def test_sums_at_positions_that_repeat(shape, dtype):
    i, j, k = positions(shape)
    x, v, rows = drawn(*shape, dtype=dtype), drawn(11, dtype=dtype), drawn(11, shape[1], dtype=dtype)
    u = drawn(shape[0], dtype=dtype)

    def everything(x, v, rows, u, i, j, k):
        functions = (
            lambda t: np.sum(t[i] * rows),
            lambda t: np.sum(t[i, j] * v),
            lambda t: np.sum(t[:, j] ** 2),
            lambda t: np.sum(t[np.arange(shape[0]), k] * u),
            lambda t: np.sum(np.sin(t)[i] * t[i]),
            lambda t: np.sum(np.take_along_axis(t, k[:, None], 1) ** 2),
        )
        return [*(ga.grad(f)(x) for f in functions), np.bincount(i % shape[0], minlength=shape[0])]

    check(everything, x, v, rows, u, i, j, k, bound=1e-4 if dtype is np.float32 else 1e-10)


@pytest.mark.parametrize("wrong", [7, -8, 1 << 40, -(1 << 62)])
@pytest.mark.parametrize("threads", THREADS)
def test_a_position_outside_is_an_error_and_leaves_the_state(wrong, threads):
    x, i = drawn(7, 3), np.array([0, 3, -7, 6])
    bad = np.array([0, wrong, 2, 1])

    def step(x, i):
        return {"new": x * 0.5 + 1, "found": np.sum(x[i] ** 2, axis=1)}

    graph = ga.optimize(ga.trace(step, x, i))
    messages, states = [], []
    for executor in EXECUTORS:
        exe = ga.compile(graph, updates={"x": "new"}, state={"x": x}, executor=executor, threads=threads, wait=True)
        exe(i)
        with pytest.raises(ExecutionError) as caught:
            exe(bad)
        messages.append(f"{caught.value}, from {caught.value.__cause__!r}")
        states.append(exe.state["x"])
        exe(i)
        np.testing.assert_allclose(exe.state["x"], 0.5 * states[-1] + 1, rtol=1e-15)
    assert messages[0] == messages[1]
    np.testing.assert_array_equal(*states)
    np.testing.assert_allclose(states[0], 0.5 * x + 1, rtol=1e-15)


def test_the_worst_position_is_named_though_others_are_fine():
    x = drawn(4, 5)
    exe = ga.compile(lambda x, j: x[np.arange(4), j] + 1, x, np.zeros(4, int), executor="native", wait=True)
    with pytest.raises(
        ExecutionError, match=r"^gather\(f64\[4,5\], .*: index 5 is out of bounds for axis 1 with size 5"
    ):
        exe(x, np.array([0, -5, 5, 4]))
    np.testing.assert_array_equal(exe(x, np.array([0, -5, 4, -1])), x[np.arange(4), [0, -5, 4, -1]] + 1)


# State, and products that accumulate.


def both_after(step, updates, state, calls, bound=None):
    """Run a step with state on both executors and compare results and state; the bits for each thread count."""
    arguments = [*state.values(), *calls[0]]
    graph = ga.optimize(ga.trace(step, *arguments))
    runs = []
    for executor, threads in (("reference", 1), *(("native", n) for n in THREADS)):
        exe = ga.compile(graph, updates=updates, state=state, executor=executor, threads=threads, wait=True)
        found = [array for call in calls for array in arrays_of(exe(*call))]
        runs.append([*found, *(np.asarray(exe.state[name]) for name in state)])
    for other in runs[2:]:
        assert same_bits(runs[1], other)
    assert_agree(runs[1], runs[0], bound or bound_of(arguments))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 1, 1), (5, 3, 7), (33, 17, 9), (64, 128, 40), (3, 200, 2)])
def test_products_accumulate_into_state(rows, inner, columns, dtype):
    a, b = drawn(inner, rows, dtype=dtype), drawn(inner, columns, dtype=dtype, seed=1)
    c = drawn(rows, columns, dtype=dtype, seed=2)

    def step(c, a, b):
        return {"c": c - 0.125 * (a.T @ b), "total": np.sum(c * c)}

    both_after(step, {"c": "c"}, {"c": c}, [(a, b), (-a, b), (a, 2 * b)], 1e-4 if dtype is np.float32 else 1e-10)


def test_a_product_reads_the_state_it_accumulates_into():
    x = drawn(12, 12)

    def steps(x, y):
        return {"x": x + 0.01 * (x @ x), "seen": np.sum(x @ y)}

    def backwards(x, y):
        return {"x": 0.5 * (y @ x) - x.T, "seen": x[0]}

    for step in (steps, backwards):
        both_after(step, {"x": "x"}, {"x": x}, [(y,) for y in (x + 1, x, 2 * x)], 1e-9)


def test_products_accumulate_into_what_others_read():
    a, b, c = drawn(9, 6), drawn(6, 5), drawn(9, 5)

    def everything(a, b, c):
        product = a @ b
        return c + product, c - 2 * (a @ b) + np.sum(product), (c + 3 * (a @ (2 * b))) * c, b + a[:6] @ a.T[:, :5]

    check(everything, a, b, c)
    check(
        lambda a, b, c: (c + a @ b + c.T.T, np.exp(c + a @ b), (a @ b).T + c.T, c[0] + a @ b, c[:, :1] - a @ b), a, b, c
    )


def test_state_changes_places():
    a, b = drawn(40, 3), drawn(40, 3, seed=1)
    step = {
        "swap": lambda a, b, t: {"a": b, "b": a, "out": a + t},
        "shift": lambda a, b, t: {"a": np.roll(a, 1, 0) + t, "b": b[::-1] * a, "out": np.sum(a * b)},
        "turn": lambda a, b, t: {"a": a[::-1, ::-1], "b": b + a * t, "out": a[0]},
        "rows": lambda a, b, t: {"a": softmax(a + b, 0), "b": normed(a * b, 1), "out": t * 2},
        "same": lambda a, b, t: {"a": a, "b": a + 0 * b, "out": b * t},
    }
    for function in step.values():
        both_after(function, {"a": "a", "b": "b"}, {"a": a, "b": b}, [(0.5,), (2.0,), (-1.0,)], 1e-9)


def test_rows_are_written_into_state_at_positions():
    x, rows = drawn(20, 4), drawn(6, 4)

    def step(x, i, rows):
        spread = ga.ops.scatter_add(x, [i], rows)
        return {"x": spread, "put": ga.ops.scatter_set(x, [i], rows * 2), "total": np.sum(spread)}

    calls = [(np.array(i), rows) for i in ([0, 0, 19, -1, 3, 3], [1, 2, 3, 4, 5, 6])]
    both_after(step, {"x": "x"}, {"x": x}, calls)


# What is computed twice.


def test_duplicates_keep_values(monkeypatch):
    x, y = drawn(300_000, dtype=np.float32), drawn(300_000, dtype=np.float32, seed=1)

    def function(x, y):
        e = np.exp(x)
        a, b, c = e * y, e + y, e - y
        total = np.sum(a * b * c)
        return a / total + b * c, np.sum(a + b / total + c)

    graph = ga.optimize(ga.trace(lambda x, y: (function(x, y), ga.grad(lambda t: function(t, y)[1])(x)), x, y))
    opened = preparing.open_all(graph)
    assert preparing.with_duplicates(opened) is not opened
    runs = [arrays_of(Executable(graph, executor="native").wait()(x, y))]
    monkeypatch.setattr(preparing, "with_duplicates", lambda g: g)
    runs.append(arrays_of(Executable(graph, executor="native").wait()(x, y)))
    for computed, stored in zip(*runs, strict=True):
        # Elements keep their bits; sums that come to stand in other loops are added in another order.
        np.testing.assert_allclose(computed, stored, rtol=1e-5, atol=1e-6)


def test_duplicates_of_elementwise_ops_keep_the_bits(monkeypatch):
    x, w, v = (drawn(*shape, dtype=np.float32, seed=k) for k, shape in enumerate([(512, 256), (256, 512), (512, 64)]))

    def function(x, w, v):
        u = x @ w
        return np.sum(((0.5 * u * (1 + np.tanh(0.8 * (u + 0.04 * u * u * u)))) @ v) ** 2)

    graph = ga.optimize(ga.trace(ga.grad(function, argnums=(0, 1, 2)), x, w, v))
    opened = preparing.open_all(graph)
    assert preparing.with_duplicates(opened) is not opened
    runs = [arrays_of(Executable(graph, executor="native").wait()(x, w, v))]
    monkeypatch.setattr(preparing, "with_duplicates", lambda g: g)
    runs.append(arrays_of(Executable(graph, executor="native").wait()(x, w, v)))
    assert same_bits(*runs)


def steps_of(function, *arrays):
    """Return the regions of a function's native graph, and how many bytes each stores."""
    graph = preparing.prepared(ga.optimize(ga.trace(function, *arrays)))
    found = [node for node in graph.nodes if isinstance(node.op, Region)]
    return [(node, sum(int(t.nbytes) for t in node.types)) for node in found]


def test_values_are_not_stored_for_a_reader_that_can_compute_them_from_what_is_kept():
    x, w = drawn(1024, 256, dtype=np.float32), drawn(256, 256, dtype=np.float32, seed=1)

    def normalised(x, w):
        centred = x - np.mean(x, axis=-1, keepdims=True)
        h = (centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)) @ w
        return np.sum(np.exp(h) @ w)

    forward = steps_of(normalised, x, w)[0][1]
    both = steps_of(ga.value_and_grad(normalised, argnums=(0, 1)), x, w)[0][1]
    # The product's operand, and a column of means and deviations: not the centred rows as well.
    assert forward >= x.nbytes
    assert both <= x.nbytes + 4 * 4 * len(x)


def test_a_copy_does_not_join_what_it_was_made_apart_from():
    x = drawn(1024, 256, dtype=np.float32)

    def function(x):
        p = special.softmax(x, axis=-1)
        return np.sum((p @ p.T) ** 2)

    for node, _ in steps_of(ga.grad(function), x):
        body = node.op.body
        replicas = {n.replica for n in body.nodes if n.inputs}
        stored = {v.node.replica for v in body.outputs}
        assert len(replicas) == 1 or 0 in stored


# What becomes one nest.


def regions_of(function, *arrays):
    found = preparing.prepared(ga.optimize(ga.trace(function, *arrays)))
    return [node for node in found.nodes if isinstance(node.op, Region)]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_softmax_is_one_nest(axis):
    assert len(regions_of(lambda x: softmax(x, axis), drawn(40, 50))) == 1
    assert len(regions_of(lambda x: np.tanh(softmax(x * 2, axis)) + 1, drawn(40, 50))) == 1


def test_integers_and_truth_values_in_one_nest():
    i, j = drawn(333, dtype=np.int64), drawn(333, dtype=np.int8, seed=1)
    u, m = drawn(333, dtype=np.uint8, seed=2), drawn(333, dtype=np.bool_, seed=3)

    def everything(i, j, u, m):
        mixed = np.where(m, i, j) * 3 - u
        return (
            mixed,
            mixed // 7,
            mixed % 5,
            j + j,
            u * u,
            ~m & (i > j),
            np.sum(j),
            np.max(u),
            np.sum(m),
            i << 2,
            u >> 1,
            j / 3,
        )

    check(everything, i, np.where(j == 0, 1, j), u, m)
