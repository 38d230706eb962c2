"""The rewrite driver: one sweep over a graph in topological order, each node brought to its normal form.

Patterns look from a node down at its operands. Once all operands of a node are in normal form, rewriting the node (and
what its replacement consists of) until no rule fires gives its normal form for good, so one sweep with a worklist
reaches the fixed point, in time linear in the nodes and the rewrites.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from graphad.ir.dims import recording
from graphad.ir.emit import Emission, emitting, follow
from graphad.ir.errors import GraphadError, PassError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.passes.patterns import COMMUTATIVE, Matcher, OperandClasses
from graphad.passes.rules import Rule

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

REWRITES_OF_ONE_NODE = 1000
"""After this many rewrites that started at one node (and four for each node of the graph), rules run in a circle."""

Results = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One step of the history: `rule` replaced `node` by `value`."""

    rule: str
    node: Node
    value: Value

    @property
    def before(self) -> str:
        """Return the replaced node, two levels deep, as text."""
        return describe(Value(self.node, 0))

    @property
    def after(self) -> str:
        """Return the replacement, two levels deep, as text."""
        return describe(self.value)

    def __str__(self) -> str:
        where = f"  # {self.node.location.short}" if self.node.location else ""
        return f"{self.rule}: {self.before} -> {self.after}{where}"


@dataclass
class Journal:
    """What one run of a pass did: the rewrites in order, how often each rule fired, what became unreachable."""

    rewrites: list[Rewrite] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    fast_math: bool = False
    started: float = field(default_factory=time.perf_counter)

    def note(self, rule: str, node: Node, value: Value) -> None:
        """Record one rewrite."""
        self.rewrites.append(Rewrite(rule, node, value))
        self.counts[rule] += 1


class Pass(Protocol):
    """A named function from graph to graph that writes down what it did."""

    @property
    def name(self) -> str:
        """The name in reports and in `passes=`."""

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Return the rewritten graph."""


def describe(value: Value, depth: int = 2) -> str:
    """Return a value as short text: ``mul(add(x, exp), 2.0)``."""
    op = value.node.op
    if type(op) is Input:
        return op.label
    if type(op) is Constant:
        array = op.array
        return repr(array.item()) if array.size == 1 else f"constant:{value.type}"
    attributes = ", ".join(f"{k}={v}" for k, v in vars(op).items() if not isinstance(v, Graph))
    head = op.name + (f"[{attributes}]" if attributes else "")
    if depth == 0:
        return head
    return f"{head}({', '.join(describe(v, depth - 1) for v in value.node.inputs)})"


def sweep(graph: Graph, visit: Callable[[Node], Results | None]) -> Graph:
    """Rebuild a graph front to back: `visit` gets each node with its operands replaced already, and returns the values
    to use for its results, or None to keep it. Nodes that do not change are shared with the old graph.
    """
    final: dict[Node, Results] = {}
    with recording() as assumptions, emitting():
        for node in graph.nodes[len(graph.inputs) :]:
            current = updated(node, final)
            results = visit(current)
            if results is not None:
                final[node] = results
            elif current is not node:
                final[node] = current.outputs
    if not final:
        return graph
    return graph.with_outputs(latest(graph.outputs, final), assumptions=assumptions)


def updated(node: Node, final: Mapping[Node, Results]) -> Node:
    """Return the node with operands as `final` has them: itself where none of their nodes is there."""
    for value in node.inputs:
        if value[0] in final:
            return node.with_inputs(latest(node.inputs, final))
    return node


def latest(values: tuple[Value, ...], final: Mapping[Node, Results]) -> Results:
    """Return what became of values, by what the results of their nodes became."""
    return tuple([final[value[0]][value[1]] if value[0] in final else value for value in values])


def imitate(here: Emission, node: Node) -> None:
    """Let new nodes take line, scope, role and replica of `node`."""
    follow(node)
    here.role = node.role
    here.replica = node.replica


@dataclass(frozen=True)
class RewritePass:
    """A pass made of rules."""

    name: str
    text: str
    rules: tuple[Rule, ...]

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Rewrite until no rule applies."""
        rules = [r for r in self.rules if journal.fast_math or not r.fast_math]
        return rewrite(graph, rules, journal)


def node_key(node: Node) -> Any:
    """Return what two nodes share when they compute the same: op, operands (in any order where that is all the same to
    the op) and replica.
    """
    return key_on(node, node.inputs)


def key_on(node: Node, inputs: tuple[Value, ...]) -> Any:
    """Return the `node_key` that a node would have with these operands."""
    op = node.op
    if len(inputs) == 2 and op.name in COMMUTATIVE:
        a, b = inputs
        if (b[0].serial, b[1]) < (a[0].serial, a[1]):
            inputs = (b, a)
    return op_key(op), inputs, node.replica


_HASH_WITHOUT_ATTRIBUTES = Op.__hash__


def op_key(op: Op) -> Op | type[Op]:
    """Return what equal ops share: the op, or its class where it has no attributes, whose hash costs a fifth."""
    kind = type(op)
    return kind if kind.__hash__ is _HASH_WITHOUT_ATTRIBUTES else op


class _Index:
    """Which rules to try on a node, by its op class and those of its operands: most fail on these already."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.by_root: dict[type[Op], list[tuple[Rule, OperandClasses, Matcher]]] = {}
        for rule in rules:
            for cls, operands, matcher in rule.roots():
                self.by_root.setdefault(cls, []).append((rule, operands, matcher))
        self.by_classes: dict[tuple[type[Op], ...], list[tuple[Rule, Matcher]]] = {}

    def candidates(self, node: Node) -> list[tuple[Rule, Matcher]]:
        """Return the rules that may match a node, in their order, with the matchers to try."""
        root = type(node.op)
        if root not in self.by_root:
            return []
        if len(node.inputs) > MATCHED_OPERANDS:
            return self._fitting(root, [type(value[0].op) for value in node.inputs])
        classes = (root, *[type(value[0].op) for value in node.inputs])
        found = self.by_classes.get(classes)
        if found is None:
            found = self.by_classes[classes] = self._fitting(root, classes[1:])
        return found

    def _fitting(self, root: type[Op], given: Sequence[type[Op]]) -> list[tuple[Rule, Matcher]]:
        return [(rule, matcher) for rule, operands, matcher in self.by_root[root] if _fits(given, operands)]


MATCHED_OPERANDS = 3
"""Operands up to which the rules to try are kept for each combination of op classes."""


def _fits(given: Sequence[type[Op]], operands: OperandClasses) -> bool:
    if operands is None:
        return True
    pairs = zip(given, operands, strict=False)
    return len(given) == len(operands) and all(wanted is None or cls in wanted for cls, wanted in pairs)


@functools.lru_cache(64)
def _index(rules: tuple[Rule, ...]) -> _Index:
    return _Index(rules)


def rewrite(graph: Graph, rules: Iterable[Rule], journal: Journal) -> Graph:
    """Apply `rules` to every node until none fires.

    Raises PassError where a rule changes the type of a value or fails, and where rules undo each other.
    """
    return _Rewriter(graph, list(rules), journal).run()


class _Rewriter:
    """The state of one sweep: what is settled, and what each value became."""

    def __init__(self, graph: Graph, rules: list[Rule], journal: Journal) -> None:
        self.graph = graph
        self.index = _index(tuple(rules))
        self.journal = journal
        self.settled: set[Node] = {v[0] for v in graph.inputs}
        self.final: dict[Node, Results] = {}
        self.known: dict[Any, Node] = {}
        self.reads: Counter[Value] = Counter()
        self.counting = any("uses" in r.parameters for r in rules)
        if self.counting:
            self.reads.update(v for node in graph.nodes for v in node.inputs)
            self.reads.update(graph.outputs)

    def run(self) -> Graph:
        final = self.final
        with recording() as assumptions, emitting() as here:
            self.here = here
            for node in self.graph.nodes[len(self.graph.inputs) :]:
                self.normalise(node)
        if not final:
            return self.graph
        return self.graph.with_outputs(latest(self.graph.outputs, final), assumptions=assumptions)

    def replace(self, node: Node, results: Results) -> None:
        self.final[node] = results
        if self.counting:
            for old, new in zip(node.outputs, results, strict=True):
                self.reads[new] += self.reads[old]

    def normalise(self, start: Node) -> None:
        """Rewrite `start`, and the new nodes its replacements bring, until no rule fires on any of them."""
        fired = self.settle(start)
        if fired is None:
            return
        settled, final = self.settled, self.final
        trail, agenda = [fired[0]], [start, fired[2][0]]
        waiting: dict[Node, tuple[Node, Value]] = {start: fired[1:]}
        while agenda:
            node = agenda[-1]
            if node in settled:
                agenda.pop()
                continue
            if node in waiting:
                agenda.pop()
                current, replacement = waiting.pop(node)
                result = latest((replacement,), final)
                for each in {node, current}:
                    self.replace(each, result)
                    settled.add(each)
                continue
            unsettled = [v[0] for v in node.inputs if v[0] not in settled]
            if unsettled:
                self.bound(trail, node, len(agenda))
                agenda += unsettled
                continue
            fired = self.settle(node)
            if fired is not None:
                trail.append(fired[0])
                self.bound(trail, node, len(agenda))
                waiting[node] = fired[1:]
                agenda.append(fired[2][0])

    def settle(self, node: Node) -> tuple[str, Node, Value] | None:
        """Settle a node whose operands are settled; where a rule fires, return its name, the node (with operands
        replaced) and the replacement instead.
        """
        settled = self.settled
        current = updated(node, self.final)
        known = self.known.setdefault(node_key(current), current)
        if known is not current and known in settled:
            # The same computation stands there already. One node for both lets patterns see that they agree.
            settled.add(node)
            self.journal.counts["merge"] += 1
            self.replace(node, self.final.get(known) or known.outputs)
            return None
        fired = self.fire(current) if len(current.types) == 1 else None
        if fired is not None:
            return fired[0], current, fired[1]
        settled.add(node)
        if current is not node:
            settled.add(current)
            self.replace(node, current.outputs)
        return None

    def fire(self, node: Node) -> tuple[str, Value] | None:
        """Try the rules on a node whose operands are settled; return the first replacement."""
        for rule, match in self.index.candidates(node):
            found = match(node)
            if found is None or not rule.holds_for(node, found):
                continue
            imitate(self.here, node)
            try:
                made = rule.replacement(node, found, self.uses)
            except GraphadError as error:
                raise PassError(
                    f"rule {rule.name} failed on {node!r}: {error.message}", location=node.location
                ) from error
            if made is None:
                continue
            value = made.value
            if value[0].types[value[1]] != node.types[0]:
                raise PassError(
                    f"rule {rule.name} ({rule.text}) changed the type of {describe(Value(node, 0))} from "
                    f"{node.types[0]} to {value.type}; a rule must return a tensor of the type it replaces",
                    location=node.location,
                )
            self.journal.note(rule.name, node, value)
            return rule.name, value
        return None

    def uses(self, tensor: Tensor) -> int:
        """Count the operands and outputs of the graph that read a value; 1 for one that a rule has just made."""
        return max(1, self.reads[tensor.value])

    def bound(self, trail: list[str], node: Node, depth: int) -> None:
        # A chain of n steps may take n rewrites to move a factor through.
        most = REWRITES_OF_ONE_NODE + 4 * len(self.graph.nodes)
        if len(trail) <= most and depth <= 10 * most:
            return
        raise PassError(
            f"rules undo each other: {' -> '.join(_cycle(trail))}, over and over, on {node!r}. "
            "Make one of them refuse what the other returns",
            location=node.location,
        )


def _cycle(trail: list[str]) -> list[str]:
    """Return the shortest cycle of names that the end of the trail repeats, closed."""
    for period in range(1, len(trail) // 2 + 1):
        tail = trail[-period:]
        if all(trail[-k - 1] == tail[-(k % period) - 1] for k in range(min(len(trail), 10 * period))):
            return [*tail, tail[0]]
    return trail[-20:]
