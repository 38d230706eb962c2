"""Buffers: which values share memory because one is a view of the other, whatever the order of the steps.

Everything is lists of integers indexed by the number of a value or of a buffer: a graph of a million nodes is planned
in seconds. The number of a value is `number[node] + index`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphad.ir.errors import SymbolicSizeError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType
from graphad.plan.layout import DENSE, STRIDES, Strides, dense_strides, view_strides


class Home:
    """Where a buffer lies, as a number."""

    ARENA = 0
    INPUT = 1
    CONSTANT = 2
    STATE = 3
    RESULT = 4


@frozen(eq=False)
class Buffers:
    """The buffers of a graph.

    Attributes:
        graph: the static graph.
        steps: the nodes that compute something, in the order they were given.
        number: number of the first value of each node.
        buffer_of: the buffer each value lies in, by value number.
        strided: the numbers of the values that do not cover their buffer densely from end to end: most views.
        sizes: bytes of each buffer.
        made_at: the step that makes each buffer; -1 for what stands before the first step.
        homes: `Home.ARENA` for what a step makes, or where it stands.
        reads, first_read: the buffers step k reads are ``reads[first_read[k]:first_read[k + 1]]``; views read nothing.
        in_place_steps: the steps whose result may overwrite an operand.
    """

    graph: Graph
    steps: Sequence[Node]
    number: dict[Node, int]
    buffer_of: list[int]
    strided: set[int]
    sizes: list[int]
    made_at: list[int]
    homes: list[int]
    reads: list[int]
    first_read: list[int]
    in_place_steps: list[int]


def is_step(node: Node) -> bool:
    """Tell whether a node computes something: it is neither an argument nor a constant."""
    kind = type(node.op)
    return kind is not Input and kind is not Constant


def byte_size(type_: TensorType) -> int:
    """Return the bytes of a dense array of a static type (a `Size` for another)."""
    size = type_.dtype.itemsize
    for n in type_.shape:
        size *= n  # type: ignore[assignment]  # static types have int sizes
    return size


def find_buffers(graph: Graph, steps: Sequence[Node]) -> Buffers:
    """Number the values of a graph and find the buffer of each; `steps` are its computing nodes in a valid order.

    Raises SymbolicSizeError for a graph with symbolic sizes, naming them.
    """
    number: dict[Node, int] = {}
    buffer_of: list[int] = []
    strided: set[int] = set()
    sizes: list[int] = []
    made_at: list[int] = []
    homes: list[int] = []
    reads: list[int] = []
    first_read = [0]
    in_place_steps: list[int] = []
    known_sizes: dict[int, int] = {}  # by the identity of the type, which nodes mostly share

    def size_of(type_: TensorType) -> int:
        size = byte_size(type_)
        if not isinstance(size, int):
            names = sorted(graph.size_names)
            raise SymbolicSizeError(
                f"graph {graph.name!r} has symbolic sizes ({', '.join(names)}); memory is planned for numbers only: "
                f"bind them, graph.bind({names[0]}=...)"
            )
        known_sizes[id(type_)] = size
        return size

    known_strides: dict[int, Strides] = {}

    def strides_of(value: Value) -> Strides | None:
        """Follow views back to what is dense, then the strides forward again; None where `value` must be a copy."""
        path = [value[0]]
        source = value[0].inputs[0]
        while (at := number[source[0]] + source[1]) in strided and at not in known_strides:
            path.append(source[0])
            source = source[0].inputs[0]
        type_ = source.type
        strides = known_strides.get(at) or dense_strides(type_.shape)  # type: ignore[arg-type]  # static
        for node in reversed(path):
            found = view_strides(node.op, type_, strides)
            if found is None:
                return None
            type_, strides = node.types[0], found
            known_strides[number[node]] = found
        return strides

    for node in graph.nodes:
        kind = type(node.op)
        if kind is Input or kind is Constant:
            number[node] = len(buffer_of)
            buffer_of.append(len(sizes))
            sizes.append(size_of(node.types[0]))
            made_at.append(-1)
            homes.append(Home.INPUT if kind is Input else Home.CONSTANT)
    get_size = known_sizes.get
    value = len(buffer_of)
    buffer = len(sizes)
    # Looking a method up costs as much as the append itself.
    read, end_reads = reads.append, first_read.append
    append_size, append_buffer, append_step = sizes.append, buffer_of.append, made_at.append
    for step, node in enumerate(steps):
        op = node.op
        types = node.types
        number[node] = value
        if op.view and op.name in STRIDES:
            operand_node, index = node.inputs[0]
            operand = number[operand_node] + index
            is_dense = op.name in DENSE and operand not in strided
            if is_dense or op.name != "reshape" or strides_of(Value(node, 0)) is not None:
                if id(types[0]) not in known_sizes:
                    size_of(types[0])
                append_buffer(buffer_of[operand])
                if not is_dense:
                    strided.add(value)
                value += 1
                end_reads(len(reads))
                continue
        for operand_node, index in node.inputs:
            read(buffer_of[number[operand_node] + index])
        end_reads(len(reads))
        for type_ in types:
            size = get_size(id(type_))
            append_size(size_of(type_) if size is None else size)
            append_buffer(buffer)
            append_step(step)
            buffer += 1
        value += len(types)
        if op.in_place:
            in_place_steps.append(step)
    homes += [0] * (buffer - len(homes))
    return Buffers(graph, steps, number, buffer_of, strided, sizes, made_at, homes, reads, first_read, in_place_steps)


def last_reads(buffers: Buffers) -> list[int]:
    """Return the last step that reads each buffer; the step that makes it where none does, -1 for unread leaves."""
    ends = np.array(buffers.made_at, np.int64)
    first = np.array(buffers.first_read, np.int64)
    counts: np.ndarray[Any, np.dtype[np.int64]] = first[1:] - first[:-1]
    # Of an index that comes more than once NumPy keeps the last assignment: the last step.
    ends[np.array(buffers.reads, np.int64)] = np.repeat(np.arange(len(counts)), counts)
    return ends.tolist()  # type: ignore[no-any-return]


def live_profile(buffers: Buffers) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bytes that steps have made and still need, at each step of the order `buffers` was found for."""
    ends = np.array(last_reads(buffers), np.int64)
    steps = len(buffers.steps)
    for value in buffers.graph.outputs:
        ends[buffers.buffer_of[buffers.number[value[0]] + value[1]]] = steps
    made = np.array(buffers.homes, np.int64) == Home.ARENA
    starts = np.array(buffers.made_at, np.int64)[made]
    return live_bytes(starts, ends[made], np.array(buffers.sizes, np.int64)[made], steps)


def live_bytes(starts: Any, ends: Any, sizes: Any, steps: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bytes live at each of `steps` steps, for buffers live from `starts` to `ends` (both included)."""
    change = np.zeros(steps + 2, np.int64)
    np.add.at(change, np.maximum(np.asarray(starts, np.int64), 0), np.asarray(sizes, np.int64))
    np.subtract.at(change, np.minimum(np.asarray(ends, np.int64), steps) + 1, np.asarray(sizes, np.int64))
    return np.cumsum(change)[:steps]
