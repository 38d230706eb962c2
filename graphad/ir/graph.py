"""Graph: inputs, outputs, and everything between them that the outputs reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.containers import Container, Leaf
from graphad.ir.dims import Assumption, Dim, is_static, names, recording, substitute
from graphad.ir.errors import LeakError, SymbolicSizeError
from graphad.ir.frozen import field, fields, frozen, replace
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType

if TYPE_CHECKING:
    import networkx

    from graphad.ir.op import Op
    from graphad.passes.report import Report
    from graphad.plan.stats import Stats

Array = np.ndarray[Any, Any]

_by_serial = attrgetter("serial")


def reachable(values: Iterable[Value]) -> list[Node]:
    """Return the nodes that `values` depend on, in topological (creation) order."""
    stack = [value[0] for value in values]
    seen = set(stack)
    found = list(seen)
    stack = list(seen)
    while stack:
        for value in stack.pop().inputs:
            node = value[0]
            if node not in seen:
                seen.add(node)
                found.append(node)
                stack.append(node)
    found.sort(key=_by_serial)
    return found


@frozen(slots=True, eq=False, repr=False, weakref_slot=True)
class Graph:
    """A function as a directed acyclic graph; immutable.

    Attributes:
        name: printed name.
        inputs: values of `Input` nodes, in the order of the flattened arguments.
        outputs: the results, in the order of the flattened result.
        input_container: nesting of the arguments: a tuple of containers, one an argument.
        output_container: nesting of the result.
        input_names, output_names: one readable name each ("params.w1"), unique.
        initial: initial values of parameter inputs by input name; a call may leave these out.
        assumptions: what was assumed of symbolic sizes; `bind` checks it.
        report: what `optimize` did to get here; no part of the structure.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_container: Container
    output_container: Container
    initial: Mapping[str, Array] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()
    report: Report | None = None
    _nodes: list[tuple[Node, ...]] = field(default_factory=list, init=False)
    _op_classes: list[frozenset[type[Op]]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        inputs = {value.node for value in self.inputs}
        for node in self.nodes:
            if type(node.op) is Input and node not in inputs:
                raise LeakError(
                    f"graph {self.name!r} uses the tensor {node.op.label!r}: {node.types[0]}, an input of another "
                    "trace. A traced tensor was kept (in a global, a closure or an object) after its trace ended; "
                    "return it as an output or pass it as an argument instead",
                    location=node.location,
                )

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes in topological order: the inputs first, then what the outputs reach."""
        if not self._nodes:
            own = [value.node for value in self.inputs]
            inputs = set(own)
            self._nodes.append((*own, *(n for n in reachable(self.outputs) if n not in inputs)))
        return self._nodes[0]

    @property
    def op_classes(self) -> frozenset[type[Op]]:
        """Return the classes of the ops of all nodes."""
        if not self._op_classes:
            self._op_classes.append(frozenset([type(node.op) for node in self.nodes]))
        return self._op_classes[0]

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """Return the types of the inputs."""
        return tuple(value.type for value in self.inputs)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """Return the types of the outputs."""
        return tuple(value.type for value in self.outputs)

    @property
    def static(self) -> bool:
        """Tell whether every size in the graph is a number."""
        distinct = {id(node.types): node.types for node in self.nodes}  # nodes mostly share them
        return all(type_.static for types in distinct.values() for type_ in types)

    def with_outputs(
        self,
        outputs: Sequence[Value],
        output_names: Sequence[str] | None = None,
        output_container: Container | None = None,
        *,
        name: str | None = None,
        assumptions: Iterable[Assumption] = (),
    ) -> Graph:
        """Return the graph of the same inputs that gives other outputs (names and nesting kept if not given).

        `assumptions` are added to those of this graph.
        """
        return Graph(
            name or self.name,
            self.inputs,
            tuple(outputs),
            self.input_names,
            self.output_names if output_names is None else tuple(output_names),
            self.input_container,
            self.output_container if output_container is None else output_container,
            self.initial,
            tuple(dict.fromkeys((*self.assumptions, *assumptions))),
        )

    def uses(self) -> dict[Value, list[tuple[Node, int]]]:
        """Return for each value the (node, operand position) pairs that read it; computed on demand."""
        found: dict[Value, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for position, value in enumerate(node.inputs):
                found.setdefault(value, []).append((node, position))
        return found

    def bind(self, **sizes: int) -> Graph:
        """Give named sizes their numbers, check the assumptions made while tracing, and return the new graph.

        Raises SymbolicSizeError where a binding breaks an assumption (naming the user's line that made it), names a
        size that the graph does not have, or is not a non-negative integer.
        """
        from graphad.ir.walk import rebuild

        if not sizes:
            return self
        known = self.size_names
        for name, size in sizes.items():
            if name not in known:
                has = ", ".join(sorted(known)) or "none"
                raise SymbolicSizeError(f"graph {self.name!r} has no size named {name!r} (it has: {has})")
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
                raise SymbolicSizeError(f"size {name!r} must be a non-negative integer, got {size!r}")
        binding: dict[str, Dim] = {name: int(size) for name, size in sizes.items()}
        with recording() as found:
            remaining = [left for a in self.assumptions if (left := _remaining(a, binding)) is not None]
            bound = rebuild(self, lambda node: node.op.bind(binding))
        return bound.with_assumptions(tuple(dict.fromkeys((*remaining, *found))))

    def with_assumptions(self, assumptions: tuple[Assumption, ...]) -> Graph:
        """Return the same graph with another list of assumptions."""
        return Graph(
            self.name,
            self.inputs,
            self.outputs,
            self.input_names,
            self.output_names,
            self.input_container,
            self.output_container,
            self.initial,
            assumptions,
        )

    def with_report(self, report: Report) -> Graph:
        """Return the same graph with a report of how it was made."""
        made = object.__new__(Graph)  # not made anew: its nodes are known
        for each in fields(Graph):
            object.__setattr__(made, each.name, report if each.name == "report" else getattr(self, each.name))
        return made

    @property
    def size_names(self) -> frozenset[str]:
        """Return the names of the symbolic sizes of the inputs and attributes."""
        found: frozenset[str] = frozenset()
        for node in self.nodes:
            for type_ in node.types:
                if not type_.static:
                    found |= names(type_.shape)
        return found

    def __eq__(self, other: object) -> bool:
        """Structural equality: same ops, wiring, types, roles, scopes, names and nesting; locations do not count."""
        if self is other:
            return True
        if not isinstance(other, Graph):
            return NotImplemented
        from graphad.ir.structure import same_structure

        return same_structure(self, other)

    def __hash__(self) -> int:
        return hash((self.name, self.input_types, self.output_types, len(self.nodes)))

    def __repr__(self) -> str:
        inputs = ", ".join(f"{n}: {t}" for n, t in zip(self.input_names, self.input_types, strict=True))
        outputs = ", ".join(str(t) for t in self.output_types)
        return f"<graph {self.name}({inputs}) -> ({outputs}), {len(self.nodes)} nodes>"

    # Doors to higher rooms, for the user's convenience: each forwards, importing on first use.

    def __str__(self) -> str:
        from graphad.ir.printer import print_graph

        return print_graph(self)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Evaluate the graph on arrays, or emit its nodes on tensors (arguments nested as they were traced)."""
        from graphad.tracing.call import call_graph

        return call_graph(self, arguments, keywords)

    def verify(self) -> Graph:
        """Check every invariant of the IR and return the graph; raises VerifyError."""
        from graphad.ir.verify import verify

        return verify(self)

    def stats(self) -> Stats:
        """Count ops, FLOPs, bytes moved, parameters and the live-memory peak."""
        from graphad.plan.stats import stats

        return stats(self)

    def to_networkx(self) -> networkx.MultiDiGraph[Any]:
        """Return the graph as a networkx.MultiDiGraph, for other people's graph algorithms."""
        from graphad.ir.networkx import to_networkx

        return to_networkx(self)

    def to_dot(self) -> str:
        """Return the graph as DOT text."""
        from graphad.view.graph import to_dot

        return to_dot(self)

    def to_svg(self, path: Any = None) -> str:
        """Draw the graph as SVG, write it to `path` if given, and return it."""
        from graphad.view.graph import to_svg

        return to_svg(self, path)

    def _repr_svg_(self) -> str:
        from graphad.view.graph import to_svg

        return to_svg(self)


def _remaining(assumption: Assumption, binding: Mapping[str, Dim]) -> Assumption | None:
    """Return what is left of an assumption under a binding, None where it holds; SymbolicSizeError where it breaks."""
    left, right = substitute(assumption.left, binding), substitute(assumption.right, binding)
    reduced = replace(assumption, left=left, right=right)
    if not is_static((left, right)):
        return reduced
    if reduced.holds({}):
        return None
    values = ", ".join(f"{name}={binding[name]}" for name in sorted(names((assumption.left, assumption.right))))
    raise SymbolicSizeError(
        f"{values} breaks the assumption `{assumption}` made while tracing: "
        "trace again with this size given as a number",
        location=assumption.location,
    )


def flat_containers(inputs: int, outputs: int) -> tuple[Container, Container]:
    """Return the nesting of plain positional arguments and of a result of `outputs` values."""
    from graphad.ir.containers import flatten

    arguments = flatten((0,) * inputs, lambda x: x == 0)[1]
    result = Leaf() if outputs == 1 else flatten((0,) * outputs, lambda x: x == 0)[1]
    return arguments, result
