"""Replay: what a scheduled graph looks like to policies, and the graph that their play of it comes to.

An item is one value that a step makes. A step that makes several runs once for all of them; when one of them is made
again, it runs as an op that gives only this one where there is such an op (`Op.part`), from what the others gave if it
must, and as a whole otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import TensorType
from graphad.plan.arena import aligned
from graphad.plan.buffers import Buffers, Home, byte_size, find_buffers
from graphad.plan.items import Items
from graphad.plan.plan import Plan
from graphad.plan.policies import Play
from graphad.plan.schedule import overwritable

FLOPS = 5e10
"""Floating-point operations a second of one ordinary core."""

BANDWIDTH = 1.2e10
"""Bytes a second it reads and writes."""

CACHED_BANDWIDTH = 4e10
"""Bytes a second where all that a step touches lies in a core's cache."""

CACHE = 1 << 20
"""Bytes of that."""

STEP = 1e-7
"""Seconds that a step takes at least."""

Part = tuple[Op, tuple[int, ...]]
"""An op, and the positions of those it reads among a node's operands and, behind them, its results."""


def node_flops(node: Node) -> int:
    """Return the floating-point operations of a node; none of a view."""
    return 0 if node.op.view else int(node.op.flops(node.input_types, node.types))


def node_seconds(node: Node) -> float:
    """Return a roofline estimate of the time a node takes: by arithmetic or by memory, whichever is longer."""
    return _roofline(node.op, node.input_types, node.types)


def _roofline(op: Op, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> float:
    moved = sum([byte_size(t) for t in (*operands, *results)])
    flops = 0 if op.view else int(op.flops(operands, results))
    return max(flops / FLOPS, moved / (BANDWIDTH if moved > CACHE else CACHED_BANDWIDTH), STEP)


@frozen(slots=True, eq=False)
class _Run:
    """One run of a step in a play.

    Attributes:
        node: what runs.
        results: those that count.
        given: the other results, which earlier runs gave; none where it runs as a whole.
        sources: which run each buffer comes from that it may read.
    """

    node: Node
    results: tuple[int, ...]
    given: tuple[int, ...]
    sources: Mapping[int, int]


@frozen(slots=True, eq=False)
class Outline:
    """What a play comes to, before its graph is made and planned.

    Attributes:
        runs: its runs; those without `wanted` results are left out.
        wanted: by run, which results of its node are read before they are made again, or are results of the graph.
        seconds, flops: estimate of the time, and the floating-point operations, of all runs.
        live: most bytes that are live at a time; order and placement of the new graph may still change that a little.
    """

    runs: list[_Run]
    wanted: list[tuple[int, ...]]
    seconds: float
    flops: int
    live: int


def _operand(node: Node, position: int) -> Value:
    """Return what stands at a position among the operands of a node and, behind them, its results."""
    count = len(node.inputs)
    return node.inputs[position] if position < count else Value(node, position - count)


class Replay:
    """The items of a plan.

    Attributes:
        items: as policies take them; of a step's results the first comes last, for what it overwrites dies last, unless
            others are made again from it.
    """

    def __init__(self, start: Plan) -> None:
        self.buffers = find_buffers(start.graph, start.schedule.nodes)
        self.parts: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Part | None] = {}
        self.costs: dict[tuple[Node, tuple[int, ...], tuple[int, ...]], tuple[float, int]] = {}
        self.reads: dict[tuple[Node, tuple[int, ...], tuple[int, ...]], list[int]] = {}
        self.first = next((b for b, step in enumerate(self.buffers.made_at) if step >= 0), len(self.buffers.sizes))
        self.results: list[tuple[int, int]] = []
        """Step and index of the result that each item is."""
        self.item_of: dict[int, int] = {}
        """By the buffer that an item is."""
        self.items = self._described(start, self.buffers)

    def _described(self, start: Plan, buffers: Buffers) -> Items:
        """Describe the results of steps as items; what lies in results or state takes no bytes of the arena."""
        found = start.lifetimes
        outputs = set(start.graph.outputs)
        in_place = set(buffers.in_place_steps)
        pinned = {buffers.buffer_of[buffers.number[value[0]] + value[1]] for value in start.graph.outputs}
        items = Items([], [], [], [], [])
        first_of: dict[int, int] = {}
        for b in range(self.first, len(buffers.sizes)):
            first_of.setdefault(buffers.made_at[b], b)
        for step, first in first_of.items():
            node = buffers.steps[step]
            begin = len(self.results)
            whole = sum([aligned(byte_size(t)) for t in node.types])
            for index, part in self._single_results(node):
                self.item_of[first + index] = len(self.results)
                self.results.append((step, index))
                op, positions = part or (node.op, tuple(range(len(node.inputs))))
                operands = [_operand(node, k) for k in positions]
                reads = [self._buffer(each) for each in operands]
                made_by = [self.item_of[b] for b in reads if b >= self.first]
                items.operands.append(tuple(dict.fromkeys(made_by)))
                value = Value(node, index)
                size = aligned(byte_size(value.type)) if found.homes[found.buffer(value)] == Home.ARENA else 0
                items.sizes.append(size)
                kept = node.types if part is None else (node.types[index],)
                items.seconds.append(_roofline(op, tuple([each.type for each in operands]), kept))
                items.fixed.append(value in outputs or not size or first + index in pinned)
                taken = overwritable(buffers, step) if index == 0 and step in in_place else []
                items.overwrites.append(tuple([self.item_of[b] for b in taken if b >= self.first]))
                items.steps.append(begin)
                items.aside.append(whole - aligned(byte_size(value.type)) if part is None else 0)
                alone = self._part(node, (index,), ()) is not None
                items.tied.append(not alone)
                items.spared.append(self._spared(node, index) if alone else 0.0)
        return items

    def _single_results(self, node: Node) -> list[tuple[int, Part | None]]:
        """Return the results of a node with the op that gives only them, each after those that this reads."""
        count, operands = len(node.types), len(node.inputs)
        parts = [self._part(node, (index,), tuple([k for k in range(count) if k != index])) for index in range(count)]
        found: dict[int, Part | None] = {}

        def append(index: int) -> None:
            part = parts[index]
            for position in part[1] if part else ():
                if position >= operands:
                    append(position - operands)
            found.setdefault(index, part)

        for index in reversed(range(count)):
            append(index)
        return list(found.items())

    def _spared(self, node: Node, index: int) -> float:
        """Return the seconds that a node takes less without one of its results."""
        others = tuple([k for k in range(len(node.types)) if k != index])
        part = self._part(node, others, ()) if others else None
        if part is None:
            return 0.0
        op, positions = part
        operands = tuple([node.inputs[k].type for k in positions])
        return max(node_seconds(node) - _roofline(op, operands, tuple([node.types[k] for k in others])), 0.0)

    def _buffer(self, value: Value) -> int:
        return self.buffers.buffer_of[self.buffers.number[value[0]] + value[1]]

    def _part(self, node: Node, results: tuple[int, ...], given: tuple[int, ...]) -> Part | None:
        """Return the op that gives only these results of a node, from those given; None where it only gives all."""
        if len(results) == len(node.types):
            return node.op, tuple(range(len(node.inputs)))
        key = id(node.op), results, given
        if key not in self.parts:
            self.parts[key] = node.op.part(results, given)
        return self.parts[key]

    def outline(self, play: Play) -> Outline:
        """Return which runs of a play are needed, what they cost and how much they hold."""
        runs = self._runs(play)
        wanted = self._wanted(runs)
        costs = [self._cost(run, results) for run, results in zip(runs, wanted, strict=True) if results]
        seconds, flops = sum([cost[0] for cost in costs]), sum([cost[1] for cost in costs])
        return Outline(runs, wanted, seconds, flops, self._live(runs, wanted))

    def graph(self, outline: Outline) -> Graph:
        """Return the graph whose steps run as in a play; those that come again are recomputation."""
        return _Rebuilder(self, outline.runs).graph(outline.wanted)

    def _cost(self, run: _Run, results: tuple[int, ...]) -> tuple[float, int]:
        """Return the seconds and the floating-point operations of a run that gives these results only."""
        node = run.node
        key = node, results, run.given
        found = self.costs.get(key)
        if found is None:
            part = self._part(*key)
            if node.op.view:
                found = 0.0, 0
            elif part is None or len(results) == len(node.types):
                found = node_seconds(node), node_flops(node)
            else:
                op, positions = part
                operands = tuple([_operand(node, k).type for k in positions])
                types = tuple([node.types[k] for k in results])
                found = _roofline(op, operands, types), int(op.flops(operands, types))
            self.costs[key] = found
        return found

    def _live(self, runs: list[_Run], wanted: list[tuple[int, ...]]) -> int:
        """Return the most bytes of the arena that are live while a run goes on."""
        sizes, fixed, overwrites = self.items.sizes, self.items.fixed, self.items.overwrites
        ends: list[dict[int, int]] = [{} for _ in runs]  # by run and buffer that it makes, the last run that reads it
        dying: list[list[int]] = [[] for _ in runs]
        for k, (run, results) in enumerate(zip(runs, wanted, strict=True)):
            if results:
                for b in self._reads(run, results):
                    ends[run.sources[b]][b] = k
        for k, (run, results) in enumerate(zip(runs, wanted, strict=True)):
            lowest = self._buffer(Value(run.node, 0))
            for index in results:
                item = self.item_of[lowest + index]
                end = len(runs) if fixed[item] else ends[k].get(lowest + index, k)
                if end < len(runs):
                    dying[end].append(item)
        live = most = 0
        for run, results, gone in zip(runs, wanted, dying, strict=True):
            if not results:
                continue
            lowest = self._buffer(Value(run.node, 0))
            made = [self.item_of[lowest + index] for index in results]
            live += sum([sizes[item] for item in made])
            taken = any(o in gone and sizes[o] == sizes[made[0]] for o in overwrites[made[0]])
            most = max(most, live - sizes[made[0]] if taken else live)
            live -= sum([sizes[item] for item in gone])
        return most

    def _reads(self, run: _Run, results: tuple[int, ...]) -> list[int]:
        """Return the buffers made by steps that a run reads where it gives these results only."""
        node = run.node
        key = node, results, run.given
        found = self.reads.get(key)
        if found is None:
            part = self._part(*key)
            positions = part[1] if part else range(len(node.inputs))
            buffers = [self._buffer(_operand(node, position)) for position in positions]
            found = self.reads[key] = [b for b in dict.fromkeys(buffers) if b >= self.first]
        return found

    def _runs(self, play: Play) -> list[_Run]:
        """Return the runs of a play, of all their results, with where what they read comes from."""
        runs: list[_Run] = []
        latest: dict[int, int] = {}  # by buffer, the run that made it last
        at = 0
        order, numbers = play.order, play.runs
        buffers = self.buffers
        while at < len(order):
            end = at
            while end < len(order) and numbers[end] == numbers[at]:
                end += 1
            step = self.results[order[at]][0]
            results = tuple(sorted([self.results[item][1] for item in order[at:end]]))
            reads = buffers.reads[buffers.first_read[step] : buffers.first_read[step + 1]]
            sources = {b: latest[b] for b in reads if b >= self.first}
            node = buffers.steps[step]
            lowest = self._buffer(Value(node, 0))
            given = tuple([index for index in range(len(node.types)) if index not in results])
            if given and self._part(node, results, given):
                made = results
                sources.update([(lowest + index, latest[lowest + index]) for index in given])
            else:
                made, given = tuple(range(len(node.types))), ()
            for index in results:
                latest[lowest + index] = len(runs)
            runs.append(_Run(node, made, given, sources))
            at = end
        self.latest = latest
        return runs

    def _wanted(self, runs: list[_Run]) -> list[tuple[int, ...]]:
        """Return which results of each run are read before they are made again, or are results of the graph."""
        wanted: list[set[int]] = [set() for _ in runs]
        for value in self.buffers.graph.outputs:
            b = self._buffer(value)
            if b >= self.first:
                wanted[self.latest[b]].add(b)
        found: list[tuple[int, ...]] = [()] * len(runs)
        for k in reversed(range(len(runs))):
            run = runs[k]
            if not wanted[k]:
                continue
            lowest = self._buffer(Value(run.node, 0))
            results = tuple(sorted([b - lowest for b in wanted[k]]))
            part = self._part(run.node, results, run.given)
            found[k] = results if part else tuple(range(len(run.node.types)))
            for b in self._reads(run, found[k]):
                wanted[run.sources[b]].add(b)
        return found


class _Rebuilder:
    """Makes the nodes of a play."""

    def __init__(self, replay: Replay, runs: list[_Run]) -> None:
        self.replay, self.runs = replay, runs
        self.now: dict[Value, Value] = {}  # the copy of each value that was made last
        self.times: dict[Value, int] = {}
        self.views: dict[tuple[Node, Value], Node] = {}

    def graph(self, wanted: list[tuple[int, ...]]) -> Graph:
        for run, results in zip(self.runs, wanted, strict=True):
            if results:
                self._run(run.node, results, run.given)
        old = self.replay.buffers.graph
        return Graph(
            old.name,
            old.inputs,
            tuple([self._current(value) for value in old.outputs]),
            old.input_names,
            old.output_names,
            old.input_container,
            old.output_container,
            old.initial,
            old.assumptions,
        )

    def _run(self, node: Node, results: tuple[int, ...], given: tuple[int, ...]) -> None:
        part = self.replay._part(node, results, given)
        op, positions = part or (node.op, range(len(node.inputs)))
        made = [Value(node, index) for index in results]
        times = max([self.times.get(value, -1) for value in made]) + 1
        inputs = tuple([self._current(_operand(node, k)) for k in positions])
        copy = _copy(node, op, inputs, tuple([value.type for value in made]), times)
        for k, value in enumerate(made):
            self.times[value] = times
            self.now[value] = Value(copy, k)

    def _current(self, value: Value) -> Value:
        """Return what stands for a value now; views are put in over the copy of what they view."""
        path: list[Node] = []
        node, index = value
        while Value(node, index) not in self.now and type(node.op) is not Input and type(node.op) is not Constant:
            path.append(node)
            node, index = node.inputs[0]
        at = self.now.get(Value(node, index), Value(node, index))
        for view in reversed(path):
            made = self.views.get((view, at))
            if made is None:
                inputs = (at, *map(self._current, view.inputs[1:]))
                made = self.views[view, at] = _copy(view, view.op, inputs, view.types, at.node.replica)
            at = Value(made, 0)
        return at


def _copy(node: Node, op: Op, inputs: tuple[Value, ...], types: tuple[TensorType, ...], times: int) -> Node:
    """Return a node like this one for the first time, and as recomputation from then on."""
    role = "recompute" if times else node.role
    return Node(op, inputs, types, node.location, node.scope, role, node.replica + times)
