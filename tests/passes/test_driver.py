"""The driver: lines and roles of new nodes, history, type checks, loops, users' rules and passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.ops as ops
from graphad.ir.errors import PassError
from graphad.ir.graph import Graph
from graphad.ir.walk import evaluate
from graphad.passes import PASSES, PIPELINE, RULES, optimize, pattern, register_pass, rule, scalars, variables
from graphad.passes import pipeline as pipeline_module
from graphad.passes.patterns import is_number, uniform

x, y = variables("x y")
(k,) = scalars("k")


@pytest.fixture(autouse=True)
def clean_registries() -> Iterator[None]:
    rules, passes, extensions = dict(RULES), dict(PASSES), dict(pipeline_module._extensions)
    yield
    for registry, saved in ((RULES, rules), (PASSES, passes), (pipeline_module._extensions, extensions)):
        registry.clear()  # type: ignore[attr-defined]
        registry.update(saved)  # type: ignore[attr-defined]


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_the_pipeline_is_in_the_order_of_the_design() -> None:
    assert [each.name for each in PIPELINE] == ["fold", "stabilize", "cse", "algebra", "cse", "contract", "fuse"]


def test_new_nodes_take_line_scope_and_role_of_the_replaced_one() -> None:
    def f(x: Any) -> Any:
        with ga.scope("layer"), ga.role("update"):
            return x + x

    traced = ga.trace(f, np.ones(3))
    best = optimize(traced, passes=("algebra",))
    old, new = traced.outputs[0].node, best.outputs[0].node
    assert new.op.name == "mul"
    assert (new.location, new.scope, new.role) == (old.location, "layer", "update")


def test_history_tells_rule_before_and_after() -> None:
    best = optimize(ga.trace(lambda x: -(x * 1), np.ones(3)), passes=("algebra",))
    assert best.report is not None
    (step,) = best.report.rewrites
    assert (step.rule, step.before, step.after) == ("mul_one", "mul(x, broadcast_to[shape=(3,)](1.0))", "x")
    assert "test_driver.py" in str(step)


def test_a_rule_may_not_change_the_type() -> None:
    @rule(np.sin(x))
    def sin_to_bool(x: ga.Tensor) -> ga.Tensor:
        """sin(x) -> x == x."""
        return ops.equal(x, x)

    with pytest.raises(PassError, match=r"sin_to_bool.*f64\[3\] to bool\[3\][\s\S]*test_driver.py.*np.sin"):
        optimize(ga.trace(lambda v: np.sin(v), np.ones(3)), passes=(sin_to_bool,))


def test_a_rule_that_fails_is_named() -> None:
    @rule(np.sin(x))
    def bad_shape(x: ga.Tensor) -> ga.Tensor:
        """sin(x) -> nonsense."""
        return ops.add(x, ops.reshape(x, (3, 1)))

    with pytest.raises(PassError, match="bad_shape"):
        optimize(ga.trace(lambda v: np.sin(v), np.ones(3)), passes=(bad_shape,))


def test_rules_that_undo_each_other_are_shown_as_a_cycle() -> None:
    @rule(np.sin(x), into="algebra")
    def sin_to_cos(x: ga.Tensor) -> ga.Tensor:
        """sin(x) -> cos(x)."""
        return ops.cos(x)

    @rule(np.cos(x), into="algebra")
    def cos_to_tan(x: ga.Tensor) -> ga.Tensor:
        """cos(x) -> tan(x)."""
        return ops.tan(x)

    @rule(np.tan(x), into="algebra")
    def tan_to_sin(x: ga.Tensor) -> ga.Tensor:
        """tan(x) -> sin(x)."""
        return ops.sin(x)

    with pytest.raises(PassError) as caught:
        optimize(ga.trace(lambda v: np.sin(v), np.ones(3)), passes=("algebra",))
    cycle = str(caught.value).split(": ")[1].split(",")[0].split(" -> ")
    assert len(cycle) == 4 and cycle[0] == cycle[-1]
    assert set(cycle) == {"sin_to_cos", "cos_to_tan", "tan_to_sin"}


def test_a_rule_that_returns_its_own_pattern_is_stopped() -> None:
    @rule(np.sin(x))
    def grow(x: ga.Tensor) -> ga.Tensor:
        """sin(x) -> sin(x + x)."""
        return ops.sin(x + x)

    with pytest.raises(PassError, match="grow -> grow"):
        optimize(ga.trace(lambda v: np.sin(v), np.ones(3)), passes=(grow,))


def test_a_rule_goes_on_until_it_fires_no_more() -> None:
    @rule(np.sin(np.sin(x)))
    def one_sine(x: ga.Tensor) -> ga.Tensor:
        """sin(sin(x)) -> sin(x)."""
        return ops.sin(x)

    def f(v: Any) -> Any:
        for _ in range(50):
            v = np.sin(v)
        return v

    best = optimize(ga.trace(f, np.ones(3)), passes=(one_sine,))
    assert names(best) == ["input", "sin"]
    # Once sin(sin(x)) is known to be sin(x), the outer ones are the same computation again.
    assert best.report is not None and best.report.rules["one_sine"] + best.report.rules["merge"] == 50


def test_rules_of_users_join_a_pass() -> None:
    @rule(np.sin(x) ** 2 + np.cos(x) ** 2, np.sin(x) * np.sin(x) + np.cos(x) * np.cos(x), into="algebra")
    def pythagoras(x: ga.Tensor) -> ga.Tensor:
        """sin(x)^2 + cos(x)^2 -> 1."""
        return x.zeros_like() + 1

    best = optimize(ga.trace(lambda v: np.cos(v) ** 2 + np.sin(v) ** 2, np.ones(3)))
    assert best.report is not None and best.report.rules["pythagoras"] == 1
    (result,) = evaluate(best, [np.ones(3)])
    np.testing.assert_array_equal(result, np.ones(3))


def test_passes_of_users_run_by_name_or_as_objects() -> None:
    seen: list[int] = []

    def look(graph: Graph) -> Graph:
        seen.append(len(graph.nodes))
        return graph

    register_pass(look)
    graph = ga.trace(lambda v: v * 1 + 2, np.ones(3))
    best = optimize(graph, passes=("look", *PIPELINE, look))
    assert len(seen) == 2 and seen[0] > seen[1]
    assert best.report is not None and best.report.passes[0].name == "look"
    with pytest.raises(ValueError, match="taken"):
        register_pass(look, name="cse")


def test_a_pass_that_loses_an_output_is_named() -> None:
    def drop(graph: Graph) -> Graph:
        return graph.with_outputs(graph.outputs[:1], ("out0",))

    with pytest.raises(PassError, match="drop"):
        optimize(ga.trace(lambda v: (v + 1, v + 2), np.ones(3)), passes=(drop,))


def test_verify_finds_a_pass_that_changes_values() -> None:
    @rule(np.sin(x))
    def wrong(x: ga.Tensor) -> ga.Tensor:
        """sin(x) -> x, which is wrong."""
        return x

    graph = ga.trace(lambda v: np.sin(v), ga.spec((ga.dim("batch"), 3)))
    optimize(graph, passes=(wrong,))
    with pytest.raises(PassError, match="pass wrong changed the values"):
        optimize(graph, passes=(wrong,), verify=True)


def test_rule_definitions_are_checked() -> None:
    with pytest.raises(ValueError, match="z, which its pattern"):

        @rule(x + y)
        def asks_too_much(z: ga.Tensor) -> ga.Tensor:
            return z

    with pytest.raises(ValueError, match="root of a pattern"):

        @rule(x)
        def no_op(x: ga.Tensor) -> ga.Tensor:
            return x

    with pytest.raises(ValueError, match="taken"):

        @rule(x + y)
        def mul_one(x: ga.Tensor) -> ga.Tensor:
            return x

    with pytest.raises(ValueError, match="no rewriting pass"):
        rule(x + y, into="nowhere")(lambda x: x)


def test_a_function_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match="trace a function first"):
        optimize(lambda v: v)  # type: ignore[arg-type]


def test_numbers_match_behind_views_and_casts() -> None:
    def f(v: Any) -> Any:
        ones = ops.cast(ops.broadcast_to(ga.numpy.asarray(np.int32(1)), (2, 3)), np.dtype(np.float64))
        return v * ops.reshape(ones, (3, 2))

    assert names(optimize(ga.trace(f, np.ones((3, 2))), passes=("algebra",))) == ["input"]


def test_zeros_of_two_signs_are_two_numbers() -> None:
    assert is_number(np.float64(0.0), 0) and not is_number(np.float64(0.0), -0.0)
    assert is_number(np.float64(-0.0), -0.0) and not is_number(np.float64(-0.0), 0.0)
    assert is_number(np.int64(0), -0.0)
    mixed = ga.trace(lambda v: v + np.array([0.0, -0.0]), np.ones(2))
    assert [uniform(v) for node in mixed.nodes if node.op.name == "add" for v in node.inputs] == [None, None]


def test_the_same_variable_means_the_same_value() -> None:
    graph = ga.trace(lambda u, v: (np.maximum(u, v), np.maximum(u, u)), np.ones(2), np.ones(2))
    best = optimize(graph, passes=("algebra",))
    assert [v.node.op.name for v in best.outputs] == ["maximum", "input"]


def test_attributes_are_captured_and_compared() -> None:
    axes, found = variables("axes")[0], []

    @rule(pattern(type(ga.trace(lambda v: np.sum(v), np.ones(2)).outputs[0].node.op), x, axes=axes))
    def see(axes: tuple[int, ...]) -> None:
        """Nothing."""
        found.append(axes)

    optimize(ga.trace(lambda v: np.sum(v, axis=1), np.ones((2, 3))), passes=(see,))
    assert found == [(1,)]


def test_replicas_are_left_apart() -> None:
    from graphad.ir.emit import emission

    def f(v: Any) -> Any:
        a = np.sin(v)
        emission.replica = 1
        b = np.sin(v)
        emission.replica = 0
        return a, b

    best = optimize(ga.trace(f, np.ones(3)))
    assert names(best).count("sin") == 2


def test_a_long_chain_goes_through() -> None:
    def f(v: Any) -> Any:
        for _ in range(5_000):
            v = np.sin(v) * 1 + 0.5
        return v

    graph = ga.trace(f, np.ones(2))
    best = optimize(graph)
    assert best.report is not None and best.report.rules["mul_one"] == 5_000
    np.testing.assert_array_equal(evaluate(best, [np.ones(2)])[0], evaluate(graph, [np.ones(2)])[0])


def test_nothing_changes_where_nothing_applies() -> None:
    graph = ga.trace(lambda v: np.sin(v), np.ones(3))
    best = optimize(graph)
    assert best == graph and best.outputs[0].node is graph.outputs[0].node


def test_a_long_chain_of_rewrites_is_no_circle() -> None:
    def f(x: object) -> object:
        for _ in range(1500):
            x = x * 1.001  # type: ignore[operator]
        return x.sum()  # type: ignore[attr-defined]

    best = optimize(ga.trace(f, np.ones(3)))
    np.testing.assert_allclose(evaluate(best, [np.ones(3)])[0], 3 * 1.001**1500)


@pytest.mark.parametrize("square", [lambda x: x**2, lambda x: x * x, np.square, lambda x: np.power(x, 2)])
def test_powers_in_a_pattern_match_what_they_trace_to(square) -> None:  # type: ignore[no-untyped-def]
    @rule(square(np.sin(x)) + square(np.cos(x)))
    def pythagoras(x):  # type: ignore[no-untyped-def]
        """sin^2 + cos^2 -> 1."""
        return x.zeros_like() + 1

    graph = ga.trace(lambda t: square(np.sin(t)) + square(np.cos(t)), np.ones(3))
    best = optimize(graph, passes=(pythagoras, *PIPELINE))
    assert best.report.rules["pythagoras"] == 1


def test_a_variable_exponent_is_a_tensor_whatever_was_traced() -> None:
    seen = []

    @rule(np.power(x, y))
    def by_logarithm(x, y):  # type: ignore[no-untyped-def]
        """x ** y -> exp(y * log(x))."""
        seen.append(y.type)
        return ops.exp(y * ops.log(x))

    for exponent in (3, 2.5, np.array([1.0, 2.0, 3.0])):
        best = optimize(ga.trace(lambda t, e=exponent: np.power(t, e), np.ones(3)), passes=(by_logarithm,))
        assert best.report.rules["by_logarithm"] == 1
        np.testing.assert_allclose(best(np.array([1.0, 2.0, 3.0])), np.power([1.0, 2.0, 3.0], exponent))
    assert {str(each) for each in seen} == {"f64[3]"}


def test_a_scalar_exponent_is_a_numpy_scalar() -> None:
    @rule(np.power(np.sqrt(x), k))
    def half_power(x, k):  # type: ignore[no-untyped-def]
        """sqrt(x) ** k -> x ** (k / 2)."""
        assert type(k) is np.float64
        return np.power(x, float(k / 2))

    best = optimize(ga.trace(lambda t: np.power(np.sqrt(t), 6), np.ones(3)), passes=(half_power,))
    assert best.report.rules["half_power"] == 1
    np.testing.assert_allclose(best(np.full(3, 2.0)), 8.0)


def test_a_number_as_exponent_matches_only_that_number() -> None:
    @rule(np.power(x, 3))
    def cubed(x):  # type: ignore[no-untyped-def]
        """x ** 3 -> x * x * x."""
        return x * x * x

    for exponent, count in ((3, 1), (3.0, 1), (5, 0)):
        best = optimize(ga.trace(lambda t, e=exponent: np.power(t, e), np.ones(3)), passes=(cubed,))
        assert best.report.rules.get("cubed", 0) == count


def test_reciprocals_in_a_pattern_match_what_they_trace_to() -> None:
    @rule(np.reciprocal(np.reciprocal(x)))
    def twice(x):  # type: ignore[no-untyped-def]
        """1 / (1 / x) -> x."""
        return x

    best = optimize(ga.trace(lambda t: np.reciprocal(np.reciprocal(t)), np.ones(3)), passes=(twice,))
    assert best.report.rules["twice"] == 1
