"""Graphs on which text, files, the verifier and the comparison are tested, and ops that hold graphs for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphad as ga
import graphad.ops  # registers the ops
from graphad.ir.dims import Dim, Size
from graphad.ir.emit import emit, emitting
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import OPS, General, Op
from graphad.ir.types import NAMES, DType, TensorType, dtype_named, type_of

F64 = np.dtype(np.float64)


def graph_of(inputs: dict[str, TensorType], make: Callable[..., Any], name: str = "g", **more: Any) -> Graph:
    """Build a graph of plain inputs: `make` takes their values and gives a value or a tuple of them."""
    values = tuple(Value(Node(Input(label, type_), (), (type_,)), 0) for label, type_ in inputs.items())
    made = make(*values)
    outputs = made if type(made) is tuple else (made,)
    names = ("out",) if len(outputs) == 1 else tuple(f"out{k}" for k in range(len(outputs)))
    arguments, result = flat_containers(len(values), len(outputs))
    return Graph(name, values, outputs, tuple(inputs), names, arguments, result, **more)


def put(op: Op, *operands: Value) -> Value:
    """Apply an op and return its first result."""
    return Value(emit(op, operands), 0)


def constant(array: Any) -> Value:
    """Return a constant as a value."""
    return put(Constant(np.asarray(array)))


def chain(length: int) -> Graph:
    """Return a chain of additions."""
    x = Value(Node(Input("x", TensorType(F64, (8, 5))), (), (TensorType(F64, (8, 5)),)), 0)
    last = x
    add = OPS["add"]()
    with emitting("forward"):
        for _ in range(length):
            last = Value(emit(add, (last, x)), 0)
    return Graph("chain", (x,), (last,), ("x",), ("out",), *flat_containers(1, 1))


def mlp() -> Graph:
    """Return a traced graph with nested arguments and a nested result."""

    def loss(params: Any, x: Any) -> Any:
        with ga.scope("layer"):
            h = np.tanh(x @ params["w1"])
        return {"sum": np.sum(h, axis=0), "all": [h * 2.5, np.arange(32.0).reshape(8, 4)]}

    return ga.trace(loss, {"w1": ga.spec((5, 4))}, ga.spec((8, 5)))


def symbolic() -> Graph:
    """Return a traced graph over named sizes, with an assumption."""
    n = ga.dim("batch")
    return ga.trace(
        lambda x, y: np.sum(np.reshape(x, (n * 6,))) + np.sum(y * 2.0), ga.spec((2 * n, 3)), ga.spec((n + 1,))
    )


def odd_elements(dtype: DType) -> np.ndarray[Any, Any]:
    """Return an array of the elements of a dtype that are hardest to write."""
    if dtype.kind == "b":
        return np.array([True, False])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.min, 0, limits.max], dtype)
    if dtype.kind == "c":
        parts = odd_elements(np.dtype(f"f{dtype.itemsize // 2}"))
        pairs = np.stack([parts, parts[::-1]], axis=1)
        return np.ascontiguousarray(pairs).view(dtype).reshape(-1)
    if dtype.itemsize == 2:
        nans = np.array([0x7FC1, 0xFFC1, 0x7FA1], "u2").view(dtype)
        return np.concatenate([nans, np.array([0.1, -0.0, np.inf, np.nan, 1 / 3], dtype)])
    bits = {4: (0x7FC00001, 0xFFC00000, 0x7F800001), 8: (0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001)}
    nans = np.array(bits[dtype.itemsize], f"u{dtype.itemsize}").view(dtype)
    limits_ = np.finfo(dtype)
    rest = np.array([0.1, -0.0, np.inf, -np.inf, np.nan, limits_.max, limits_.smallest_subnormal, 1 / 3], dtype)
    return np.concatenate([nans, rest])


def all_dtypes() -> Graph:
    """Return a graph of constants of every dtype: hard elements, none at all, one, many, and many axes."""
    rng = np.random.default_rng(0)
    arrays = []
    for dtype in map(dtype_named, NAMES):
        odd = odd_elements(dtype)
        arrays += [odd, odd[:0].reshape(0, 3), odd[0].reshape(()), np.tile(odd, 9), odd[:2].reshape(1, 2, 1)]
        arrays.append(
            np.frombuffer(rng.bytes(17 * dtype.itemsize), dtype) if dtype.kind != "b" else rng.random(20) > 0.5
        )
    return graph_of({}, lambda: tuple(constant(a) for a in arrays), name="dtypes")


def same_bits(a: Graph, b: Graph) -> bool:
    """Tell whether the outputs, all constants, are the same bits."""
    left = [value.node.op.array for value in a.outputs]
    right = [value.node.op.array for value in b.outputs]
    return len(left) == len(right) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(left, right, strict=True)
    )


@contextmanager
def graph_holding_ops() -> Iterator[tuple[type[Op], type[Op], type[Op]]]:
    """Define ops that hold graphs and every other kind of attribute, known to the registry inside only."""
    before = dict(OPS)

    @dataclass(frozen=True)
    class Held(General):
        """The results of a graph."""

        body: Graph
        note: str = ""

        name = "held"

        def graphs(self) -> tuple[Graph, ...]:
            return (self.body,)

        def infer(self, *operands: TensorType) -> tuple[TensorType, ...]:
            return self.body.output_types

    @dataclass(frozen=True)
    class Choice(General):
        """The result of one of several graphs."""

        branches: tuple[Graph, ...]
        default: int = 0

        name = "choice"

        def graphs(self) -> tuple[Graph, ...]:
            return self.branches

        def infer(self, *operands: TensorType) -> tuple[TensorType, ...]:
            return self.branches[0].output_types

    @dataclass(frozen=True)
    class Everything(General):
        """Every kind of attribute."""

        flag: bool
        count: int
        factor: float
        text: str
        maybe: int | None
        size: Dim
        dtype: DType
        type: TensorType
        nested: tuple[tuple[Dim, ...], ...]
        mixed: tuple[bool, float, str]
        function: Callable[..., Any] | None = None
        either: Size | float | None = None
        usual: float = 0.0

        name = "everything"

        def infer(self, *operands: TensorType) -> TensorType:
            return self.type

    @dataclass(frozen=True, eq=False)
    class Table(General):
        """An array attribute, compared by identity."""

        table: np.ndarray[Any, Any]

        name = "table"

        def infer(self, *operands: TensorType) -> TensorType:
            return type_of(self.table)

    try:
        yield Held, Choice, Everything, Table
    finally:
        OPS.clear()
        OPS.update(before)


def changed(node: Node, **changes: Any) -> Node:
    """Return a node like `node` with fields changed, be they wrong."""
    names = ("op", "inputs", "types", "location", "scope", "role", "replica")
    made = Node(*[changes.get(name, getattr(node, name)) for name in names])
    object.__setattr__(made, "serial", changes.get("serial", node.serial))
    return made
