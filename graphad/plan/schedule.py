"""Schedule: the order in which the nodes of a graph run.

The order starts from the program's and takes every *free move*: a ready step that leaves no more bytes live than
before, and that fits under the peak so far, runs at once. Steps without operands (zeros, iota) run just before their
first use. Graphs of up to `SEARCH_UP_TO` steps are searched on (`graphad.plan.ordering`), with what the arena will do
in mind: results lie outside it, and a step that may overwrite a dying operand does. Of these orders the one with the
lowest peak is kept, and never one above program order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node
from graphad.loading import LateModule
from graphad.plan.buffers import Buffers, Home, find_buffers, is_step, live_profile
from graphad.plan.effort import THOROUGH, Effort

if TYPE_CHECKING:
    import heapq

    from graphad.plan.tasks import Tasks
else:
    heapq = LateModule("heapq")  # few graphs hold anything back

SEARCH_UP_TO = 2_000
"""Steps of a graph that is searched: beyond, only free moves, in linear time."""
SEARCH_READS_UP_TO = 8 * SEARCH_UP_TO
"""The same of the buffers that its steps read, each counted: the effort grows with them as well."""


@frozen(eq=False)
class Schedule:
    """The computing nodes of `graph` in the order they run; arguments and constants are there before the first.

    Attributes:
        graph: the graph.
        nodes: the order.
        peak: most bytes of the arena live at once, before placement and alignment, as the search counts them; None
            where nothing was searched.
        bound: no order has a lower peak than this; None where nothing was searched.
    """

    graph: Graph
    nodes: tuple[Node, ...]
    peak: int | None = None
    bound: int | None = None

    @property
    def optimal(self) -> bool:
        """Tell whether it is proven that no order of this graph has a lower peak."""
        return self.peak is not None and self.peak == self.bound

    def to_json(self) -> list[str]:
        """Return the names of the ops in order."""
        return [node.op.name for node in self.nodes]


def program_order(graph: Graph) -> tuple[Node, ...]:
    """Return the computing nodes in the order they were made; where some are recomputation, these and views wait.

    They stand just before what first needs them. Passes make nodes anew and leave others as they are, so
    recomputation may come to stand long before its time.
    """
    nodes = [node for node in graph.nodes if is_step(node)]
    if not any(node.role == "recompute" for node in nodes):
        return tuple(nodes)
    due = {node: k for k, node in enumerate(nodes)}
    first = dict.fromkeys(nodes, len(nodes))
    for node in reversed(nodes):
        if (node.role == "recompute" or node.op.view) and first[node] < len(nodes):
            due[node] = first[node]
        for operand, _ in node.inputs:
            if operand in first:
                first[operand] = min(first[operand], due[node])
    return tuple(sorted(nodes, key=due.__getitem__))  # stable: what is due at the same time keeps its order


def schedule(graph: Graph) -> Schedule:
    """Choose an order with a low peak of live memory: by search for small graphs, in linear time for large ones."""
    return schedule_with_buffers(graph)[0]


def schedule_with_buffers(
    graph: Graph, effort: Effort = THOROUGH, updates: Mapping[int, int | None] | None = None
) -> tuple[Schedule, Buffers]:
    """Choose an order as `schedule` does; returns it with the buffers of the graph under it.

    Args:
        graph: the graph.
        effort: how much is done for a better order.
        updates: which inputs are state (by position), and the output each takes as its next value; steps that make
            these are moved behind the last reader of the old value, where that spares a copy.
    """
    order, buffers = _ordered(graph, effort)
    if not updates:
        return order, buffers
    from graphad.plan.state_updates import late_updates

    late = late_updates(buffers, updates)
    if late is None:
        return order, buffers
    makers = set(buffers.made_at)
    steps = with_views_and_sources(buffers, [k for k in late if k in makers])
    buffers = find_buffers(graph, tuple([buffers.steps[k] for k in steps]))
    return Schedule(graph, tuple(buffers.steps), order.peak, order.bound), buffers


def _ordered(graph: Graph, effort: Effort) -> tuple[Schedule, Buffers]:
    program = program_order(graph)
    buffers = find_buffers(graph, program)
    moved = with_views_and_sources(buffers, free_moves(buffers))
    small = len(program) <= SEARCH_UP_TO and len(buffers.reads) <= SEARCH_READS_UP_TO
    if small and peak(buffers) >= effort.smallest:
        return _searched(buffers, moved, effort)
    if moved != list(range(len(program))):
        other = find_buffers(graph, tuple([program[k] for k in moved]))
        if peak(other) < peak(buffers):
            buffers = other
    return Schedule(graph, tuple(buffers.steps)), buffers


def _searched(buffers: Buffers, moved: list[int], effort: Effort) -> tuple[Schedule, Buffers]:
    """Search from program order and the order `moved`; an order is only taken where `peak` is not above program's."""
    from graphad.plan.ordering import order_tasks
    from graphad.plan.tasks import peak_of

    program = buffers.steps
    problem = arena_tasks(buffers)
    tasks, number = problem.tasks, {step: task for task, step in enumerate(problem.steps)}
    plain = list(range(len(problem.steps)))
    eager = [number[step] for step in moved if step in number]
    highest = peak(buffers)
    other = find_buffers(buffers.graph, tuple([program[k] for k in moved]))
    started = [(peak_of(tasks, plain), highest, buffers)]
    if peak(other) <= highest:
        started.append((peak_of(tasks, eager), peak(other), other))
    lowest, _, best = min(started, key=lambda each: each[:2])
    if any(node.role == "recompute" for node in program):
        # Recomputation stands where whoever put it there wanted it.
        return Schedule(buffers.graph, tuple(best.steps)), best
    found = order_tasks(tasks, eager if best is other else plain, effort.beam, effort.work)
    if found.peak < lowest:
        steps = with_views_and_sources(buffers, [problem.steps[task] for task in found.order])
        candidate = find_buffers(buffers.graph, tuple([program[k] for k in steps]))
        if peak(candidate) <= highest:
            lowest, best = found.peak, candidate
    return Schedule(buffers.graph, tuple(best.steps), lowest, found.bound), best


@frozen(eq=False)
class ArenaTasks:
    """The steps of a graph as tasks over blocks of the arena; `steps` says which step each task is."""

    tasks: Tasks
    steps: list[int]


def arena_tasks(buffers: Buffers) -> ArenaTasks:
    """Describe the steps that make buffers as tasks: blocks are the arena's buffers, results have no bytes in it.

    A result that overwrites the only operand that can die there shares its block. Steps without operands are no tasks:
    they run before their first reader, which then holds what they make.
    """
    from graphad.plan.tasks import make_tasks

    nodes = buffers.steps
    made, read, users, _ = _neighbours(buffers)
    steps = [k for k, node in enumerate(nodes) if made[k] and node.inputs]
    number = {step: task for task, step in enumerate(steps)}
    results = {buffers.buffer_of[buffers.number[value[0]] + value[1]] for value in buffers.graph.outputs}
    group = list(range(len(buffers.sizes)))
    reusable: list[list[int]] = [[] for _ in steps]
    for step in reversed(buffers.in_place_steps):
        if step not in number:
            continue
        target = made[step][0]
        for b in overwritable(buffers, step):
            if b in results:
                continue
            if len(users[b]) == 1:
                group[b] = group[target]
                reusable[number[step]] = []
                break
            reusable[number[step]].append(b)
    needs = [0] * len(steps)
    followers: list[list[int]] = [[] for _ in steps]
    position: dict[int, int] = {}
    blocks: list[list[int]] = [[] for _ in steps]
    outside = {group[b] for b in results}
    for task, step in enumerate(steps):
        for b in read[step]:
            maker = number.get(buffers.made_at[b], -1)
            if maker >= 0 and not needs[task] >> maker & 1:
                needs[task] |= 1 << maker
                followers[maker].append(task)
        for b in {group[b] for b in (*made[step], *read[step]) if buffers.homes[b] == Home.ARENA} - outside:
            blocks[task].append(position.setdefault(b, len(position)))
    tasks = make_tasks(
        needs,
        followers,
        blocks,
        [buffers.sizes[b] for b in position],
        [[position[group[b]] for b in found if group[b] in position] for found in reusable],
    )
    return ArenaTasks(tasks, steps)


def overwritable(buffers: Buffers, step: int) -> list[int]:
    """Return the buffers that the result of a step may overwrite if they die there, in the order they are tried."""
    node = buffers.steps[step]
    allowed = node.op.overwrites
    found: list[int] = []
    spared: set[int] = set()
    for position, (operand, index) in enumerate(node.inputs):
        value = buffers.number[operand] + index
        b = buffers.buffer_of[value]
        if value in buffers.strided or (allowed is not None and position not in allowed):
            spared.add(b)
        elif buffers.homes[b] == Home.ARENA and b not in found and operand.types[index] == node.types[0]:
            found.append(b)
    return [b for b in found if b not in spared]


def peak(buffers: Buffers) -> int:
    """Return the most bytes that steps have made and still need, at any step of the order `buffers` was found for."""
    return int(live_profile(buffers).max(initial=0))


def free_moves(buffers: Buffers) -> list[int]:
    """Return an order of the steps that make buffers: the given one, but free steps run as soon as they are ready."""
    steps = len(buffers.steps)
    made, read, users, waiting = _neighbours(buffers)
    sizes = buffers.sizes
    # Readers left of each buffer, and the sum of their steps: when one is left, the sum is that reader.
    left = [len(u) for u in users]
    sum_left = [sum(u) for u in users]
    pinned = {buffers.buffer_of[buffers.number[value[0]] + value[1]] for value in buffers.graph.outputs}
    pinned.update([b for b, home in enumerate(buffers.homes) if home != Home.ARENA])
    for b in pinned:
        left[b] += 2  # there is always another reader: they are never freed
    done = bytearray(steps)
    order: list[int] = []
    live = top = 0
    ready: list[int] = []  # steps that have just become ready, or the last reader of something
    held: list[tuple[int, int]] = []  # free steps by the bytes they make, as a heap: they did not fit under the peak

    def needs(step: int) -> tuple[int, int]:
        """Bytes that a step makes, and bytes it frees."""
        new = sum([sizes[b] for b in made[step]])
        old = sum([sizes[b] for b in read[step] if left[b] == 1])
        return new, old

    def run(step: int, new: int, old: int) -> None:
        nonlocal live, top
        done[step] = 1
        order.append(step)
        top = max(top, live + new)
        live += new - old
        for b in read[step]:
            left[b] -= 1
            sum_left[b] -= step
            if left[b] == 1:
                ready.append(sum_left[b])
        for b in made[step]:
            if not left[b]:
                live -= sizes[b]
            for user in users[b]:
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)

    for next_step in range(steps):
        if done[next_step] or not made[next_step]:
            continue
        # The next step of the program sets the peak at least this high, so free steps may go as high before it.
        limit = max(top, live + sum([sizes[b] for b in made[next_step]]))
        while ready or (held and live + held[0][0] <= limit):
            step = ready.pop() if ready else heapq.heappop(held)[1]
            if done[step] or waiting[step]:
                continue
            new, old = needs(step)
            if new > old:
                continue
            if live + new <= limit:
                run(step, new, old)
            else:
                heapq.heappush(held, (new, step))
        if not done[next_step]:
            run(next_step, *needs(next_step))
    return order


def _neighbours(buffers: Buffers) -> tuple[list[list[int]], list[set[int]], list[list[int]], list[int]]:
    """Return what each step makes and reads, the steps that read each buffer, and how many buffers each step awaits."""
    steps = len(buffers.steps)
    made: list[list[int]] = [[] for _ in range(steps)]
    for b, step in enumerate(buffers.made_at):
        if step >= 0:
            made[step].append(b)
    users: list[list[int]] = [[] for _ in buffers.sizes]
    waiting = [0] * steps
    reads, first, made_at = buffers.reads, buffers.first_read, buffers.made_at
    read = [set(reads[first[step] : first[step + 1]]) for step in range(steps)]
    for step, found in enumerate(read):
        for b in found:
            users[b].append(step)
            if made_at[b] >= 0:
                waiting[step] += 1
    return made, read, users, waiting


def with_views_and_sources(buffers: Buffers, order: Sequence[int]) -> list[int]:
    """Return `order` with views put in right after what they view, and sources moved to before their first reader."""
    steps = buffers.steps
    makes = bytearray(len(steps))
    for step in buffers.made_at:
        if step >= 0:
            makes[step] = 1
    step_of = {node: step for step, node in enumerate(steps)}
    views: dict[int, list[int]] = {}
    result: list[int] = []
    for step, node in enumerate(steps):
        if not makes[step]:
            viewed = step_of.get(node.inputs[0][0])
            if viewed is None:
                viewed = -1  # an argument or a constant
            views.setdefault(viewed, []).append(step)
    placed = bytearray(len(steps))

    def place(step: int) -> None:
        stack = [step]
        while stack:
            step = stack.pop()
            if step >= 0:
                placed[step] = 1
                result.append(step)
            stack += reversed(views.get(step, ()))

    place(-1)
    for step in order:
        if not steps[step].inputs:
            continue
        for b in buffers.reads[buffers.first_read[step] : buffers.first_read[step + 1]]:
            source = buffers.made_at[b]
            if source >= 0 and not placed[source] and not steps[source].inputs:
                place(source)
        place(step)
    for step in order:
        if not placed[step]:
            place(step)
    return result
