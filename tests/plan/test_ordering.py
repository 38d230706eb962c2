"""Orders: proofs agree with trying everything, nothing is above program order, training graphs are settled."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from small_graphs import CHOICES, random_graph
from training_graphs import chain, cnn, mlp, transformer

from graphad.ir.graph import Graph
from graphad.plan.buffers import find_buffers
from graphad.plan.cuts import Cuts, least_held
from graphad.plan.effort import THOROUGH
from graphad.plan.lifetimes import lifetimes
from graphad.plan.ordering import order_tasks
from graphad.plan.plan import plan
from graphad.plan.schedule import Schedule, peak, program_order, schedule
from graphad.plan.tasks import Tasks, all_after, all_before, held_at, make_tasks, peak_of


@st.composite
def problems(draw: st.DrawFn) -> Tasks:
    """Draw up to 9 tasks: each makes a block and reads what some earlier ones made, and blocks nobody makes."""
    count = draw(st.integers(1, 9))
    sizes = draw(st.lists(st.integers(0, 6), min_size=count + 2, max_size=count + 2))
    needs, followers, blocks, reusable = [], [[] for _ in range(count)], [], []
    for task in range(count):
        read = sorted(draw(st.sets(st.integers(0, task - 1), max_size=3))) if task else []
        outside = sorted(draw(st.sets(st.integers(count, count + 1), max_size=1)))
        for other in read:
            followers[other].append(task)
        needs.append(sum(1 << other for other in read))
        blocks.append([task, *read, *outside])
        same = [other for other in read if sizes[other] == sizes[task]]
        reusable.append(same if draw(st.booleans()) else [])
    return make_tasks(needs, followers, blocks, sizes, reusable)


def lowest_peak(tasks: Tasks) -> int:
    """Return the lowest peak of all orders, by going through all sets of tasks that can have run."""
    count = len(tasks.needs)

    def held(done: int) -> int:
        sizes = zip(tasks.touching, tasks.sizes, strict=True)
        return sum(size for touching, size in sizes if touching & done and touching & ~done)

    best = {0: 0}
    for done in range(1 << count):
        if done not in best:
            continue
        for task in range(count):
            bit = 1 << task
            if done & bit or tasks.needs[task] & ~done:
                continue
            live = sum(
                size
                for touching, size in zip(tasks.touching, tasks.sizes, strict=True)
                if touching & (done | bit) and touching & ~done
            )
            made = [tasks.sizes[b] for b in tasks.blocks[task] if not tasks.touching[b] & done]
            dying = [b for b in tasks.reusable[task] if not tasks.touching[b] & ~(done | bit)]
            if sum(made) and dying:
                live -= tasks.sizes[dying[0]]
            reached = max(best[done], live)
            best[done | bit] = min(best.get(done | bit, reached), reached)
            assert live >= held(done) or dying or not made
    return best[(1 << count) - 1]


@given(problems())
@settings(max_examples=400, deadline=None)
def test_the_search_finds_the_lowest_peak_and_knows_it(tasks: Tasks) -> None:
    found = order_tasks(tasks, range(len(tasks.needs)))
    lowest = lowest_peak(tasks)
    assert sorted(found.order) == list(range(len(tasks.needs)))
    assert all(not tasks.needs[task] & ~sum(1 << t for t in found.order[:k]) for k, task in enumerate(found.order))
    assert found.peak == peak_of(tasks, found.order) == lowest == found.bound
    assert found.optimal


def test_tasks_may_be_related_through_several_others() -> None:
    """0 and 1 only raise what is held, and are related by way of 2 and 5: both orders must not be left out."""
    needs = [0, 0, 1, 0, 2, 6, 25]
    followers = [(2, 6), (4, 5), (5,), (6,), (6,), (), ()]
    blocks = [(0,), (1,), (2, 0, 7), (3, 7), (4, 1, 7), (5, 1, 2), (6, 0, 3, 4)]
    tasks = make_tasks(needs, followers, blocks, [1, 1, 0, 1, 1, 0, 0, 1], [()] * 7)
    found = order_tasks(tasks, range(7))
    assert found.peak == found.bound == lowest_peak(tasks) == 4


def held_while(tasks: Tasks, task: int, done: int) -> int:
    """Return the bytes held while a task runs after the tasks `done`, what can be overwritten not counted."""
    early, late = done | 1 << task, ~done
    blocks = zip(tasks.touching, tasks.sizes, strict=True)
    return sum(size for touching, size in blocks if touching & early and touching & late) - max(
        (tasks.sizes[b] for b in tasks.reusable[task]), default=0
    )


@given(problems(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_cut_is_the_least_that_can_be_held_while_a_task_runs(tasks: Tasks, data: st.DataObject) -> None:
    count = len(tasks.needs)
    task = data.draw(st.integers(0, count - 1))
    before, after = all_before(tasks)[task], all_after(tasks)[task]
    sets = [
        done
        for done in range(1 << count)
        if not done & (after | 1 << task)
        and not before & ~done
        and all(not tasks.needs[k] & ~done for k in range(count) if done >> k & 1)
    ]
    forced = data.draw(st.sampled_from(sets))
    possible = {done: held_while(tasks, task, done) for done in sets if not forced & ~done}
    held, widest, _ = least_held(tasks, task, forced, after)
    assert held == min(possible.values()) == possible[widest]
    assert all(not done & ~widest for done, here in possible.items() if here == held)


@given(problems())
@settings(max_examples=200, deadline=None)
def test_what_a_state_promises_is_held_by_all_that_goes_through_it(tasks: Tasks) -> None:
    order = range(len(tasks.needs))
    cuts = Cuts(tasks, order, 4)
    held = held_at(tasks, order)
    assert cuts.bound <= lowest_peak(tasks)
    for k in range(len(order) + 1):
        assert cuts.promise((1 << k) - 1, 0) <= max(held[k:], default=0)


@given(problems(), st.integers(0, 4_000))
@settings(max_examples=200, deadline=None)
def test_a_search_cut_short_still_tells_the_truth(tasks: Tasks, work: int) -> None:
    found = order_tasks(tasks, range(len(tasks.needs)), beam=1, work=work)
    assert found.bound <= lowest_peak(tasks) <= found.peak <= peak_of(tasks, range(len(tasks.needs)))


@given(CHOICES, st.sampled_from([(2, 3), (40, 50)]))
@settings(max_examples=100, deadline=None)
def test_schedules_are_valid_and_never_above_program_order(choices: list[int], sizes: tuple[int, int]) -> None:
    graph = random_graph(choices, sizes)
    order, program = schedule(graph), program_order(graph)
    assert sorted(n.serial for n in order.nodes) == [n.serial for n in program]
    done = {v.node for v in graph.inputs}
    for node in order.nodes:
        assert all(v.node in done or not v.node.inputs for v in node.inputs)
        done.add(node)
    assert peak(find_buffers(graph, order.nodes)) <= peak(find_buffers(graph, program))
    assert order.peak is not None and order.bound is not None and order.bound <= order.peak
    assert schedule(graph).nodes == order.nodes


SETTLED = [
    chain(20),
    chain(20, optimized=False),
    mlp(),
    mlp(optimized=False),
    cnn(),
    cnn(optimized=False),
    *[transformer(blocks) for blocks in (1, 2, 3, 4)],
]


@pytest.mark.parametrize("graph", SETTLED)
def test_training_graphs_have_a_proven_order(graph: Graph) -> None:
    assert schedule(graph).optimal


def test_a_transformer_of_eight_blocks_is_settled_to_a_thousandth() -> None:
    graph = transformer(8)
    found = schedule(graph)
    assert found.peak is not None and found.bound is not None
    assert found.peak <= found.bound * (1 + 1 / 1000)


@pytest.mark.parametrize("graph", [cnn(), cnn(optimized=False), transformer(2)])
def test_what_the_search_counts_is_what_the_arena_holds(graph: Graph) -> None:
    found = plan(graph, effort=THOROUGH)
    order = schedule(graph)
    assert order.nodes == found.schedule.nodes
    assert order.peak is not None
    assert found.lower_bound_bytes <= order.peak + 64 * len(found.lifetimes.arena_buffers)
    plain = lifetimes(Schedule(graph, program_order(graph)))
    assert found.lifetimes.steps != plain.steps
