"""Building a graph by hand: name the inputs, parameters and outputs, and write NumPy in between."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from graphad.ir.containers import flatten
from graphad.ir.dims import Assumption, Dim, recording
from graphad.ir.errors import TraceError
from graphad.ir.graph import Graph
from graphad.ir.location import user_location
from graphad.ir.types import TensorType, as_dtype, type_of
from graphad.tracing.numpy_errors import explained
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import close, is_leaf, make_input, spec

Array = np.ndarray[Any, Any]


class Builder:
    """Collects the inputs, parameters and outputs of a graph inside a ``with`` block; `graph` is there after it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inputs: dict[str, Tensor] = {}
        self._initial: dict[str, Array] = {}
        self._outputs: dict[str, Any] = {}
        self._result: Any = None
        self._state = "new"
        self._graph: Graph | None = None
        self._recording = recording()
        self._assumptions: Sequence[Assumption] = ()

    def input(self, name: str, shape: int | Dim | Sequence[Dim] = (), dtype: Any = "float64") -> Tensor:
        """Add an argument of the graph and return its tensor."""
        return self._add(name, spec(shape, dtype), "input")

    def parameter(self, name: str, initial: Any, dtype: Any = None) -> Tensor:
        """Add an argument that has an initial value and may be left out of a call; return its tensor."""
        array = np.array(initial, None if dtype is None else as_dtype(dtype))
        array.flags.writeable = False
        tensor = self._add(name, type_of(array), "parameter")
        self._initial[name] = array
        return tensor

    def output(self, *result: Any, **named: Any) -> None:
        """Name the results: ``output(y=tensor, ...)`` for a dict of them, ``output(tensor, ...)`` for a bare result.

        Named outputs may be added in several calls.
        """
        self._check_open("output")
        if not result and not named:
            raise self._error("output() needs at least one tensor")
        if (result and (named or self._outputs)) or (result and self._result is not None):
            raise self._error("the outputs are named, or given once without names; not both")
        if named and self._result is not None:
            raise self._error("the outputs were already given without names")
        twice = sorted(set(named) & set(self._outputs))
        if twice:
            raise self._error(f"there is already an output named {twice[0]!r}")
        self._outputs.update(named)
        if result:
            self._result = result[0] if len(result) == 1 else result

    @property
    def graph(self) -> Graph:
        """Return the finished graph."""
        if self._graph is None:
            raise self._error("the graph is there after the `with` block has ended without an exception")
        return self._graph

    def _add(self, name: str, type_: TensorType, kind: str) -> Tensor:
        self._check_open(kind)
        if not isinstance(name, str) or not name:
            raise self._error(f"the name of an {kind} must be a non-empty string, got {name!r}")
        if name in self._inputs:
            raise self._error(f"there is already an input named {name!r}")
        tensor = self._inputs[name] = make_input(name, type_, kind)
        return tensor

    def _check_open(self, what: str) -> None:
        if self._state == "new":
            raise self._error(f"{what} must be called inside the block: with graphad.build({self.name!r}) as b")
        if self._state == "closed":
            raise self._error(f"{what} was called after the `with` block ended")

    def _error(self, message: str) -> TraceError:
        return TraceError(f"build {self.name!r}: {message}", location=user_location())

    def __enter__(self) -> Builder:
        if self._state != "new":
            raise self._error("a builder makes one graph; call graphad.build again")
        self._state = "open"
        self._assumptions = self._recording.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "closed"
        self._recording.__exit__(kind, error, traceback)
        if error is not None:
            better = explained(error) if isinstance(error, Exception) else None
            if better is not None:
                raise better from error
            return
        if self._result is None and not self._outputs:
            raise self._error("no outputs: call b.output(y=tensor) before the block ends")
        inputs = tuple(self._inputs.values())
        _, container = flatten(inputs, is_leaf)
        self._graph = close(
            self.name,
            inputs,
            container,
            self._outputs if self._result is None else self._result,
            self._assumptions,
            self._initial,
        )


def build(name: str = "graph") -> Builder:
    """Start a graph that is built by hand.

    with ga.build("mlp") as b:
        x = b.input("x", (128, 64), "float32")
        w = b.parameter("w", initial_array)
        b.output(y=np.tanh(x @ w))
    graph = b.graph
    """
    return Builder(name)
