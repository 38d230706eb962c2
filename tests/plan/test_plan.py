"""Plans of random graphs: nothing live overlaps, the peak is the arena, no order costs more than the program's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from live_values import check_live_values, poison_between_steps
from small_graphs import CHOICES, random_graph, random_inputs

import graphad as ga
from graphad import ops
from graphad.execute.reference import Program
from graphad.ir.errors import SymbolicSizeError, VerifyError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.walk import evaluate
from graphad.plan import plan
from graphad.plan.arena import Arena, check_no_overlap, pack_by_size, place
from graphad.plan.buffers import Home, find_buffers
from graphad.plan.layout import reshape_strides
from graphad.plan.lifetimes import lifetimes
from graphad.plan.schedule import Schedule, peak, program_order, schedule
from graphad.plan.stats import stats
from graphad.plan.sweeps import sweep
from graphad.tracing.trace import make_input

SIZES = st.sampled_from([(2, 3), (1, 4), (0, 2), (5, 5)])


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def make(outputs: list, inputs: list) -> Graph:
    names = tuple(f"x{k}" for k in range(len(inputs)))
    out_names = tuple(f"out{k}" for k in range(len(outputs)))
    containers = flat_containers(len(inputs), len(outputs))
    return Graph("g", tuple(t.value for t in inputs), tuple(t.value for t in outputs), names, out_names, *containers)


@given(CHOICES, SIZES)
@settings(max_examples=150, deadline=None)
def test_no_two_live_values_overlap(choices: list[int], sizes: tuple[int, int]) -> None:
    found = plan(random_graph(choices, sizes))
    check_no_overlap(found.lifetimes, found.arena)
    program = Program(found, {})
    assert program.arena.nbytes == found.arena_bytes >= found.lower_bound_bytes
    check_live_values(program)


@given(CHOICES, SIZES)
@settings(max_examples=150, deadline=None)
def test_values_survive_garbage_in_everything_dead(choices: list[int], sizes: tuple[int, int]) -> None:
    graph = random_graph(choices, sizes)
    inputs = random_inputs(graph)
    kept = [x.copy() for x in inputs]
    program = Program(plan(graph), {})
    plain = [r.copy() for r in program.run(inputs)]
    poison_between_steps(program)
    poisoned = program.run(inputs)
    for a, b, c in zip(plain, poisoned, evaluate(graph, inputs), strict=True):
        assert same_bits(a, b)
        assert same_bits(a, np.asarray(c, order="C"))
    assert all(same_bits(a, b) for a, b in zip(inputs, kept, strict=True))


@given(CHOICES)
@settings(max_examples=100, deadline=None)
def test_the_order_is_valid_and_never_worse_than_the_program(choices: list[int]) -> None:
    graph = random_graph(choices)
    order = schedule(graph)
    assert sorted(n.serial for n in order.nodes) == [n.serial for n in program_order(graph)]
    done = {v.node for v in graph.inputs}
    for node in order.nodes:
        assert all(v.node in done or not v.node.inputs for v in node.inputs)
        done.add(node)
    program = program_order(graph)
    assert peak(find_buffers(graph, order.nodes)) <= peak(find_buffers(graph, program))


def test_free_moves_lower_the_peak() -> None:
    x = make_input("x", ga.spec((100,)))
    wide = [ops.broadcast_to(x, (50, 100)) for _ in range(4)]
    wide = [ops.sin(w) for w in wide]
    small = [ops.reduce_sum(w, (0,)) for w in wide]
    total = small[0]
    for s in small[1:]:
        total = ops.add(total, s)
    graph = make([total], [x])
    program = peak(find_buffers(graph, program_order(graph)))
    assert program == 4 * 50 * 100 * 8 + 100 * 8
    found = plan(graph)
    assert found.arena_bytes < 50 * 100 * 8 + 5 * 896 + 1


def test_a_chain_of_elementwise_ops_lives_in_its_result() -> None:
    x = make_input("x", ga.spec((1000,)))
    y = x
    for _ in range(10):
        y = ops.sin(y)
    found = plan(make([y], [x]))
    assert found.arena_bytes == 0
    assert found.peak_bytes == found.result_bytes == 8000
    assert found.lifetimes.in_place == 9


def test_views_share_and_copies_do_not() -> None:
    x = make_input("x", ga.spec((4, 6)))
    y = ops.sin(x)
    flat = ops.reshape(y, (24,))  # a view
    turned = ops.transpose(y, (1, 0))  # a view
    copied = ops.reshape(turned, (24,))  # must copy
    inserted = ops.reshape(turned, (6, 1, 4))  # a view again
    graph = make([ops.add(flat, copied), ops.reduce_sum(inserted, (0, 1, 2))], [x])
    found = lifetimes(Schedule(graph, program_order(graph)))
    assert found.buffer(flat.value) == found.buffer(y.value) == found.buffer(turned.value)
    assert found.buffer(inserted.value) == found.buffer(y.value)
    assert found.buffer(copied.value) != found.buffer(y.value)


def test_in_place_is_not_taken_where_another_operand_sees_the_buffer_otherwise() -> None:
    x = make_input("x", ga.spec((5, 5)))
    y = ops.sin(x)
    z = ops.reduce_sum(ops.add(y, ops.transpose(y, (1, 0))), (0,))
    graph = make([z], [x])
    found = lifetimes(Schedule(graph, program_order(graph)))
    assert found.in_place == 0


def test_homes() -> None:
    x = make_input("x", ga.spec((3,)))
    y = ops.sin(x)
    graph = make([y, x, y, ops.reshape(y, (3, 1))], [x])
    found = lifetimes(Schedule(graph, program_order(graph)))
    assert found.homes[found.buffer(x.value)] == Home.INPUT
    assert found.homes[found.buffer(y.value)] == Home.RESULT
    assert found.places[found.buffer(y.value)] == 0
    assert sorted((c.step, c.index) for c in found.copies) == [(-1, 1), (2, 2), (2, 3)]


@given(
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 2**16),
)
@settings(max_examples=300, deadline=None)
def test_reshape_strides_are_numpys(shape: tuple[int, ...], choice: int) -> None:
    rng = np.random.default_rng(choice)
    x = np.zeros(shape).transpose(rng.permutation(len(shape)))
    for axis, step in enumerate(rng.integers(-2, 3, x.ndim)):
        if step:
            x = x[(*(slice(None),) * axis, slice(None, None, int(step)))]
    if x.size == 0:
        return
    factors = [f for n in (x.shape or (1,)) for f in ([2, n // 2] if n == 4 else [n])]
    rng.shuffle(factors)
    target: list[int] = []
    for f in factors:
        if target and rng.integers(2):
            target[-1] *= f
        else:
            target.append(f)
    strides = reshape_strides(x.shape, [s // 8 for s in x.strides], target)
    reshaped = x.reshape(target)
    shares = np.shares_memory(reshaped, x)
    assert (strides is not None) == shares
    if strides is not None:
        wanted = [s // 8 for s in reshaped.strides]
        assert [s for s, n in zip(strides, target, strict=True) if n > 1] == [
            s for s, n in zip(wanted, target, strict=True) if n > 1
        ]


INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(0, 9)), max_size=40)


@given(INTERVALS)
@settings(max_examples=200, deadline=None)
def test_both_placements_keep_intervals_apart(intervals: list[tuple[int, int, int]]) -> None:
    intervals = sorted(intervals)
    starts = [s for s, _, _ in intervals]
    ends = [s + d for s, d, _ in intervals]
    sizes = [64 * n for _, _, n in intervals]
    for placement in (sweep, pack_by_size):
        offsets, top = placement(starts, ends, sizes)
        assert top == max((o + n for o, n in zip(offsets, sizes, strict=True)), default=0) or not any(sizes)
        for i in range(len(starts)):
            for j in range(i):
                apart = ends[j] < starts[i] or ends[i] < starts[j]
                clear = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
                assert apart or clear


def test_the_checker_finds_overlaps() -> None:
    x = make_input("x", ga.spec((8, 8)))
    a, b = ops.sin(x), ops.cos(x)
    graph = make([ops.reduce_sum(ops.matmul(a, b), (0,))], [x])
    found = lifetimes(Schedule(graph, program_order(graph)))
    arena = place(found)
    check_no_overlap(found, arena)
    wrong = list(arena.offsets)
    wrong[found.buffer(b.value)] = wrong[found.buffer(a.value)]
    with pytest.raises(VerifyError, match="both live"):
        check_no_overlap(found, Arena(wrong, arena.nbytes, arena.lower_bound))
    wrong[found.buffer(b.value)] = arena.nbytes
    with pytest.raises(VerifyError, match="not inside"):
        check_no_overlap(found, Arena(wrong, arena.nbytes, arena.lower_bound))
    wrong[found.buffer(b.value)] = 8
    with pytest.raises(VerifyError, match="not inside"):
        check_no_overlap(found, Arena(wrong, arena.nbytes, arena.lower_bound))


def test_a_training_graph_is_placed_at_the_lower_bound() -> None:
    w = make_input("w", ga.spec((16, 16)))
    x = make_input("x", ga.spec((4, 16)))
    h, kept = x, []
    for _ in range(20):
        kept.append(h)
        h = ops.tanh(ops.matmul(h, w))
    g, gw = h, None
    for h in reversed(kept):
        g = ops.mul(g, ops.cos(ops.matmul(h, w)))
        d = ops.matmul(ops.transpose(h, (1, 0)), g)
        gw = d if gw is None else ops.add(gw, d)
        g = ops.matmul(g, ops.transpose(w, (1, 0)))
    found = plan(make([gw], [w, x]))
    assert found.arena_bytes <= 1.05 * found.lower_bound_bytes
    assert max(found.live_bytes()) == found.lower_bound_bytes


def test_symbolic_graphs_are_refused_by_name() -> None:
    x = make_input("x", ga.spec((ga.dim("batch"), 3)))
    with pytest.raises(SymbolicSizeError, match=r"batch.*graph\.bind"):
        plan(make([ops.sin(x)], [x]))


def test_json_and_the_rectangles_agree_with_the_plan() -> None:
    x = make_input("x", ga.spec((4, 4)))
    y = ops.matmul(ops.sin(x), ops.cos(x))
    found = plan(make([ops.reduce_sum(y, (0,))], [x]))
    data = json.loads(json.dumps(found.to_json()))
    assert data["arena_bytes"] == found.arena_bytes
    assert len(data["steps"]) == len(data["live_bytes"]) == len(found.schedule.nodes)
    assert data["peak_step"] == found.peak_step
    live = [0] * len(data["steps"])
    for b in data["buffers"]:
        assert 0 <= b["offset"] <= data["arena_bytes"] - b["size"]
        for step in range(b["start"], b["end"] + 1):
            live[step] += -(-b["size"] // 64) * 64
    assert live == data["live_bytes"]


def test_stats_count_and_stay_symbolic() -> None:
    batch = ga.dim("batch")
    x = make_input("x", ga.spec((batch, 3)))
    w = make_input("w", ga.spec((3, 4)), "parameter")
    graph = make([ops.sin(ops.matmul(x, w))], [x, w])
    found = stats(graph)
    assert found.ops == 2 and found.by_op == {"matmul": 1, "sin": 1} and found.parameters == 12
    assert found.peak_bytes is None
    bound = stats(graph.bind(batch=5))
    assert str(found.flops) != str(bound.flops) and isinstance(bound.flops, int)
    assert isinstance(bound.peak_bytes, int)
    assert "matmul 1" in str(bound) and json.dumps(found.to_json())


def test_a_chain_of_a_million_nodes_is_planned() -> None:
    from graphad.ir.emit import emit, emitting
    from graphad.ir.location import Location
    from graphad.ir.node import Value

    x = make_input("x", ga.spec((2,)))
    op = ops.sin(x).value.node.op
    value = x.value
    with emitting("forward", Location("chain.py", 1)):
        for _ in range(1_000_000):
            value = Value(emit(op, (value,)), 0)
    graph = Graph("chain", (x.value,), (value,), ("x",), ("out",), *flat_containers(1, 1))
    order = Schedule(graph, program_order(graph))
    found = lifetimes(order)
    assert found.in_place == 999_999 and not found.arena_buffers
    assert schedule(graph).nodes == order.nodes
