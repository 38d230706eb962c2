"""State: which inputs an Executable keeps between calls, under which names, and in which arrays.

What may enter: names to positions, and the arrays themselves. When state changes is the Executable's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphad.execute.arguments import prune
from graphad.execute.reference import aligned_array
from graphad.ir.containers import Branch, Container, explain_difference, flatten, paths, unflatten
from graphad.ir.errors import ExecutionError
from graphad.ir.graph import Graph
from graphad.ir.types import TensorType
from graphad.tracing.call import argument_containers, argument_names, convert_leaf

Array = np.ndarray[Any, Any]


def resolve_updates(graph: Graph, updates: Mapping[str, str]) -> dict[int, int]:
    """Return, for each input position that is state, the position of the output that updates it.

    Keys name an input ("params.w1") or a whole argument ("params"), values an output or a whole part of the result
    ("new_params"; of a tuple, "out1" or "1"); of wholes, the leaves are paired by their paths.

    Raises ExecutionError for a name that the graph does not have, leaves that do not pair, and types that differ.
    """
    found: dict[int, int] = {}
    for target, source in updates.items():
        inputs = _leaves_of(target, graph.input_names, graph, "input")
        outputs = _leaves_of(source, graph.output_names, graph, "output")
        if inputs.keys() != outputs.keys():
            missing = ", ".join(sorted(map(repr, inputs.keys() ^ outputs.keys())))
            raise ExecutionError(
                f"update {target!r} <- {source!r}: their leaves do not pair; only one side has {missing}"
            )
        for path, position in inputs.items():
            if position in found:
                raise ExecutionError(f"input {graph.input_names[position]!r} is updated twice")
            output = outputs[path]
            wanted, given = graph.inputs[position].type, graph.outputs[output].type
            if wanted != given:
                raise ExecutionError(
                    f"update {graph.input_names[position]!r} <- {graph.output_names[output]!r}: the state is {wanted}, "
                    f"its new value is {given}. Cast the new value (astype), or begin with state of its type",
                    location=graph.outputs[output].node.location,
                )
            found[position] = output
    return found


def _leaves_of(name: str, names: Sequence[str], graph: Graph, kind: str) -> dict[str, int]:
    """Return the positions of the leaves of a named input or output, by their path inside it."""
    prefixes = [name]
    if kind == "output" and name.startswith("out") and name[3:].isdigit():
        prefixes.append(name[3:])
    if kind == "output" and name.isdigit():
        prefixes.append(f"out{name}")
    for prefix in prefixes:
        if prefix in names:
            return {"": names.index(prefix)}
    for prefix in prefixes:
        found = {n[len(prefix) + 1 :]: k for k, n in enumerate(names) if n.startswith(f"{prefix}.")}
        if found:
            return found
    raise ExecutionError(f"graph {graph.name!r} has no {kind} named {name!r}; it has {', '.join(names) or 'none'}")


class State:
    """The arrays of an Executable's state, by input position; shared by all its programs.

    Updated only under the Executable's lock.
    """

    def __init__(self, graph: Graph, positions: Sequence[int]) -> None:
        """Make room for the inputs at `positions`; they have no value yet."""
        self.graph = graph
        self.positions = tuple(sorted(positions))
        self.arrays: dict[int, Array] = {}
        """Arrays in use; their addresses never change while their shapes do not."""
        self.ready: set[int] = set()
        keep = [k in set(positions) for k in range(len(graph.inputs))]
        self._arguments: list[tuple[str, Container, list[int]]] = []
        start = 0
        for name, container in zip(argument_names(graph), argument_containers(graph), strict=True):
            count = len(paths(container))
            own = [k for k in range(start, start + count) if keep[k]]
            if own:
                self._arguments.append((name, prune(container, keep[start : start + count]), own))
            start += count

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the arguments that are state, wholly or in part."""
        return tuple(name for name, _, _ in self._arguments)

    def missing(self) -> list[str]:
        """Return the names of the state inputs without a value."""
        return [self.graph.input_names[k] for k in self.positions if k not in self.ready]

    def nested(self) -> dict[str, Any]:
        """Return copies of all values, nested as the arguments are, by argument name."""
        return {
            name: unflatten(container, [self.arrays[k].copy() for k in own]) for name, container, own in self._arguments
        }

    def assign(self, values: Mapping[str, Any]) -> bool:
        """Set values by argument name ("params") or input name ("params.w1"); tells whether an array was replaced.

        Nothing changes unless all values fit. Raises ExecutionError for unknown names, nesting and types that differ.
        """
        new: dict[int, Array] = {}
        arguments = {name: (container, own) for name, container, own in self._arguments}
        for name, value in values.items():
            if name in arguments:
                container, own = arguments[name]
                leaves, given = flatten(value, _is_array)
                difference = explain_difference(container, given)
                if difference:
                    raise ExecutionError(f"state {name!r}: {difference}")
                new.update(zip(own, map(np.asarray, leaves), strict=True))
            elif name in self.graph.input_names and self.graph.input_names.index(name) in self.positions:
                new[self.graph.input_names.index(name)] = np.asarray(value)
            else:
                has = ", ".join(self.names) or "none"
                raise ExecutionError(f"{name!r} is not state of {self.graph.name!r}; its state is: {has}")
        checked = {k: self._fit(k, array) for k, array in new.items()}
        replaced = False
        for k, array in checked.items():
            old = self.arrays.get(k)
            if old is None or old.shape != array.shape:
                self.arrays[k] = aligned_array(TensorType(self.graph.inputs[k].type.dtype, array.shape))
                replaced = True
            np.copyto(self.arrays[k], array)
            self.ready.add(k)
        return replaced

    def _fit(self, position: int, array: Array) -> Array:
        label = self.graph.input_names[position]
        return convert_leaf(self.graph.inputs[position].type, array, label)


def _is_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, np.generic, bool, int, float, complex))


def call_graph_of(graph: Graph, positions: Sequence[int]) -> Graph:
    """Return a graph without outputs that takes what a call passes when the inputs at `positions` are state."""
    state = set(positions)
    keep = [k not in state for k in range(len(graph.inputs))]
    kept = [k for k, stays in enumerate(keep) if stays]
    return Graph(
        graph.name,
        tuple(graph.inputs[k] for k in kept),
        (),
        tuple(graph.input_names[k] for k in kept),
        (),
        prune(graph.input_container, keep),
        Branch("tuple"),
        assumptions=graph.assumptions,
    )


def result_container(graph: Graph, consumed: set[int]) -> Container:
    """Return the nesting of the result without the outputs that only update state; a tuple of one becomes that one."""
    if not consumed:
        return graph.output_container
    container = prune(graph.output_container, [k not in consumed for k in range(len(graph.outputs))])
    if isinstance(container, Branch) and container.kind == "tuple" and len(container.children) == 1:
        return container.children[0]
    if isinstance(container, Branch) and not paths(container) and not container.children:
        return Branch("none")
    return container
