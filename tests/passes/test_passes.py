"""The passes one by one: fold and its cap, cse, chains of products, fusion; symbolic sizes; the seed example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.ops as ops
from graphad.ir.counts import count
from graphad.ir.emit import apply
from graphad.ir.graph import Graph
from graphad.ir.walk import evaluate
from graphad.ops.fused import Fused, blocks
from graphad.passes import optimize


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def agree(a: Graph, b: Graph, *inputs: Any) -> None:
    for old, new in zip(evaluate(a, inputs), evaluate(b, inputs), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-14)


# The seed example


def test_the_seed_example_leaves_nothing_over() -> None:
    graph = ga.trace(lambda x1, x2: x1**2 + x2**2 + x1 * x2, 1.0, 2.0, name="z")
    best = optimize(ga.value_and_grad(graph, argnums=(0, 1)), verify=True)
    lines = [line.split("  #")[0].rstrip() for line in str(best).splitlines()]
    assert lines[2:-2] == [
        "  %0: f64[] = mul %x1, %x1",
        "  %1: f64[] = mul %x2, %x2",
        "  %2: f64[] = add %0, %1",
        "  %3: f64[] = mul %x1, %x2",
        "  %4: f64[] = add %2, %3",
        "  %5: f64[] = constant 2.0 {role=backward}",
        "  %6: f64[] = mul %5, %x2 {role=backward}",
        "  %7: f64[] = add %6, %x1 {role=backward}",
        "  %8: f64[] = mul %5, %x1 {role=backward}",
        "  %9: f64[] = add %8, %x2 {role=backward}",
    ]
    assert lines[-2] == "  return %4, %9, %7"
    value, gradients = best(1.0, 2.0)
    assert float(value) == 7 and [float(g) for g in gradients] == [4.0, 5.0]


# fold


def test_fold_evaluates_what_is_constant() -> None:
    best = optimize(ga.trace(lambda x: x + np.sin(ops.stop_gradient(ga.numpy.asarray(np.arange(3.0)))), np.ones(3)))
    assert "sin" not in names(best)


def test_fold_keeps_large_results_and_uniform_ones_small() -> None:
    n = 1 << 10

    def f(x: Any) -> Any:
        rows = ga.numpy.asarray(np.arange(n * 1.0))
        square = np.outer(rows, rows) if False else ops.broadcast_to(ops.reshape(rows, (n, 1)), (n, n)) + rows
        return x + np.sum(np.sin(square)) + np.sum(np.exp(ga.numpy.zeros((n, n))))

    best = optimize(ga.trace(f, 1.0), passes=("fold",))
    constants = [node.types[0].nbytes for node in best.nodes if node.op.name == "constant"]
    assert max(constants) <= 1 << 20
    assert "sin" in names(best), "an 8 MiB result is not folded"
    assert "exp" not in names(best), "a uniform one is, to one number"


def test_fold_reaches_uniform_constants_of_symbolic_size() -> None:
    n = ga.dim("n")
    best = optimize(ga.trace(lambda x: x * np.exp(x * 0 + 1), ga.spec(n)), fast_math=True, verify=True)
    assert "exp" not in names(optimize(best, passes=("fold",)))


def test_fold_does_not_touch_inputs_and_ranges() -> None:
    graph = ga.trace(lambda x: x + np.arange(4.0) * 1, np.ones(4))
    assert "input" in names(optimize(graph))


# cse


def test_cse_merges_commuted_operands_and_equal_constants() -> None:
    graph = ga.trace(lambda x, y: (x + y) * np.array([1.0, 2.0]) - (y + x) * np.array([1.0, 2.0]), *[np.ones(2)] * 2)
    best = optimize(graph, passes=("cse",))
    assert names(best).count("add") == 1 and names(best).count("mul") == 1 and names(best).count("constant") == 1


def test_cse_tells_zeros_apart_and_keeps_inputs() -> None:
    graph = ga.trace(lambda x, y: (x / 0.0, x / -0.0, x + y, y - x), *[np.ones(2)] * 2)
    best = optimize(graph, passes=("cse",))
    assert names(best).count("div") == 2 and names(best).count("input") == 2
    assert [node.op.name for node in best.nodes if node.op.name == "sub"] == ["sub"]


# contract


def test_a_chain_of_products_takes_its_cheapest_order() -> None:
    rng = np.random.default_rng(0)
    a, b, c, d = (rng.standard_normal(s) for s in ((40, 30), (30, 20), (20, 10), (10, 1)))
    graph = ga.trace(lambda a, b, c, d: ((a @ b) @ c) @ d, a, b, c, d)
    best = optimize(graph)
    assert best.report is not None and best.report.rules["chain_order"] == 1
    assert best.report.after.flops == 2 * (20 * 10 + 30 * 20 + 40 * 30)
    agree(graph, best, a, b, c, d)


def test_a_product_that_is_read_elsewhere_stays() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(s) for s in ((40, 30), (30, 20), (20, 1)))
    graph = ga.trace(lambda a, b, c: (a @ b, (a @ b) @ c), a, b, c)
    best = optimize(optimize(graph, passes=("cse",)))
    assert names(best).count("matmul") == 2


def test_symbolic_chains_move_where_sizes_do_not_matter() -> None:
    n, m = ga.dim("n"), ga.dim("m")
    decided = ga.trace(lambda a, b, v: (a @ b) @ v, ga.spec((n, m)), ga.spec((m, n)), ga.spec((n, 1)))
    best = optimize(decided, verify=True)
    assert best.report is not None and best.report.rules.get("chain_order") == 1
    undecided = ga.trace(lambda a, b, c: (a @ b) @ c, ga.spec((n, m)), ga.spec((m, n)), ga.spec((n, m)))
    best = optimize(undecided, verify=True)
    assert best.report is not None and "chain_order" not in best.report.rules
    assert best.assumptions == undecided.assumptions


# fuse


def fused_nodes(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes if isinstance(node.op, Fused)]


def test_elementwise_ops_fuse_with_the_broadcasts_of_their_operands() -> None:
    rng = np.random.default_rng(0)
    x, b = rng.standard_normal((700, 300)), rng.standard_normal(300)
    graph = ga.trace(lambda x, b: np.tanh(x * 2.5 + b) / (1.25 + np.abs(x)), x, b)
    best = optimize(graph, verify=True)
    (node,) = fused_nodes(best)
    assert node.op.body.input_types == (graph.input_types[0], graph.input_types[1])
    assert [n.op.name for n in best.nodes] == ["input", "input", "fused"]
    for old, new in zip(evaluate(graph, [x, b]), evaluate(best, [x, b]), strict=True):
        np.testing.assert_array_equal(new, old)
    assert count(best).flops == count(graph).flops
    assert count(best).bytes_moved < count(graph).bytes_moved


def test_a_value_that_is_read_outside_is_no_inner_member() -> None:
    graph = ga.trace(lambda x: (lambda h: (np.sin(h) * h, np.sum(h)))(np.exp(x) + 1.5), np.ones((3, 4)))
    best = optimize(graph, verify=True)
    agree(graph, best, np.random.default_rng(0).standard_normal((3, 4)))
    assert len(fused_nodes(best)) == 2


def test_fusion_makes_no_cycle_around_other_ops() -> None:
    def f(x: Any) -> Any:
        a = np.exp(x) + 1.5
        return np.sin(a) * np.sum(a, axis=0) + np.cos(a)

    graph = ga.trace(f, np.ones((3, 4)))
    agree(graph, optimize(graph, verify=True), np.random.default_rng(0).standard_normal((3, 4)))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (100_001,), (3, 50_000), (2, 3, 40_000), (0, 4), (5, 0)])
def test_blocks_cut_an_array_once(shape: tuple[int, ...]) -> None:
    seen = np.zeros(shape, int)
    for index in blocks(shape, 4096):
        assert seen[index].size <= 4096
        seen[index] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(3, 4), (100_001,), (3, 50_000), (300, 700)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fused_evaluation_is_that_of_the_ops(shape: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)

    def f(x: Any, y: Any) -> Any:
        return np.where(x > 0.5, np.exp(x).astype("float64") * y, np.where(y < x, y + 3, np.sin(x) - y))

    graph = ga.trace(f, x, x.astype("float64"))
    best = optimize(graph)
    assert len(fused_nodes(best)) == 1
    np.testing.assert_array_equal(evaluate(best, [x, x[::-1] + 0.0])[0], evaluate(graph, [x, x[::-1] + 0.0])[0])


def test_fused_may_write_over_an_operand() -> None:
    x = np.random.default_rng(0).standard_normal((300, 700))
    graph = ga.trace(lambda x, c: np.where(c, np.exp(x) + 1.5, x), x, x > 0)
    best = optimize(graph)
    (node,) = fused_nodes(best)
    (expected,) = evaluate(graph, [x, x > 0])
    values = {"x": x.copy(), "c": x > 0}
    operands = [values[v.node.op.label] for v in node.inputs]
    node.op.evaluate_into((values["x"],), *operands)
    np.testing.assert_array_equal(values["x"], expected)


def test_derivatives_and_batches_of_fused_graphs() -> None:
    rng = np.random.default_rng(0)
    x, b = rng.standard_normal((3, 4)), rng.standard_normal(4)
    graph = ga.trace(lambda x, b: np.sum(np.tanh(x * b + 0.3) * np.exp(x)), x, b)
    best = optimize(graph)
    assert fused_nodes(best)
    for transform in (ga.value_and_grad, ga.grad):
        agree(transform(graph, argnums=(0, 1)), transform(best, argnums=(0, 1)), x, b)
    (fused,) = fused_nodes(best)

    def op(x: Any, b: Any) -> Any:
        return apply(fused.op, x, b)

    order = [(x, b)[("x", "b").index(v.node.op.label)] for v in fused.inputs]
    pushed = ga.trace(lambda *a: ga.jvp(op, a[:2], a[2:])[1], *order, *order)
    tangents = [rng.standard_normal(a.shape) for a in order]
    small = 1e-6
    (up,), (down,) = (
        evaluate(fused.op.body, [a + s * small * t for a, t in zip(order, tangents, strict=True)]) for s in (1, -1)
    )
    np.testing.assert_allclose(
        evaluate(pushed, [*order, *tangents])[0], (up - down) / (2 * small), rtol=1e-6, atol=1e-8
    )
    stacks = [np.stack([a, 2 * a, -a]) for a in order]
    batched = ga.trace(ga.vmap(op), *stacks)
    expected = np.stack([evaluate(fused.op.body, [s[k] for s in stacks])[0] for k in range(3)])
    np.testing.assert_allclose(evaluate(batched, stacks)[0], expected)


def test_fused_graphs_print_and_parse() -> None:
    from graphad.ir.parser import parse

    best = optimize(ga.trace(lambda x: np.tanh(x * 2.5) + x, np.ones((3, 4))))
    assert fused_nodes(best) and parse(str(best)) == best


# all of them


def network(params: Any, x: Any, y: Any) -> Any:
    h = np.tanh(x @ params["w1"] + params["b1"])
    logits = h @ params["w2"]
    p = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    return -np.mean(np.sum(y * np.log(p), axis=1)) + 0.01 * np.sum(params["w1"] ** 2)


def network_inputs(batch: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    params = {"w1": rng.standard_normal((5, 7)), "b1": rng.standard_normal(7), "w2": rng.standard_normal((7, 3))}
    return params, rng.standard_normal((batch, 5)), np.eye(3)[rng.integers(0, 3, batch)]


def test_a_network_through_the_whole_pipeline() -> None:
    inputs = network_inputs(6)
    graph = ga.value_and_grad(ga.trace(network, *inputs))
    best = optimize(graph, verify=True)
    flat = [
        inputs[0][name.split(".")[1]] if "." in name else inputs["pxy".index(name[0])] for name in graph.input_names
    ]
    agree(graph, best, *flat)
    assert best.report is not None
    assert best.report.after.ops < best.report.before.ops * 0.6
    assert best.report.after.bytes_moved < best.report.before.bytes_moved
    assert "pass" in str(best.report) and "fuse" in str(best.report)


def test_symbolic_graphs_go_through_all_passes() -> None:
    params, x, y = network_inputs(6)
    n = ga.dim("batch")
    symbolic = ga.value_and_grad(ga.trace(network, params, ga.spec((n, 5)), ga.spec((n, 3))))
    best = optimize(symbolic, verify=True)
    flat = [params[name.split(".")[1]] if "." in name else (x, y)["xy".index(name)] for name in symbolic.input_names]
    agree(symbolic.bind(batch=6), best.bind(batch=6), *flat)
    assert best.assumptions == symbolic.assumptions, "a pass assumes nothing of sizes"
    assert best.report is not None and best.report.after.peak_bytes is None


def test_dce_counts_and_keeps_inputs() -> None:
    best = optimize(ga.trace(lambda x, unused: x + 1, np.ones(2), np.ones(3)), passes=("dce",))
    assert best.input_names == ("x", "unused")


def test_peak_of_a_chain_is_two_buffers_over_its_input() -> None:
    def f(x: Any) -> Any:
        for _ in range(10):
            x = np.sin(x)
        return x

    assert count(ga.trace(f, np.ones(100))).peak_bytes == 3 * 800
