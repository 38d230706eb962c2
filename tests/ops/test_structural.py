"""Reductions, shape, slicing, joining, indexing, products, creation: values and errors against NumPy itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphad.ops as ops
from graphad.ir.dims import dim, recording
from graphad.ir.errors import OpTypeError
from graphad.ir.op import OPS
from graphad.ir.types import type_of
from graphad.ir.walk import evaluate
from graphad.tracing.trace import make_input, spec, trace

DTYPES = ["float64", "float32", "int64", "int8", "uint16"]
I64 = np.dtype(np.int64)


def run(function, *arrays):
    """Trace `function` on arrays, evaluate the graph, and check that its type was foretold."""
    graph = trace(function, *arrays)
    (result,) = evaluate(graph, arrays)
    assert type_of(result) == graph.output_types[0]
    return result


def same(actual, expected):
    """Equal in dtype, shape and every bit but the sign of NaN."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected, strict=True)


def refuse(function, *specs, match):
    with pytest.raises(OpTypeError, match=match):
        trace(function, *specs)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def numbers(rng, shape, dtype):
    return (
        (rng.standard_normal(shape) * 3).astype(np.int64).astype(dtype)
        if dtype != "float64"
        else rng.standard_normal(shape)
    )


# Reductions


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (0, 1, 2), (2,)])
@pytest.mark.parametrize(
    ("ours", "numpys"),
    [(ops.reduce_sum, np.sum), (ops.reduce_prod, np.prod), (ops.reduce_max, np.max), (ops.reduce_min, np.min)],
)
def test_reductions_are_numpys(rng, ours, numpys, axes, dtype):
    x = numbers(rng, (3, 1, 4), dtype)
    keywords = {} if numpys in (np.max, np.min) else {"dtype": x.dtype}
    same(run(lambda t: ours(t, axes), x), np.asarray(numpys(x, axis=axes, **keywords)))


@pytest.mark.parametrize("axes", [(0,), (0, 1), (1,)])
def test_any_and_all_are_numpys(axes):
    for bits in itertools.product([False, True], repeat=4):
        x = np.array(bits).reshape(2, 2)
        same(run(lambda t: ops.reduce_any(t, axes), x), np.asarray(np.any(x, axis=axes)))
        same(run(lambda t: ops.reduce_all(t, axes), x), np.asarray(np.all(x, axis=axes)))


def test_reductions_over_no_elements_give_the_identity():
    empty = np.zeros((2, 0))
    same(run(lambda t: ops.reduce_sum(t, (1,)), empty), np.zeros(2))
    same(run(lambda t: ops.reduce_prod(t, (1,)), empty), np.ones(2))
    same(run(lambda t: ops.reduce_any(t, (1,)), empty.astype(bool)), np.array([False, False]))
    same(run(lambda t: ops.reduce_all(t, (1,)), empty.astype(bool)), np.array([True, True]))


def test_reductions_beside_an_empty_axis_are_empty():
    same(run(lambda t: ops.reduce_max(t, (1,)), np.zeros((0, 3))), np.zeros(0))
    same(run(lambda t: ops.argmin(t, 1), np.zeros((0, 3))), np.zeros(0, np.int64))


@pytest.mark.parametrize("reduce", [ops.reduce_max, ops.reduce_min])
def test_extremes_of_no_elements_do_not_exist(reduce):
    refuse(lambda t: reduce(t, (0, 1)), spec((2, 0)), match=r"axis 1 of f64\[2,0\] is empty")


def test_positions_of_extremes_of_no_elements_do_not_exist():
    refuse(lambda t: ops.argmax(t, 0), spec((0, 2)), match=r"axis 0 of f64\[0,2\] is empty")
    refuse(lambda t: ops.argmin(t, 0), spec((0, 2)), match=r"axis 0 of f64\[0,2\] is empty")


def test_a_symbolic_axis_is_assumed_to_have_elements():
    graph = trace(lambda t: ops.reduce_max(t, (0,)), spec((dim("n"),)))
    assert [str(a) for a in graph.assumptions] == ["n >= 1"]


def test_extremes_carry_nan_and_infinities():
    x = np.array([[1.0, np.nan, 3.0], [-np.inf, np.inf, 0.0], [-0.0, 0.0, -0.0]])
    same(run(lambda t: ops.reduce_max(t, (1,)), x), np.max(x, axis=1))
    same(run(lambda t: ops.reduce_min(t, (1,)), x), np.min(x, axis=1))
    same(run(lambda t: ops.argmax(t, 1), x), np.argmax(x, axis=1))
    same(run(lambda t: ops.argmin(t, 1), x), np.argmin(x, axis=1))


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_positions_are_those_of_the_first_extreme(rng, dtype):
    x = rng.integers(0, 3, (4, 5, 6)).astype(dtype)
    for axis in range(3):
        same(run(lambda t, axis=axis: ops.argmax(t, axis), x), np.argmax(x, axis=axis))
        same(run(lambda t, axis=axis: ops.argmin(t, axis), x), np.argmin(x, axis=axis))


def test_a_reduction_over_no_axes_is_no_node():
    graph = trace(lambda t: ops.reduce_sum(ops.reduce_max(t, ()), ()), spec((3,)))
    assert graph.outputs == graph.inputs


@pytest.mark.parametrize("axes", [(0, 0), (2,), (-1,)])
def test_axes_must_be_distinct_axes(axes):
    for reduce in (ops.reduce_sum, ops.reduce_prod, ops.reduce_max, ops.flip):
        refuse(lambda t, reduce=reduce: reduce(t, axes), spec((2, 3)), match="not sorted, distinct axes")


def test_any_takes_booleans_only():
    refuse(lambda t: ops.reduce_any(t, (0,)), spec((2,)), match="not defined for float64")


# Cumulative ops


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_cumsum_is_numpys_and_runs_backwards(rng, axis, dtype):
    x = numbers(rng, (3, 4), dtype)
    same(run(lambda t: ops.cumsum(t, axis), x), np.cumsum(x, axis=axis, dtype=x.dtype))
    backwards = np.flip(np.cumsum(np.flip(x, axis), axis=axis, dtype=x.dtype), axis)
    same(run(lambda t: ops.cumsum(t, axis, backwards=True), x), backwards)
    refuse(lambda t: ops.cumsum(t, 2), spec((3, 4)), match="axes")


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4,), (4, 2), (1,), (0,)])
def test_exclusive_prod_leaves_one_out(rng, shape, zeros):
    x = rng.standard_normal(shape)
    x[:zeros] = 0
    expected = np.array([np.prod(np.delete(x, k, axis=0), axis=0) for k in range(len(x))]).reshape(shape)
    np.testing.assert_allclose(run(lambda t: ops.exclusive_prod(t, 0), x), expected, rtol=1e-14)


# Shape


def test_flip_is_numpys(rng):
    x = rng.standard_normal((2, 3, 4))
    for axes in [(0,), (1, 2), (0, 1, 2)]:
        same(run(lambda t, axes=axes: ops.flip(t, axes), x), np.flip(x, axes))
    graph = trace(lambda t: ops.flip(t, ()), x)
    assert graph.outputs == graph.inputs


def test_a_stretched_size_of_one_assumes_nothing_of_the_other():
    graph = trace(lambda t: ops.broadcast_to(t, (dim("n"), 3)), spec((1, 3)))
    assert graph.assumptions == ()


def test_reshape_writes_a_strided_operand_into_its_place(rng):
    x = rng.standard_normal((4, 3)).T
    out = np.zeros((2, 6))
    OPS["reshape"](shape=(2, 6)).evaluate_into((out,), x)
    same(out, x.reshape(2, 6))
    strided = np.zeros((2, 12))[:, ::2]
    OPS["reshape"](shape=(2, 6)).evaluate_into((strided,), x)
    same(np.ascontiguousarray(strided), x.reshape(2, 6))


def test_shape_errors():
    refuse(lambda t: ops.reshape(t, (5,)), spec((2, 3)), match="the sizes differ")
    refuse(lambda t: ops.reshape(t, (-2, -3)), spec((2, 3)), match="negative size")
    refuse(lambda t: ops.transpose(t, (0, 0)), spec((2, 3)), match="not a permutation")
    refuse(lambda t: ops.broadcast_to(t, (3, 3)), spec((2, 3)), match="cannot broadcast")
    refuse(lambda t: ops.broadcast_to(t, (3,)), spec((1, 3)), match="fewer axes")


# Joining


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_concatenate_and_stack_are_numpys(rng, dtype):
    a, b, c = (numbers(rng, (2, n, 3), dtype) for n in (3, 0, 1))
    same(run(lambda *t: ops.concatenate(t, 1), a, b, c), np.concatenate((a, b, c), axis=1))
    x, y = numbers(rng, (2, 3), dtype), numbers(rng, (2, 3), dtype)
    for axis in range(3):
        same(run(lambda *t, axis=axis: ops.stack(t, axis), x, y), np.stack((x, y), axis=axis))
    same(run(lambda *t: ops.stack(t), x[0, 0], y[0, 0]), np.stack((x[0, 0], y[0, 0])))


def test_joining_one_tensor_is_no_node():
    graph = trace(lambda t: ops.concatenate([t], 0), spec((3,)))
    assert graph.outputs == graph.inputs


def test_joining_symbolic_sizes_adds_them():
    graph = trace(lambda a, b: ops.concatenate([a, b], 0), spec((dim("n"), 2)), spec((dim("m"), 2)))
    assert str(graph.output_types[0]) == "f64[m+n,2]"


def test_joining_errors():
    def join(*tensors):
        return ops.concatenate(tensors, 1)

    refuse(join, spec((2, 3)), spec((3, 3)), match="agree on every axis but 1")
    refuse(join, spec((2, 3)), spec((2, 3, 1)), match="agree on every axis but 1")
    refuse(join, spec((2, 3)), spec((2, 3), "float32"), match="one dtype")
    refuse(join, spec((2,)), spec((2,)), match="axes")


# Slicing


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_slice_is_numpys(rng, step):
    x = rng.standard_normal((6, 2))
    for start, stop in itertools.combinations_with_replacement(range(7), 2):
        got = run(lambda t, a=start, b=stop: ops.slice_(t, (a, 0), (b, 2), (step, 1)), x)
        same(got, x[start:stop:step])
        written = run(lambda t, v, a=start, b=stop: ops.update_slice(t, v, (a, 0), (b, 2), (step, 1)), x, -got)
        expected = x.copy()
        expected[start:stop:step] *= -1
        same(written, expected)


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_pad_lays_the_elements_among_zeros(rng, dtype):
    x = numbers(rng, (2, 3), dtype)
    same(run(lambda t: ops.pad(t, (1, 0), (2, 3)), x), np.pad(x, ((1, 2), (0, 3))))
    spaced = np.zeros((4, 8), dtype)
    spaced[1:, 1:8:3][::2] = x
    same(run(lambda t: ops.pad(t, (1, 1), (0, 0), (1, 2)), x), spaced)
    same(run(lambda t: ops.pad(t, (1,), (1,), (4,)), x[:0, 0]), np.zeros(2, dtype))


def test_whole_slices_and_empty_pads_are_no_nodes():
    n = dim("n")
    graph = trace(lambda t: ops.pad(ops.slice_(t, (0, 0), (n, 3)), (0, 0), (0, 0)), spec((n, 3)))
    assert graph.outputs == graph.inputs


def test_slices_of_symbolic_sizes():
    n = dim("n")
    graph = trace(lambda t: ops.slice_(t, (1,), (n - 1,)), spec((n,)))
    assert str(graph.output_types[0]) == "f64[n-2]"
    graph = trace(lambda t: ops.slice_(t, (0,), (n,), (2,)), spec((n,)))
    assert str(graph.output_types[0]) == "f64[n/2]"
    assert [str(a) for a in graph.assumptions] == ["2 divides n"]
    graph = trace(lambda t: ops.slice_(t, (1,), (2 * n,), (2,)), spec((2 * n,)))
    assert str(graph.output_types[0]) == "f64[n]"
    graph = trace(lambda t: ops.slice_(t, (0,), (2 * n + 1,), (2,)), spec((2 * n + 1,)))
    assert str(graph.output_types[0]) == "f64[n+1]"
    assert not any("divides" in str(a) for a in graph.assumptions)


def test_a_slice_and_the_pad_that_transposes_it_have_matching_sizes():
    n = dim("n")
    x, g = make_input("x", spec((n,))), make_input("g", spec((n // 2,)))
    with recording():
        op = OPS["slice"](starts=(0,), stops=(n,), steps=(2,))
        pulled = op.transpose(g, x)
    assert pulled.type == x.type
    back = pulled.value.node.op.transpose(x, g)
    assert (back.type, back.value.node.op) == (g.type, OPS["slice"](starts=(0,), stops=(n - 1,), steps=(2,)))


def test_slicing_errors():
    x = spec((5,))
    refuse(lambda t: ops.slice_(t, (3,), (2,)), x, match="3:2 is outside axis 0")
    refuse(lambda t: ops.slice_(t, (-1,), (2,)), x, match="-1:2 is outside axis 0")
    refuse(lambda t: ops.slice_(t, (0,), (6,)), x, match="0:6 is outside axis 0")
    refuse(lambda t: ops.slice_(t, (0,), (5,), (0,)), x, match="step 0 of axis 0 is not positive")
    refuse(lambda t: ops.slice_(t, (0, 0), (5, 1)), x, match="one start, stop and step for each")
    refuse(lambda t: ops.pad(t, (-1,), (0,)), x, match="negative number of zeros")
    refuse(lambda t: ops.pad(t, (1, 1), (0, 0)), x, match="low, high and interior for each")
    refuse(lambda t, v: ops.update_slice(t, v, (0,), (3,)), x, spec((2,)), match=r"the slice is f64\[3\]")
    refuse(lambda t, v: ops.update_slice(t, v, (0,), (3,)), x, spec((3,), "int64"), match="one dtype")


# Indexing


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "uint64"])
def test_gather_is_numpys_indexing(rng, dtype):
    x = rng.standard_normal((4, 5, 2))
    low = 0 if dtype.startswith("u") else -4
    i, j = rng.integers(low, 4, (3, 2)).astype(dtype), rng.integers(low, 4, (3, 2)).astype(dtype)
    same(run(lambda t, i: ops.gather(t, [i]), x, i), x[i])
    same(run(lambda t, i, j: ops.gather(t, [i, j]), x, i, j), x[i, j])
    same(run(lambda t, i, j, k: ops.gather(t, [i, j, k]), x, i, j, i % 2), x[i, j, i % 2])
    same(run(lambda t, i: ops.gather(t, [i]), x, i[0, 0]), np.asarray(x[i[0, 0]]))
    out = np.zeros((3, 2, 5, 2))
    OPS["gather"]().evaluate_into((out,), x, i)
    same(out, x[i])
    same(run(lambda t, i: ops.gather(t, [i]), x, i[:0]), x[i[:0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scatters_are_numpys(rng, dtype):
    x, v = numbers(rng, (4, 3), dtype), numbers(rng, (6, 3), dtype)
    i = np.array([0, 1, -1, 3, 0, 0])  # 3 and -1 are the same row
    added, replaced = x.copy(), x.copy()
    np.add.at(added, i, v)
    replaced[i] = v
    same(run(lambda t, v, i: ops.scatter_add(t, [i], v), x, v, i), added)
    same(run(lambda t, v, i: ops.scatter_set(t, [i], v), x, v, i), replaced)
    same(replaced[[0, 3]], v[[5, 3]])
    j = np.array([2, 0, 1, -3, 2, -1])
    w = v[:, 0]
    added = x.copy()
    np.add.at(added, (i, j), w)
    same(run(lambda t, v, i, j: ops.scatter_add(t, [i, j], v), x, w, i, j), added)


@pytest.mark.parametrize("bad", [3, -4])
def test_a_position_outside_the_axis_is_an_index_error(bad):
    x, i = np.arange(6.0).reshape(3, 2), np.array([0, bad])
    v = np.ones((2, 2))
    for function, arrays in [
        (lambda t, i: ops.gather(t, [i]), (x, i)),
        (lambda t, v, i: ops.scatter_add(t, [i], v), (x, v, i)),
        (lambda t, v, i: ops.scatter_set(t, [i], v), (x, v, i)),
    ]:
        graph = trace(function, *arrays)
        with pytest.raises(IndexError, match="out of bounds"):
            evaluate(graph, arrays)
        with pytest.raises(IndexError, match="out of bounds"):
            graph.outputs[0].node.op.evaluate_into((np.zeros(graph.output_types[0].shape),), *arrays)


@pytest.mark.parametrize("op", [OPS["scatter_add"](), OPS["scatter_set"]()])
def test_a_scatter_may_write_over_any_operand_of_its_type(op):
    x, v, i = np.array([5, 6, 7]), np.array([1, 2, 3]), np.array([2, 0, 2])
    expected = op.evaluate(x, v, i)
    for k in range(3):
        operands = [x.copy(), v.copy(), i.copy()]
        op.evaluate_into((operands[k],), *operands)
        same(operands[k], expected)


def test_indexing_errors():
    x, i = spec((4, 3)), spec((2,), "int64")
    refuse(lambda t, i: ops.gather(t, [i]), x, spec((2,)), match="indices must be integers, not float64")
    refuse(lambda t, i: ops.gather(t, [i]), x, spec((4,), "bool"), match="indices must be integers, not bool")
    refuse(lambda t, i: ops.gather(t, [i, i, i]), x, i, match="needs 1 to 2 index tensors")
    refuse(lambda t: ops.gather(t, []), x, match="needs 1 to 2 index tensors")
    refuse(lambda t, i, j: ops.gather(t, [i, j]), x, i, spec((3,), "int64"), match="must have one shape")
    refuse(lambda t, i, v: ops.scatter_add(t, [i], v), x, i, spec((2,)), match=r"updates must be f64\[2,3\]")
    refuse(lambda t, i, v: ops.scatter_set(t, [i], v), x, i, spec((2, 3), "float32"), match="one dtype")


# Products


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_matmul_is_numpys(rng, dtype):
    for a, b in [((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 1)), ((2, 0), (0, 2)), ((0, 1, 2), (0, 2, 3))]:
        x, y = numbers(rng, a, dtype), numbers(rng, b, dtype)
        same(run(ops.matmul, x, y), np.matmul(x, y))


def test_matmul_of_symbolic_sizes():
    b, n = dim("b"), dim("n")
    graph = trace(ops.matmul, spec((b, n, 3)), spec((b, 3, n)))
    assert str(graph.output_types[0]) == "f64[b,n,n]"
    assert graph.assumptions == ()
    assert str(graph.outputs[0].node.op.flops(graph.input_types, graph.output_types)) == "6*b*n*n"


def test_a_batch_of_left_operands_is_one_tall_product():
    a, b = make_input("a", spec((7, 2, 3))), make_input("b", spec((3, 4)))
    tall = OPS["matmul"]().batch((True, False), a, b).value.node.inputs[0].node
    assert (tall.op.name, str(tall.types[0])) == ("matmul", "f64[14,4]")


def test_matmul_errors():
    refuse(ops.matmul, spec((2, 3)), spec((4, 2)), match="contracted sizes 3 and 4 differ")
    refuse(ops.matmul, spec((2, 2, 3)), spec((3, 3, 2)), match="leading axes differ")
    refuse(ops.matmul, spec((3,)), spec((3, 2)), match="must be matrices")
    refuse(ops.matmul, spec((2, 3)), spec((3, 2), "float32"), match="one dtype")


# Creation, casts, control


def test_creation():
    f32 = np.dtype(np.float32)
    same(run(lambda: ops.iota((2, 3), 1, f32)), np.tile(np.arange(3, dtype=f32), (2, 1)))
    same(run(lambda: ops.iota((2, 3), 0, I64)), np.repeat(np.arange(2), 3).reshape(2, 3))
    same(run(lambda: ops.iota((0, 3), 0, I64)), np.zeros((0, 3), np.int64))
    same(run(lambda: ops.full((2,), 7, f32)), np.full(2, 7, f32))
    same(run(lambda: ops.zeros((), I64)), np.zeros((), np.int64))
    same(run(lambda: ops.ones((1, 0), np.dtype(bool))), np.ones((1, 0), bool))


def test_creation_errors():
    refuse(lambda: ops.iota((3,), 1, I64), match="axes")
    refuse(lambda: ops.iota((3,), 0, np.dtype(bool)), match="not defined for bool")
    refuse(lambda: ops.iota((257,), 0, np.dtype(np.uint8)), match="do not fit into uint8")
    refuse(lambda: ops.iota((-1,), 0, I64), match="negative size")


@pytest.mark.parametrize("target", ["float32", "int64", "int8", "bool", "uint16"])
@pytest.mark.parametrize("source", [*DTYPES, "bool"])
def test_cast_is_astype(rng, source, target):
    x = abs(numbers(rng, (3, 2), source))
    same(run(lambda t: ops.cast(t, np.dtype(target)), x), x.astype(target))


def test_stop_gradient_is_the_identity_and_a_view():
    x = np.arange(3.0)
    assert np.shares_memory(OPS["stop_gradient"]().evaluate(x), x)
    same(run(ops.stop_gradient, x), x)
