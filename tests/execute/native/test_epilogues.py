"""Epilogues: what is joined to a convolution and what is not, and that the values are those of the ops one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.nn as nn
from graphad.execute import Executable
from graphad.execute.native import epilogues
from graphad.execute.native.accumulation import with_accumulation
from graphad.execute.native.epilogues import Finished, with_epilogues
from graphad.execute.native.opening import open_all
from graphad.execute.native.preparing import prepared
from graphad.ir.graph import Graph
from graphad.ir.walk import evaluate
from graphad.ops.convolution import Conv
from tests.execute.native.both_executors import check, share_everything

Array = np.ndarray[Any, Any]

SHAPES = [
    ((2, 3, 6, 18), (6, 3, 3, 3)),  # wide results, an odd number of vectors
    ((2, 3, 8, 32), (8, 3, 3, 3)),  # pairs of vectors
    ((3, 4, 5, 5), (16, 4, 3, 3)),  # channels in the lanes, whole blocks
    ((3, 4, 5, 5), (7, 4, 3, 3)),  # channels in the lanes, one by one
    ((2, 8, 9, 7), (6, 8, 1, 1)),  # space in one row
]
DTYPES = (np.float32, np.float64)


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)


def drawn(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def whole(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> Array:
    """Return small whole numbers: their products and sums are exact, so that comparisons are."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


def operands(case: Any, dtype: Any = np.float32, make: Any = drawn) -> tuple[Array, Array, Array]:
    """Return an image, a kernel and a bias."""
    return make(case[0], dtype, 0), make(case[1], dtype, 1), make(case[1][:1], dtype, 2)


def conv(x: Any, w: Any) -> Any:
    return nn.conv(x, w, padding="same")


def layer(x: Any, w: Any, b: Any) -> Any:
    return np.maximum(conv(x, w) + b[:, None, None], 0)


def native(function: Any, *arrays: Array) -> Graph:
    return prepared(ga.optimize(ga.trace(function, *arrays)))


def steps(graph: Graph) -> list[str]:
    """Return the names of what runs, views and leaves left out."""
    return [node.op.name for node in graph.nodes if node.inputs and not node.op.view]


def finished(graph: Graph) -> list[Finished]:
    return [node.op for node in graph.nodes if isinstance(node.op, Finished)]


# What is joined.


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_bias_and_rectifier_are_one_step_with_the_convolution(case: Any) -> None:
    x, w, b = operands(case)
    (op,) = finished(native(layer, x, w, b))
    assert isinstance(op.product.op, Conv)
    assert [node.op.name for node in op.members if node.inputs and not node.op.view] == ["add", "maximum"]
    exe = Executable(ga.optimize(ga.trace(layer, x, w, b)), executor="native", threads=1).wait()
    exe(x, w, b)
    (line,) = [line for line in exe.report().splitlines() if "convolution_" in line]
    assert "nest_" not in exe.report() and "conv add maximum" in line


def test_a_body_prints_evaluates_and_counts() -> None:
    x, w, b = operands(SHAPES[0])
    graph = native(layer, x, w, b)
    text = str(graph)
    assert "finished" in text and "conv" in text and "maximum" in text
    np.testing.assert_array_equal(evaluate(graph, [x, w, b])[0], layer(x, w, b))
    (node,) = [node for node in graph.nodes if isinstance(node.op, Finished)]
    flops = node.op.flops(node.input_types, node.types)
    assert flops == 2 * 2 * 6 * 6 * 18 * 27 + 2 * (2 * 6 * 6 * 18)


def test_what_only_the_epilogue_needs_joins_too() -> None:
    """A mask that is computed from another image, for this layer alone."""
    x, w, _ = operands(SHAPES[0])
    other = drawn((2, 6, 6, 18), seed=3)
    graph = native(lambda x, w, other: np.where(other > 0, conv(x, w), 0), x, w, other)
    assert steps(graph) == ["finished"]


def test_activation_and_value_are_two_results() -> None:
    x, w, b = operands(SHAPES[0])

    def both(x: Any, w: Any, b: Any) -> Any:
        y = conv(x, w) + b[:, None, None]
        return y, np.tanh(y)

    graph = native(both, x, w, b)
    assert steps(graph) == ["finished"] and len(finished(graph)[0].body.outputs) == 2


def test_masks_of_a_gradient_are_results() -> None:
    x, w, b = operands(SHAPES[1])

    def loss(x: Any, w: Any, b: Any) -> Any:
        return np.sum(conv(layer(x, w, b), w.transpose(1, 0, 2, 3)) ** 2)

    graph = native(ga.value_and_grad(loss, argnums=(1, 2)), x, w, b)
    kinds = [[str(t.dtype) for t in op.body.output_types] for op in finished(graph)]
    assert ["float32", "bool", "bool"] in kinds or ["float32", "bool"] in kinds


# What is not.


def test_what_is_only_summed_stays_with_the_sum() -> None:
    """One loop nest makes the sum of the rectified image and stores neither; joined, it would be stored."""
    x, w, b = operands(SHAPES[0])
    graph = native(lambda x, w, b: np.sum(layer(x, w, b), axis=(2, 3)), x, w, b)
    assert not finished(graph) and steps(graph) == ["conv", "region"]


def test_nothing_waits_for_itself() -> None:
    """A sum of the image and of its own convolution joins the second convolution, not the first."""
    x, w, v = drawn((2, 3, 6, 18)), drawn((6, 3, 3, 3)), drawn((6, 6, 3, 3))

    def both(x: Any, w: Any, v: Any) -> Any:
        y = conv(x, w)
        return y + conv(y, v)

    graph = native(both, x, w, v)
    assert steps(graph) == ["conv", "finished"]
    np.testing.assert_array_equal(evaluate(graph, [x, w, v])[0], both(x, w, v))


def test_costly_ops_do_not_join_where_they_would_run_one_by_one() -> None:
    x, w, b = operands(SHAPES[3])

    def bent(x: Any, w: Any, b: Any) -> Any:
        return np.tanh(conv(x, w) + b[:, None, None])

    assert "region" in steps(native(bent, x, w, b))
    x, w, b = operands(SHAPES[2])
    assert steps(native(bent, x, w, b)) == ["finished"]


def test_other_kinds_stay() -> None:
    x, w, b = operands(SHAPES[0], np.int64, whole)
    assert not finished(native(layer, x, w, b))


def test_a_transposed_reader_stays() -> None:
    x, w, _ = operands(SHAPES[0])
    graph = native(lambda x, w: np.exp(conv(x, w).transpose(1, 0, 2, 3)), x, w)
    assert not finished(graph)


def test_epilogues_that_wait_for_each_other_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two convolutions, each with a member that the other's epilogue reads."""
    x, w, v = drawn((1, 2, 4, 16)), drawn((2, 2, 3, 3), seed=1), drawn((2, 2, 3, 3), seed=2)

    def crossed(x: Any, w: Any, v: Any) -> Any:
        a, b = conv(x, w) * 2, conv(x, v) * 3
        return a - b, a / b

    graph = open_all(ga.trace(crossed, x, w, v))
    first, second = [node for node in graph.nodes if isinstance(node.op, Conv)]
    by_name = {node.op.name + str(node.inputs[0].node.op.name): node for node in graph.nodes if node.inputs}
    readers = {node: [user for user in graph.nodes if node in [v[0] for v in user.inputs]] for node in graph.nodes}
    doubled, tripled = readers[first][0], readers[second][0]
    less, ratio = by_name["submul"], by_name["divmul"]
    of = {
        first: epilogues._Epilogue(first, [doubled, less], [doubled.outputs[0], less.outputs[0]]),
        second: epilogues._Epilogue(second, [tripled, ratio], [tripled.outputs[0], ratio.outputs[0]]),
    }
    monkeypatch.setattr(epilogues._Search, "epilogue", lambda self, product: of[product])
    made = with_epilogues(graph)
    assert not finished(made)
    del of[second]
    monkeypatch.setattr(epilogues._Search, "epilogue", lambda self, product: of.get(product))
    made = with_epilogues(graph)
    assert len(finished(made)) == 1
    for one, other in zip(evaluate(made, [x, w, v]), evaluate(graph, [x, w, v]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_keep_their_values(seed: int) -> None:
    """Convolutions, products, elementwise ops, sums and views at random; each value has up to a few readers."""
    draw = np.random.default_rng(seed)
    choices = [(int(draw.integers(8)), *(int(k) for k in draw.integers(4, size=2))) for _ in range(14)]
    x, w = drawn((2, 4, 4, 4), np.float64), drawn((4, 4, 1, 1), np.float64, 1)

    def random(x: Any, w: Any) -> Any:
        known = [x, np.tanh(x), -x, x + 1]
        for what, first, second in choices:
            a, b = known[-1 - first], known[-1 - second]
            makes = [
                lambda a, b: nn.conv(a, w),
                lambda a, b: a @ np.tanh(b),
                lambda a, b: a + b,
                lambda a, b: np.maximum(a, 0.5 * b),
                lambda a, b: np.maximum(a, 0),
                lambda a, b: a - np.mean(b, axis=(2, 3), keepdims=True),
                lambda a, b: a.transpose(0, 1, 3, 2) * np.tanh(b),
                lambda a, b: a + b[:, :1],
            ]
            known.append(makes[what](a, b))
        return known[-1], known[-2 - choices[0][1]]

    graph = with_accumulation(open_all(ga.optimize(ga.trace(random, x, w))))
    for one, other in zip(evaluate(with_epilogues(graph), [x, w]), evaluate(graph, [x, w]), strict=True):
        np.testing.assert_array_equal(one, other)
    check(random, x, w, bound=1e-9)


# Values.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_values(case: Any, dtype: Any) -> None:
    x, w, b = operands(case, dtype)
    check(layer, x, w, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_residual_gate_cast_and_smooth_activations(case: Any, dtype: Any) -> None:
    x, w, b = operands(case, dtype)
    y = conv(x, w)
    residual, gate = drawn(y.shape, dtype, 5), drawn((*y.shape[:2], 1, 1), dtype, 6) > 0

    def function(x: Any, w: Any, b: Any, residual: Any, gate: Any) -> Any:
        y = conv(x, w) + b[:, None, None]
        z = np.where(gate, y * (1 / (1 + np.exp(-y))) + residual, 0)
        return z, z.astype(np.float64 if dtype is np.float32 else np.float32), y > 0

    check(function, x, w, b, residual, gate)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_terms_along_each_axis(case: Any) -> None:
    x, w, _ = operands(case)
    shape = conv(x, w).shape
    terms = [drawn(tuple(n if k == axis else 1 for k, n in enumerate(shape)), seed=axis) for axis in range(4)]
    terms += [drawn(shape[1:], seed=8), drawn((*shape[:3], 1), seed=9)]

    def function(x: Any, w: Any, *terms: Any) -> Any:
        y = conv(x, w)
        for term in terms:
            y = y + term
        return y

    assert len(finished(native(function, x, w, *terms))) == 1
    check(function, x, w, *terms)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_masks_are_exact(case: Any, dtype: Any) -> None:
    x, w, b = operands(case, dtype, whole)

    def function(x: Any, w: Any, b: Any) -> Any:
        y = conv(x, w) + b[:, None, None]
        return np.maximum(y, 0), y > 0, y == 0, np.sign(y).astype(np.int32)

    y, positive, zero, sign = check(function, x, w, b)
    assert zero.any() and positive.any()
    np.testing.assert_array_equal(sign > 0, positive)
    np.testing.assert_array_equal(y[zero], 0)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_nan_and_infinity_go_through(case: Any) -> None:
    x, w, b = operands(case, np.float32, whole)
    x[0, 0, 1, 1], x[1, 1, 2, 3], b[0], b[1] = np.nan, np.inf, -np.inf, np.nan

    def function(x: Any, w: Any, b: Any) -> Any:
        y = conv(x, w) + b[:, None, None]
        return np.maximum(y, 0), np.where(y > 0, y, 0.5 * y), y > 0, np.isnan(y)

    check(function, x, w, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype: Any) -> None:
    x, w, b = operands(SHAPES[1], dtype)
    v = drawn((8, 8, 3, 3), dtype, 7)

    def loss(w: Any, b: Any, v: Any, x: Any) -> Any:
        h = layer(x, w, b)
        h = nn.max_pool(np.tanh(conv(h, v) + b[:, None, None]) + h, 2)
        return np.mean(layer(h, v, b) ** 2)

    check(ga.value_and_grad(loss, argnums=(0, 1, 2, 3)), w, b, v, x)


@pytest.mark.parametrize("options", [{"strides": 2}, {"dilation": 2}, {"groups": 2}, {"strides": (1, 3), "groups": 2}])
def test_other_convolutions(options: dict[str, Any]) -> None:
    groups = options.get("groups", 1)
    x, w, b = drawn((2, 4, 9, 24)), drawn((6, 4 // groups, 3, 3), seed=1), drawn((6,), seed=2)

    def function(x: Any, w: Any, b: Any) -> Any:
        return np.maximum(nn.conv(x, w, padding="same", **options) + b[:, None, None], 0)

    assert steps(native(function, x, w, b)) == ["finished"]
    check(function, x, w, b)


def test_spread_images_and_rows() -> None:
    """A gradient convolution of an image with strides, rectified: several kernels, one for each phase."""
    g, w, b = drawn((2, 6, 5, 9)), drawn((6, 4, 3, 3), seed=1), drawn((4,), seed=2)

    def function(g: Any, w: Any, b: Any) -> Any:
        y = nn.conv_transpose(g, w, strides=2)
        return np.maximum(y + b[:, None, None], 0), y > 0

    (op,) = finished(native(function, g, w, b))
    assert isinstance(op.product.op, Conv) and op.product.op.lhs_dilation == (2, 2)
    check(function, g, w, b)
    x, w = drawn((3, 4, 50)), drawn((5, 4, 3), seed=1)
    check(lambda x, w: np.maximum(nn.conv(x, w, padding="same"), 0), x, w)
