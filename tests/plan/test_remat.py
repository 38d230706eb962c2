"""Budgets: results keep every bit, plans fit, chains and transformers cost little, errors say what holds memory."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from live_values import check_live_values
from placement_checks import overlapping_pairs
from recomputation_bounds import divided_chain
from small_graphs import CHOICES, random_graph, random_inputs
from training_graphs import chain, cnn, transformer

import graphad as ga
from graphad.execute.reference import Program
from graphad.ir.graph import Graph
from graphad.plan.division import chain_of
from graphad.plan.items import Items
from graphad.plan.plan import Plan, plan
from graphad.plan.policies import POLICIES, Dear, Play, Stuck, cheapest, play, play_below
from graphad.plan.remat import MemoryBudgetError, remat_curve, with_budget, within
from graphad.plan.replay import node_flops, node_seconds


def chain_items(layers: int, reads: int = 1) -> Items:
    """Forward items of one byte each, then steps back: each overwrites the last and reads one forward item, or two."""
    operands: list[tuple[int, ...]] = [(k - 1,) if k else () for k in range(layers)]
    for k in reversed(range(layers)):
        after = (len(operands) - 1,) if len(operands) > layers else ()
        operands.append((*after, *((k,) if reads == 2 else ()), *((k - 1,) if k else ())))
    count = len(operands)
    taken = [(k - 1,) if k > layers else () for k in range(count)]
    fixed = [k == count - 1 for k in range(count)]
    return Items(operands, [1] * count, [1.0] * layers + [0.0] * layers, fixed, taken)


@pytest.mark.parametrize("reads", [1, 2])
@pytest.mark.parametrize("slots", [32, 16, 12, 8, 6])
def test_a_chain_costs_little_more_than_where_it_is_divided_best(reads: int, slots: int) -> None:
    found = cheapest(chain_items(64, reads), slots)
    assert isinstance(found, Play)
    assert 64 + found.extra <= 1.06 * divided_chain(64, slots, reads)


@pytest.mark.parametrize(("slots", "steps"), [(32, 97), (16, 113), (12, 117), (8, 157), (6, 209)])
def test_a_chain_is_divided_best(slots: int, steps: int) -> None:
    found = cheapest(chain_items(64, 2), slots)
    assert isinstance(found, Play)
    assert 64 + found.extra == steps
    assert most_held(chain_items(64, 2), found.order) <= slots


def test_a_chain_of_other_values_has_no_cut() -> None:
    """Each value is read by the two behind it: none alone is."""
    operands: list[tuple[int, ...]] = [tuple(o for o in (k - 2, k - 1) if o >= 0) for k in range(20)]
    operands += [(19 + k, 19 - k) for k in range(20)]
    count = len(operands)
    items = Items(operands, [1] * count, [1.0] * count, [False] * count, [()] * count)
    assert chain_of(items, 20) is None
    assert chain_of(chain_items(64, 2), 64) is not None


@pytest.mark.parametrize(("slots", "steps"), [(32, 97), (16, 113), (12, 117), (8, 157)])
def test_the_best_division_of_a_chain_is_the_optimum_that_is_known(slots: int, steps: int) -> None:
    assert divided_chain(64, slots, 2) == steps


def most_held(items: Items, order: tuple[int, ...]) -> int:
    """Return the most bytes held in an order: each run of an item until the last read before the item's next run."""
    starts: list[int] = []
    ends: list[int] = []
    latest: dict[int, int] = {}
    for step, item in enumerate(order):
        for operand in items.operands[item]:
            ends[latest[operand]] = step  # a KeyError: it was read before it was made
        latest[item] = len(starts)
        starts.append(step)
        ends.append(step)
    for item, fixed in enumerate(items.fixed):
        if fixed:
            ends[latest[item]] = len(order)
    most = 0
    for step, item in enumerate(order):
        live = [k for k in range(len(order)) if starts[k] <= step <= ends[k]]
        held = sum(items.sizes[order[k]] for k in live)
        dying = [o for o in items.overwrites[item] if any(order[k] == o and ends[k] == step for k in live)]
        most = max(most, held - (items.sizes[item] if dying else 0))
    return most


@given(st.integers(4, 24), st.integers(3, 12), st.sampled_from(list(POLICIES)))
@settings(max_examples=100, deadline=None)
def test_plays_keep_their_limit(layers: int, slots: int, policy: str) -> None:
    items = chain_items(layers)
    found = play(items, slots, policy)
    assert isinstance(found, Play)
    assert most_held(items, found.order) <= slots
    assert found.extra == sum(items.seconds[item] for item in found.order) - layers


@given(st.integers(4, 24), st.integers(3, 12), st.sampled_from(list(POLICIES)))
@settings(max_examples=50, deadline=None)
def test_a_play_serves_all_limits_down_to_what_it_holds(layers: int, slots: int, policy: str) -> None:
    items = chain_items(layers)
    items.sizes[:] = [3 + k % 4 for k in range(len(items.sizes))]
    found = play(items, 7 * slots, policy)
    if isinstance(found, Play):
        assert found.held <= 7 * slots
        for limit in (found.held, (found.held + 7 * slots) // 2):
            assert play(items, limit, policy) == found
        assert play_below(items, 7 * slots, policy, found.extra) == found
        assert not found.extra or isinstance(play_below(items, 7 * slots, policy, found.extra - 1), Dear)


def test_the_outline_of_a_play_is_its_plan() -> None:
    graph = chain(24, 40, 16)
    found = within(graph, None, None, plan(graph).peak_bytes // 2)
    steps = [node for node in found.plan.schedule.nodes if not node.op.view]
    free = [node for node in plan(graph).schedule.nodes if not node.op.view]
    assert found.seconds == pytest.approx(sum(map(node_seconds, steps)) - sum(map(node_seconds, free)))
    assert found.flops == sum(map(node_flops, steps)) - sum(map(node_flops, free))


def test_a_limit_below_what_one_item_needs_is_refused() -> None:
    items = Items([(), (), (0, 1)], [4, 4, 4], [1.0] * 3, [False, False, True], [()] * 3)
    assert isinstance(play(items, 12, "by seconds"), Play)
    stuck = cheapest(items, 11)
    assert isinstance(stuck, Stuck) and stuck.item == 2 and stuck.needed == 12


def run(graph: Graph, inputs: list[np.ndarray]) -> list[bytes]:
    return [np.asarray(r).tobytes() for r in Program(plan(graph), {}).run(inputs)]


def check_plan(found: Plan) -> None:
    placed = found.placed()
    columns = ([p.start for p in placed], [p.end for p in placed], [p.size for p in placed], [p.offset for p in placed])
    assert not overlapping_pairs(*columns)
    program = Program(found, {})
    assert program.arena.nbytes == found.arena_bytes
    check_live_values(program)


@given(CHOICES, st.sampled_from([(2, 3), (30, 40)]), st.floats(0.2, 0.95))
@settings(max_examples=100, deadline=None)
def test_random_graphs_keep_their_budget_and_every_bit(
    choices: list[int], sizes: tuple[int, int], share: float
) -> None:
    graph = random_graph(choices, sizes)
    free = plan(graph)
    budget = int(free.peak_bytes * share)
    try:
        kept = with_budget(graph, None, None, budget)
    except MemoryBudgetError as error:
        assert error.smallest > budget
        kept = with_budget(graph, None, None, error.smallest)
        budget = error.smallest
    found = plan(kept.verify())
    assert found.peak_bytes <= budget
    check_plan(found)
    inputs = random_inputs(graph)
    assert run(graph, inputs) == run(kept, inputs)


@pytest.mark.parametrize("share", [0.6, 0.35])
def test_gradients_of_a_chain_are_bit_equal(share: float) -> None:
    graph = chain(24, 40, 16)
    kept = with_budget(graph, None, None, int(plan(graph).peak_bytes * share))
    again = [node for node in kept.nodes if node.role == "recompute"]
    assert again and all(node.replica >= 1 for node in again)
    inputs = random_inputs(graph)
    assert run(graph, inputs) == run(kept, inputs)
    for a, b in zip(ga.compile(graph)(*inputs), ga.compile(kept)(*inputs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_recomputation_survives_common_subexpressions() -> None:
    from graphad.passes.cse import cse

    graph = chain(24, 40, 16)
    kept = with_budget(graph, None, None, plan(graph).peak_bytes // 2)
    assert len(ga.optimize(kept, passes=(cse,)).nodes) == len(kept.nodes)


@pytest.mark.parametrize(("share", "most"), [(0.5, 0.05), (0.3, 0.15)])
def test_a_transformer_of_eight_blocks_costs_few_operations(share: float, most: float) -> None:
    graph = transformer(8)
    free = plan(graph)
    budget = int(free.arena_bytes * share) + free.result_bytes
    found = within(graph, None, None, budget)
    total = sum(int(n.op.flops(n.input_types, n.types)) for n in free.schedule.nodes if not n.op.view)
    assert found.plan.peak_bytes <= budget
    assert found.flops <= most * total


def test_a_bigger_budget_never_costs_more() -> None:
    graph = chain(30, 40, 16)
    peak = plan(graph).peak_bytes
    points = remat_curve(graph, [int(peak * k / 8) for k in (0.5, 2, 3, 4, 6, 9)])
    assert points[0].peak is None and points[-1].extra_flops == 0
    feasible = [p for p in points if p.peak is not None]
    assert all(p.peak <= p.budget for p in feasible)
    assert all(a.seconds >= b.seconds for a, b in pairwise(feasible))


@given(CHOICES, st.lists(st.floats(0.2, 1.1), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_separate_budgets_cost_less_the_bigger_they_are(choices: list[int], shares: list[float]) -> None:
    graph = random_graph(choices, (30, 40))
    peak = plan(graph).peak_bytes
    costs = []
    for share in sorted(shares):
        try:
            costs.append(within(graph, None, None, int(peak * share)).seconds)
        except MemoryBudgetError:
            assert not costs  # what fits a budget fits a bigger one
    assert all(a >= b for a, b in pairwise(costs))


def test_the_error_names_the_least_and_what_holds_it() -> None:
    graph = cnn()
    with pytest.raises(MemoryBudgetError, match=r"(?s)does not fit into 1,000 bytes.*training_graphs\.py") as raised:
        with_budget(graph, None, None, 1_000)
    smallest = raised.value.smallest
    assert f"{smallest:,}" in str(raised.value)
    assert plan(with_budget(graph, None, None, smallest)).peak_bytes <= smallest


def test_a_graph_that_fits_is_returned_as_it_is() -> None:
    graph = chain(5)
    assert with_budget(graph, None, None, plan(graph).peak_bytes) is graph
