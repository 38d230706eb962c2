"""The printed form of a graph: typed, with `%names` and the user's lines; `parser.parse` reads it back.

    graph loss(%x: f64[8,5], %w: f64[5,4] parameter = @c0) -> (f64[]) {
      assume batch >= 10                        # model.py:3
      %0: f64[8,4] = matmul %x, %w              # model.py:12
      %1: f64[8,4] = tanh %0 {scope="encoder"}  # model.py:12
      %2: f64[] = sum[axes=(0, 1)] %1           # model.py:13
      return %2
    }
    resources {
      @c0: f64[5,4] = "eJxjYKAuAAAAUAAB"
    }

What is left out is at its default: attributes, the role forward, the scope "", the replica 0, arguments and a result
that are not nested (else the lines `arguments ({w1: *},)` and `result [*, *]`), outputs named "out", or "out0", ...
A graph among the attributes is printed in place, indented. `literals` says how numbers and arrays are written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphad.ir.attributes import MAX_NESTING, attributes, kind_of, plain
from graphad.ir.containers import Container
from graphad.ir.errors import ContainerError, GraphadError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.literals import (
    INLINE_ELEMENTS,
    array_text,
    count_text,
    encode_resource,
    float_text,
    name_text,
    quote,
)
from graphad.ir.location import Location
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES, TensorType, type_of

Array = np.ndarray[Any, Any]

# Comments stand in one column: at least the first, at most the second; a line that is longer pushes its own along.
_NARROWEST, _WIDEST = 44, 88


def print_graph(graph: Graph, constant_limit: int | None = None) -> str:
    """Write a graph as text.

    Arguments:
        graph: any graph.
        constant_limit: arrays of more bytes are shown by their size alone (``<1.6 MB elided>``); such text cannot be
            parsed. None writes them all.

    The same graph always gives the same text. Time and space are linear in nodes and constants.
    """
    writer = _Writer(constant_limit)
    writer.graph(graph, "")
    column = max([len(text) + 2 for text, comment in writer.lines if comment and len(text) < _WIDEST - 1], default=0)
    column = max(column, _NARROWEST)
    lines = [f"{text:{column - 2}}  # {comment}" if comment else text for text, comment in writer.lines]
    if writer.resources:
        lines += ["resources {", *writer.resources.values(), "}"]
    return "\n".join(lines) + "\n"


def print_node(graph: Graph, node: Node) -> str:
    """Write one node of a graph as it stands in the printed graph, without comment; for error messages."""
    names = value_names(graph)
    return f"{names[node][0]}: {node.op.type}" if isinstance(node.op, Input) else node_line(node, names)


def node_line(node: Node, names: dict[Node, tuple[str, ...]]) -> str:
    """Write a node that is no input, with `names` as `value_names` gives them; large constants by their size."""
    writer = _Writer(128)
    writer.node(node, names, "")
    return "\n".join(text for text, _ in writer.lines[1:])


def attribute_text(value: Any) -> str:
    """Write one attribute on one line; graphs by their name and large arrays by their size."""
    kind = kind_of(value)
    return f"<graph {value.name}>" if kind == "graph" else _Writer(128).value(value)


def location_text(location: Location) -> str:
    """Write ``model.py:12``; the name in quotes where it cannot be read back bare."""
    file, _, line = location.short.rpartition(":")
    bare = file.isprintable() and file.strip() == file and file[:1] not in ('"', "")
    return location.short if bare else f"{quote(file)}:{line}"


def default_output_names(count: int) -> tuple[str, ...]:
    """Return the names of the outputs of a result that is not nested."""
    return ("out",) if count == 1 else tuple(f"out{k}" for k in range(count))


def value_names(graph: Graph) -> dict[Node, tuple[str, ...]]:
    """Return the printed names of the results of every node: ``%x`` for inputs, ``%0``, ``%1``, ... for the others."""
    names: dict[Node, tuple[str, ...]] = {
        value.node: ("%" + name_text(name),) for value, name in zip(graph.inputs, graph.input_names, strict=False)
    }
    count = 0
    for node in graph.nodes:
        if node not in names:
            results = len(node.types)
            names[node] = (f"%{count}",) if results == 1 else tuple([f"%{k}" for k in range(count, count + results)])
            count += results
    return names


@dataclass
class _Writer:
    """Collects lines, each with its comment, and the resources that they refer to."""

    constant_limit: int | None
    lines: list[tuple[str, str]] = field(default_factory=lambda: [("", "")])
    resources: dict[str, str] = field(default_factory=dict)
    depth: int = 0
    _numbers: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _types: dict[TensorType, str] = field(default_factory=dict)
    _locations: dict[Location, str] = field(default_factory=dict)

    def graph(self, graph: Graph, indent: str) -> None:
        """Write a graph, from the end of the last line on."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise GraphadError(f"graphs are nested more than {MAX_NESTING} deep, at graph {graph.name!r}")
        names = value_names(graph)
        inputs = {value.node for value in graph.inputs}
        self.extend(f"graph {name_text(graph.name)}{self.signature(graph)} {{")
        inner = indent + "  "
        arguments, result = flat_containers(len(graph.inputs), len(graph.outputs))
        if graph.input_container != arguments:
            self.lines.append((f"{inner}arguments {container_line(graph.input_container)}", ""))
        if graph.output_container != result:
            self.lines.append((f"{inner}result {container_line(graph.output_container)}", ""))
        for assumption in graph.assumptions:
            self.lines.append((f"{inner}assume {assumption}", self.comment(assumption.location)))
        for node in graph.nodes:
            if node not in inputs:
                self.node(node, names, inner)
        outputs = ", ".join(names[value[0]][value[1]] for value in graph.outputs)
        self.lines.append((f"{inner}return {outputs}".rstrip(), ""))
        self.lines.append((indent + "}", ""))
        self.depth -= 1

    def signature(self, graph: Graph) -> str:
        inputs = []
        for value, name in zip(graph.inputs, graph.input_names, strict=False):
            kind = getattr(value.node.op, "kind", "input")
            text = f"%{name_text(name)}: {self.type(value.type)}" + ("" if kind == "input" else f" {kind}")
            array = graph.initial.get(name)
            inputs.append(text if array is None else f"{text} = {self.array(array)}")
        outputs = [self.type(value.type) for value in graph.outputs]
        if graph.output_names != default_output_names(len(outputs)):
            outputs = [f"{name_text(n)}: {t}" for n, t in zip(graph.output_names, outputs, strict=False)]
        return f"({', '.join(inputs)}) -> ({', '.join(outputs)})"

    def node(self, node: Node, names: dict[Node, tuple[str, ...]], indent: str) -> None:
        types = node.types
        if len(types) == 1:
            results = f"{names[node][0]}: {self.type(types[0])}"
        else:
            results = ", ".join([f"{n}: {self.type(t)}" for n, t in zip(names[node], types, strict=True)])
        op = node.op
        operands = ", ".join([names[v[0]][v[1]] for v in node.inputs])
        tail = (" " if operands else "") + operands + _origin_text(node)
        if type(op) is Constant:
            self.lines.append(
                (f"{indent}{results} = constant {self.array(op.array)}{tail}", self.comment(node.location))
            )
            return
        head = f"{indent}{results} = {op.name}"
        given = list(attributes(op))
        if any(_holds_graph(value) for _, value in given):
            self.lines.append((head + "[", ""))
            for position, (name, value) in enumerate(given):
                self.extend(f"{', ' if position else ''}{name}=")
                self.value_with_graphs(value, indent)
            self.extend("]" + tail, node.location)
            return
        written = ", ".join([f"{name}={self.value(value)}" for name, value in given])
        line = f"{head}[{written}]{tail}" if written else head + tail
        self.lines.append((line, self.comment(node.location)))

    def extend(self, text: str, location: Location | None = None) -> None:
        """Write on at the end of the last line."""
        self.lines.append((self.lines.pop()[0] + text, self.comment(location)))

    def value_with_graphs(self, value: Any, indent: str) -> None:
        """Write an attribute that is or holds a graph, from the end of the last line on."""
        if kind_of(value) == "graph":
            self.graph(value, indent)
        elif kind_of(value) == "tuple":
            self.extend("(")
            for position, item in enumerate(value):
                self.extend(", " if position else "")
                self.value_with_graphs(item, indent)
            self.extend(",)" if len(value) == 1 else ")")
        else:
            self.extend(self.value(value))

    def value(self, value: Any) -> str:
        """Write an attribute that is not a graph."""
        value = plain(value)
        kind = kind_of(value)
        if kind in ("none", "bool", "int", "size", "type"):
            return str(value)
        if kind == "float":
            return float_text(value)
        if kind == "str":
            return quote(value)
        if kind == "dtype":
            return DTYPE_NAMES.get(value, f"<dtype {value}>")
        if kind == "tuple":
            items = [self.value(item) for item in value]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        if kind == "array":
            return f"{type_of(value)} {self.array(value)}"
        named = getattr(value, "__name__", "") or getattr(value, "name", "")
        name = "".join(c for c in str(named) if c.isalnum() or c in "_.")
        return f"<opaque {type(value).__name__}{f' {name}' if name else ''}>"

    def array(self, array: Array) -> str:
        if self.constant_limit is not None and array.nbytes > self.constant_limit:
            return f"<{count_text(array.nbytes)} elided>"
        if array.size <= INLINE_ELEMENTS:
            return array_text(array)
        content = hashlib.blake2b(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).digest()
        key = (array.dtype, array.shape, content)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = f"@c{len(self._numbers)}"
            self.resources[number] = f'  {number}: {type_of(array)} = "{encode_resource(array)}"'
        return number

    def type(self, type_: TensorType) -> str:
        found = self._types.get(type_)
        if found is None:
            found = self._types[type_] = str(type_)
        return found

    def comment(self, location: Location | None) -> str:
        if location is None:
            return ""
        found = self._locations.get(location)
        if found is None:
            found = self._locations[location] = location_text(location)
        return found


def _origin_text(node: Node) -> str:
    """Role, scope and replica in braces, each where it is not the usual one."""
    if node.role == "forward" and not node.scope and not node.replica:
        return ""
    parts = [f"role={node.role}"] if node.role != "forward" else []
    parts += [f"scope={quote(node.scope)}"] if node.scope else []
    parts += [f"replica={node.replica}"] if node.replica else []
    return f" {{{', '.join(parts)}}}"


def _holds_graph(value: Any) -> bool:
    kind = kind_of(value)
    return kind == "graph" or (kind == "tuple" and any(map(_holds_graph, value)))


def container_line(container: Container) -> str:
    """Write a container; a marker that no parser takes where it holds values that have no text."""
    try:
        return str(container)
    except ContainerError as error:
        return f"<opaque: {error.message}>"
