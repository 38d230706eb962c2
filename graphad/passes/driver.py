"""The rewrite driver: one sweep over a graph in topological order, each node brought to its normal form.

Patterns look from a node down at its operands. Once all operands of a node are in normal form, rewriting the node (and
what its replacement consists of) until no rule fires gives its normal form for good, so one sweep with a worklist
reaches the fixed point, in time linear in the nodes and the rewrites.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from graphad.ir.dims import recording
from graphad.ir.emit import Emission, emitting, follow
from graphad.ir.errors import GraphadError, PassError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.arithmetic import Power, PowerScalar
from graphad.passes.patterns import COMMUTATIVE, Application, Matcher, Order, orders_for
from graphad.passes.rules import Rule

if TYPE_CHECKING:
    from graphad.passes.columns import Columns, Combination
    from graphad.tracing.tensor import Tensor

    class Pass(Protocol):
        """A named function from graph to graph that writes down what it did."""

        @property
        def name(self) -> str:
            """The name in reports and in `passes=`."""

        def run(self, graph: Graph, journal: Journal) -> Graph:
            """Return the rewritten graph."""


REWRITES_OF_ONE_NODE = 1000
"""After this many rewrites that started at one node (and four for each node of the graph), rules run in a circle."""

Results = tuple[Value, ...]
Fired = tuple[str, Node, Value]
"""The rule that fired, the node (with operands replaced), and the replacement."""


@frozen(slots=True)
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


class Journal:
    """What one run of a pass did: the rewrites in order, how often each rule fired, what became unreachable."""

    def __init__(self, fast_math: bool = False) -> None:
        self.rewrites: list[Rewrite] = []
        self.counts: Counter[str] = Counter()
        self.fast_math = fast_math

    def note(self, rule: str, node: Node, value: Value) -> None:
        """Record one rewrite."""
        self.rewrites.append(Rewrite(rule, node, value))
        self.counts[rule] += 1


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


MANY = 1_000
"""Nodes of a graph from which it pays to ask about all of them at once before going from one to the next."""


def columns_of_many(graph: Graph) -> Columns | None:
    """Return the columns of a big graph; None for others."""
    if len(graph.nodes) < MANY:
        return None
    from graphad.passes.columns import columns_of

    return columns_of(graph)


def repeats(columns: Columns) -> bool:
    """Tell whether two nodes of a graph (nearly surely) compute the same."""
    if columns.repeated is None:
        columns.repeated = columns.repeats(lambda cls: cls.name in COMMUTATIVE)
    return columns.repeated


_HASH_WITHOUT_ATTRIBUTES = Op.__hash__


def op_key(op: Op) -> Op | type[Op]:
    """Return what equal ops share: the op, or its class where it has no attributes, whose hash costs a fifth."""
    kind = type(op)
    return kind if kind.__hash__ is _HASH_WITHOUT_ATTRIBUTES else op


class _Index:
    """Which rules to try on a node, by its op class and those of its operands: most fail on these already."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.written: dict[type[Op], list[tuple[int, Rule, Application]]] = {}
        """The rules' patterns by the class at their root, with their places among all."""
        place = 0
        for rule in rules:
            for pattern in rule.patterns:
                self.written.setdefault(pattern.op, []).append((place, rule, pattern))
                place += 1
        self.by_root: dict[type[Op], list[tuple[Rule, Order]]] = {}
        self.by_classes: dict[tuple[type[Op], ...], list[tuple[Rule, Matcher]]] = {}
        self.by_classes_below: dict[tuple[Any, ...], list[tuple[Rule, Matcher]]] = {}

    def candidates(self, node: Node) -> list[tuple[Rule, Matcher]]:
        """Return the rules that may match a node, in their order, with the matchers to try."""
        root = type(node.op)
        if len(node.inputs) > MATCHED_OPERANDS:
            return self._fitting(root, [type(value[0].op) for value in node.inputs])
        classes = (root, *[type(value[0].op) for value in node.inputs])
        found = self.by_classes.get(classes)
        if found is None:
            found = self.by_classes[classes] = self._fitting(root, classes[1:])
        return found if len(found) <= FEW_RULES else self._fitting_below(node, classes)

    def _fitting_below(self, node: Node, classes: tuple[type[Op], ...]) -> list[tuple[Rule, Matcher]]:
        """Return those of many rules that the classes of the operands' operands leave."""
        below = [[type(value[0].op) for value in operand.inputs] for operand, _ in node.inputs]
        if max(map(len, below)) > MATCHED_OPERANDS:
            return self.by_classes[classes]
        key = (classes, *map(tuple, below))
        found = self.by_classes_below.get(key)
        if found is None:
            if len(self.by_classes_below) >= MOST_COMBINATIONS:
                self.by_classes_below.clear()
            found = self.by_classes_below[key] = [
                (rule, order.matcher)
                for rule, order in self._orders(classes[0])
                if order.may_match(classes[1:]) and _may_match_below(order, below)
            ]
        return found

    def positions(self, columns: Columns) -> list[int]:
        """Return the positions of the nodes of a graph that a rule may match, by the classes of ops two levels down,
        and by which operands must be the same.
        """
        return columns.matching(lambda classes: [order.equalities for order in self._possible(classes)])

    def _possible(self, classes: Combination) -> list[Order]:
        """Return the patterns that these classes leave."""
        orders = [order for _, order in self._orders(classes.root)]
        given, below = classes.operands, classes.below
        if given is None:
            return orders
        return [order for order in orders if order.may_match(given) and _may_match_below(order, below)]

    def _fitting(self, root: type[Op], given: Sequence[type[Op]]) -> list[tuple[Rule, Matcher]]:
        return [(rule, order.matcher) for rule, order in self._orders(root) if order.may_match(given)]

    def _orders(self, root: type[Op]) -> list[tuple[Rule, Order]]:
        found = self.by_root.get(root)
        if found is None:
            # Of a power with a number as exponent tracing makes another class.
            classes = (*root.__mro__, Power) if root is PowerScalar else root.__mro__
            written = sorted((each for cls in classes for each in self.written.get(cls, ())), key=itemgetter(0))
            found = [(rule, order) for _, rule, pattern in written for order in orders_for(pattern, root)]
            self.by_root[root] = found
        return found


MATCHED_OPERANDS = 3
"""Operands up to which the rules to try are kept for each combination of op classes."""
FEW_RULES = 3
"""Rules to try from which it pays to look at the operands' operands before."""
MOST_COMBINATIONS = 10_000
"""Combinations of op classes for which the rules to try are kept."""


def _may_match_below(order: Order, below: Sequence[Sequence[type[Op]] | None]) -> bool:
    """Tell whether the operands of a node may be what a pattern wants, by the classes of their operands (None: any)."""
    if order.pattern.any_operands:
        return True
    parts = zip(order.pattern.operands, below, strict=True)
    return all(given is None or Order(p).may_match(given) for p, given in parts if isinstance(p, Application))


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
        self.hopeless: set[Node] = set()
        """Nodes of the graph that no rule matches as long as what they read stays."""
        self.counting = any("uses" in r.parameters for r in rules)

    @functools.cached_property
    def reads(self) -> Counter[Value]:
        """How many operands and outputs read each value."""
        found: Counter[Value] = Counter()
        found.update(v for node in self.graph.nodes for v in node.inputs)
        found.update(self.graph.outputs)
        return found

    def run(self) -> Graph:
        final = self.final
        with recording() as assumptions, emitting() as here:
            self.here = here
            for node in self.unsettled():
                fired = self.settle(node)
                if fired is not None:
                    self.normalise(node, fired)
        if not final:
            return self.graph
        return self.graph.with_outputs(latest(self.graph.outputs, final), assumptions=assumptions)

    def unsettled(self) -> Sequence[Node]:
        """Settle what comes before the first node that a rule fires on, or that repeats another; return the rest.

        It looks at the nodes of a big graph that rules may fire on by their classes; in small ones, at each in turn.
        """
        nodes, start = self.graph.nodes, len(self.graph.inputs)
        columns = columns_of_many(self.graph)
        if columns is None:
            return nodes[start:]
        positions = self.index.positions(columns)
        if repeats(columns):
            self.hopeless = {*nodes}.difference([nodes[at] for at in positions])
            return nodes[start:]
        for at in positions:
            if len(nodes[at].types) == 1 and self.fire(nodes[at]) is not None:
                self.hopeless = {*nodes}.difference([nodes[at] for at in positions])
                self.settled.update(nodes[start:at])
                self.known.update([(node_key(node), node) for node in nodes[start:at]])
                return nodes[at:]
        return ()

    def replace(self, node: Node, results: Results) -> None:
        self.final[node] = results
        if self.counting:
            for old, new in zip(node.outputs, results, strict=True):
                self.reads[new] += self.reads[old]

    def normalise(self, start: Node, fired: Fired) -> None:
        """Rewrite `start`, on which a rule has fired, and the new nodes its replacements bring, until none fires."""
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
            again = self.settle(node)
            if again is not None:
                trail.append(again[0])
                self.bound(trail, node, len(agenda))
                waiting[node] = again[1:]
                agenda.append(again[2][0])

    def settle(self, node: Node) -> Fired | None:
        """Settle a node whose operands are settled; where a rule fires, return its name, the node (with operands
        replaced) and the replacement instead.
        """
        settled, final = self.settled, self.final
        current = node
        for value in node.inputs:
            if value[0] in final:
                current = node.with_inputs(latest(node.inputs, final))
                break
        known = self.known.setdefault(node_key(current), current)
        if known is not current and known in settled:
            # The same computation stands there already. One node for both lets patterns see that they agree.
            settled.add(node)
            self.journal.counts["merge"] += 1
            self.replace(node, final.get(known) or known.outputs)
            return None
        fired = self.fire(current) if current not in self.hopeless and len(current.types) == 1 else None
        if fired is not None:
            self.journal.note(fired[0], current, fired[1])
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
