"""Define by run: tensors with values, on the same graph and compiler.

Operations on a `ga.tensor` record nodes as they always do. A value is computed when it is asked for (`.numpy()`,
`print`, `float`, an `if`), and `backward()` computes gradients: what is recorded becomes a graph whose inputs are the
data, and that graph is optimised and compiled once for each structure. A Python loop of varying length gives a graph
of varying length; a training loop that does the same again runs the same executable.

This room uses only what users can use: ops, `pullback`, `optimize`, `compile`.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.autodiff.between import substitute
from graphad.autodiff.reverse import pullback
from graphad.execute import compile as compile_graph
from graphad.ir.emit import emit, emitting
from graphad.ir.errors import DerivativeError, TraceError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.location import user_location
from graphad.ir.node import Node, Value
from graphad.ir.samples import sample
from graphad.ir.types import as_dtype, is_inexact
from graphad.ir.walk import evaluate
from graphad.ops.control import StopGradient
from graphad.passes import optimize
from graphad.tracing.known import VALUES
from graphad.tracing.tensor import Tensor

if TYPE_CHECKING:
    from graphad.execute import Executable

Array = np.ndarray[Any, Any]

CACHED_STRUCTURES = 256

OFTEN = 8
"""So many times the value of a structure is evaluated op by op before it is compiled."""


@frozen(eq=False)
class Data(Constant):
    """The values of an eager tensor: a constant to a graph that captures it, an input to eager execution."""

    no_gradient = "has no operands"
    samples = (sample(array=np.array([1.5, -0.0])), sample(array=np.array(7, np.int32)))


class _State(threading.local):
    recording: bool = True


_state = _State()
_leaves: weakref.WeakKeyDictionary[Node, weakref.ref[EagerTensor]] = weakref.WeakKeyDictionary()
"""The handle that waits for the gradient of a data node."""


@contextmanager
def no_grad() -> Iterator[None]:
    """Record no gradient: results of the operations inside are constants to `backward`."""
    outer = _state.recording
    _state.recording = False
    try:
        yield
    finally:
        _state.recording = outer


class EagerTensor(Tensor):
    """A tensor whose value can be asked for, and that `backward` fills `.grad` of."""

    __slots__ = ("_requires_grad", "grad")
    passes_on = True

    def __init__(self, value: Value) -> None:
        if not _state.recording and type(value.node.op) is not Data:
            value = Value(emit(StopGradient(), (value,)), 0)
        super().__init__(value)
        self.grad: EagerTensor | None = None
        self._requires_grad = False

    # Gradients.

    @property
    def is_leaf(self) -> bool:
        """Tell whether this tensor holds data rather than the result of an operation."""
        return type(self.value.node.op) is Data

    @property
    def requires_grad(self) -> bool:
        """Tell whether `backward` of this tensor reaches a leaf that asked for a gradient."""
        return self._requires_grad if self.is_leaf else bool(_wanting(self.value))

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise DerivativeError(
                "requires_grad can only be set on a tensor made from data; of a result, use .detach() first",
                location=user_location(),
            )
        if wanted and not is_inexact(self.dtype):
            raise DerivativeError(
                f"only floating-point tensors have gradients, this one is {self.type}; make it .astype(float)",
                location=user_location(),
            )
        self._requires_grad = wanted
        if wanted:
            _leaves[self.value.node] = weakref.ref(self)
        else:
            _leaves.pop(self.value.node, None)

    def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf below it that requires one.

        Args:
            gradient: cotangent of this tensor's shape; may be left out for a scalar.
            create_graph: record the gradients as results, so that they can be differentiated again, rather than
                computing them now.

        Raises:
            DerivativeError: not a scalar and no `gradient`, or nothing below requires a gradient.
        """
        if gradient is None and self.shape != ():
            raise DerivativeError(
                f"backward() of a tensor that is not a scalar ({self.type}) needs a gradient of its shape; or reduce "
                "it first, x.sum().backward()",
                location=user_location(),
            )
        wanting = _wanting(self.value)
        if not wanting:
            raise DerivativeError(
                "nothing below this tensor requires a gradient: make the data with ga.tensor(..., requires_grad=True), "
                "and do not compute under ga.no_grad()",
                location=user_location(),
            )
        seed = np.ones((), self.dtype) if gradient is None else _cotangent(gradient, self)
        found = _gradient_tensors(self, seed, wanting) if create_graph else _gradient_arrays(self, seed, wanting)
        for node, new in zip(wanting, found, strict=True):
            reference = _leaves.get(node)
            leaf = reference() if reference is not None else None
            if leaf is not None:
                leaf.grad = new if leaf.grad is None else _settled(leaf.grad + new, create_graph)

    def detach(self) -> EagerTensor:
        """Return a tensor of the same values that no gradient flows through."""
        return _leaf(self.numpy())

    # Values.

    def __format__(self, specification: str) -> str:
        return format(self.numpy() if self.shape else self.item(), specification) if specification else str(self)

    def __repr__(self) -> str:
        try:
            text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        except TraceError:
            return super().__repr__()
        default = self.dtype in (np.float64, np.int64, np.bool_)
        suffix = ("" if default else f", dtype={self.dtype}") + (", requires_grad=True" if self.requires_grad else "")
        return f"tensor({text}{suffix})"

    # In-place arithmetic gives this handle a new value, as torch's users expect of `w -= rate * w.grad`.

    def _become(self, result: Tensor) -> EagerTensor:
        if not self.is_leaf:
            self.value = result.value
            return self
        if self._requires_grad and _state.recording:
            raise DerivativeError(
                "a tensor that requires a gradient is changed in place: backward() could not tell its old value from "
                "its new one. Update parameters under `with ga.no_grad():`",
                location=user_location(),
            )
        if result.type != self.type:
            raise TraceError(
                f"an in-place operation cannot change {self.type} into {result.type}", location=user_location()
            )
        wanted = self._requires_grad
        self.value = _leaf(value_of(result)).value
        self.requires_grad = wanted
        return self

    def __iadd__(self, other: Any) -> EagerTensor:
        return self._become(self + other)

    def __isub__(self, other: Any) -> EagerTensor:
        return self._become(self - other)

    def __imul__(self, other: Any) -> EagerTensor:
        return self._become(self * other)

    def __itruediv__(self, other: Any) -> EagerTensor:
        return self._become(self / other)

    def __ifloordiv__(self, other: Any) -> EagerTensor:
        return self._become(self // other)

    def __imod__(self, other: Any) -> EagerTensor:
        return self._become(self % other)

    def __ipow__(self, other: Any) -> EagerTensor:
        return self._become(self**other)

    def __imatmul__(self, other: Any) -> EagerTensor:
        return self._become(self @ other)

    def __iand__(self, other: Any) -> EagerTensor:
        return self._become(self & other)

    def __ior__(self, other: Any) -> EagerTensor:
        return self._become(self | other)

    def __ixor__(self, other: Any) -> EagerTensor:
        return self._become(self ^ other)

    def __ilshift__(self, other: Any) -> EagerTensor:
        return self._become(self << other)

    def __irshift__(self, other: Any) -> EagerTensor:
        return self._become(self >> other)

    def __setitem__(self, index: Any, value: Any) -> None:  # type: ignore[override]
        if self._requires_grad and _state.recording:
            super().__setitem__(index, value)  # refuses
        self._become(self.at[index].set(value))


# Making tensors.


def tensor(data: Any, dtype: Any = None, *, requires_grad: bool = False) -> EagerTensor:
    """Return a tensor that holds a copy of `data` (an array, a number, nested lists).

    Raises TypeError for a dtype that graphad does not carry, DerivativeError where integers should have gradients.
    """
    array = np.array(data, None if dtype is None else as_dtype(dtype), copy=True)
    made = _leaf(array.astype(as_dtype(array.dtype), copy=False))
    if requires_grad:
        made.requires_grad = True
    return made


def ones(shape: Any, dtype: Any = np.float64, *, requires_grad: bool = False) -> EagerTensor:
    """Return a tensor of ones."""
    return tensor(np.ones(shape, as_dtype(dtype)), requires_grad=requires_grad)


def zeros(shape: Any, dtype: Any = np.float64, *, requires_grad: bool = False) -> EagerTensor:
    """Return a tensor of zeros."""
    return tensor(np.zeros(shape, as_dtype(dtype)), requires_grad=requires_grad)


def full(shape: Any, value: Any, dtype: Any = None, *, requires_grad: bool = False) -> EagerTensor:
    """Return a tensor that holds `value` everywhere."""
    return tensor(np.full(shape, value), dtype, requires_grad=requires_grad)


def arange(*arguments: Any, dtype: Any = None, requires_grad: bool = False) -> EagerTensor:
    """Return evenly spaced values, as `numpy.arange`."""
    return tensor(np.arange(*arguments), dtype, requires_grad=requires_grad)


def eye(n: int, dtype: Any = np.float64, *, requires_grad: bool = False) -> EagerTensor:
    """Return the identity matrix."""
    return tensor(np.eye(n, dtype=as_dtype(dtype)), requires_grad=requires_grad)


def _leaf(array: Array) -> EagerTensor:
    """Return a tensor of data that nobody else writes to."""
    array.flags.writeable = False
    with emitting("forward"):
        return EagerTensor(Value(emit(Data(array), ()), 0))


def _settled(sum_: Any, keep_graph: bool) -> EagerTensor:
    result: EagerTensor = sum_
    return result if keep_graph else result.detach()


def _cotangent(gradient: Any, of: Tensor) -> Array:
    array = np.asarray(gradient, of.dtype)
    if array.shape != of.shape:
        raise DerivativeError(
            f"the gradient given to backward() has shape {array.shape}, the tensor is {of.type}",
            location=user_location(),
        )
    return array


# From what was recorded to graphs.


@frozen
class Recording:
    """What values depend on, down to where it is cut: `sources` (data, known values), `nodes` in creation order."""

    sources: tuple[Node, ...]
    nodes: tuple[Node, ...]

    def structure(self, outputs: Sequence[Value]) -> tuple[Any, ...]:
        """Return a hashable description that the same computation on other data shares."""
        number = {node: k for k, node in enumerate((*self.sources, *self.nodes))}
        described = tuple(
            (type(n.op), n.op, tuple([(number[v.node], v.index) for v in n.inputs]), n.types) for n in self.nodes
        )
        return (tuple(n.types for n in self.sources), described, tuple((number[v.node], v.index) for v in outputs))

    def arrays(self) -> list[Array]:
        """Return the values at the sources."""
        known = [(n.op.array,) if isinstance(n.op, Constant) else VALUES[n] for n in self.sources]
        return [array for results in known for array in results]

    def graph(self, outputs: Sequence[Value]) -> Graph:
        """Return the computation as a graph whose inputs are the sources."""
        known = [Value(n, i) for n in self.sources for i in range(len(n.types))]
        inputs = [Value(emit(Input(f"x{k}", v.type), ()), 0) for k, v in enumerate(known)]
        cut = dict(zip(known, inputs, strict=True))
        names = tuple(f"out{k}" for k in range(len(outputs)))
        arguments, result = flat_containers(len(inputs), len(outputs))
        labels = tuple(f"x{k}" for k in range(len(inputs)))
        return Graph("eager", tuple(inputs), tuple(substitute(outputs, cut)), labels, names, arguments, result)


def _record(outputs: Sequence[Value], is_source: Callable[[Node], bool]) -> Recording:
    """Walk down from `outputs` to the sources; TraceError where an input of a trace is reached."""
    stack = [v.node for v in outputs]
    seen = set(stack)
    sources: list[Node] = []
    nodes: list[Node] = []
    while stack:
        node = stack.pop()
        if is_source(node):
            sources.append(node)
            continue
        if type(node.op) is Input:
            raise TraceError(
                "the value of a traced array was asked for: its elements are not known while tracing. "
                "Use np.where, or return it as an output",
                location=user_location(),
            )
        nodes.append(node)
        for value in node.inputs:
            if value.node not in seen:
                seen.add(value.node)
                stack.append(value.node)
    sources.sort(key=lambda n: n.serial)
    nodes.sort(key=lambda n: n.serial)
    return Recording(tuple(sources), tuple(nodes))


def _is_data(node: Node) -> bool:
    return type(node.op) is Data


def _is_known(node: Node) -> bool:
    # Arrays are arguments, so that other elements are the same structure; numbers stay, and rules see them.
    return type(node.op) is Data or node in VALUES or (type(node.op) is Constant and node.op.array.ndim > 0)


def _wanting(value: Value) -> list[Node]:
    """Return the data nodes below that wait for a gradient, in creation order; nothing below stop_gradient counts."""
    stack, seen, found = [value.node], {value.node}, []
    while stack:
        node = stack.pop()
        if node in _leaves:
            found.append(node)
        if type(node.op) is StopGradient:
            continue
        for operand in node.inputs:
            if operand.node not in seen:
                seen.add(operand.node)
                stack.append(operand.node)
    return sorted(found, key=lambda n: n.serial)


_compiled: OrderedDict[Any, Executable] = OrderedDict()
_met: OrderedDict[Any, tuple[int, Graph]] = OrderedDict()
"""How often the value of a structure was asked for, and its graph; the latest at the end."""
_lock = threading.Lock()


def _executable(key: Any, build: Callable[[], Graph]) -> Executable:
    """Return the executable of a structure, compiled the first time (least recently used ones are dropped)."""
    with _lock:
        found = _compiled.get(key)
        if found is not None:
            _compiled.move_to_end(key)
            return found
    made = compile_graph(optimize(build()))
    with _lock:
        _compiled[key] = made
        while len(_compiled) > CACHED_STRUCTURES:
            _compiled.popitem(last=False)
    return made


def _met_before(key: Any, build: Callable[[], Graph]) -> tuple[int, Graph]:
    """Return how often a structure has been met before, and its graph with stable arithmetic."""
    with _lock:
        times, graph = _met.get(key, (0, None))
    if graph is None:
        graph = optimize(build(), passes=("stabilize", "contract"))
    with _lock:
        _met[key] = (times + 1, graph)
        _met.move_to_end(key)
        while len(_met) > CACHED_STRUCTURES:
            _met.popitem(last=False)
    return times, graph


def _read_only(arrays: Iterable[Array]) -> tuple[Array, ...]:
    found = tuple(arrays)
    for array in found:
        array.flags.writeable = False
    return found


def value_of(of: Tensor) -> Array:
    """Compute the value of a tensor, if it is not computed yet, and return it as a read-only array.

    A structure is evaluated op by op, after the two passes that reach values, until it has been met often enough to
    be worth compiling: that costs as much as some hundred small ops.

    Raises TraceError where the value depends on an input of a trace.
    """
    node, index = of.value
    if isinstance(node.op, Constant):
        return node.op.array
    if node in VALUES:
        return VALUES[node][index]
    outputs = [Value(node, k) for k in range(len(node.types))]
    recording = _record(outputs, _is_known)
    key = ("value", recording.structure(outputs))
    times, graph = _met_before(key, lambda: recording.graph(outputs))
    arrays: Any
    if times < OFTEN:
        arrays = [np.asarray(array, order="C") for array in evaluate(graph, recording.arrays())]
    else:
        arrays = _executable(key, lambda: recording.graph(outputs))(*recording.arrays())
        arrays = [arrays] if len(outputs) == 1 else arrays
    VALUES[node] = _read_only(arrays)
    return VALUES[node][index]


def _gradient_arrays(of: EagerTensor, seed: Array, wanting: Sequence[Node]) -> list[EagerTensor]:
    recording = _record([of.value], _is_data)
    positions = tuple(recording.sources.index(n) for n in wanting)
    key = ("gradient", recording.structure([of.value]), positions)

    def build() -> Graph:
        forward = recording.graph([of.value])
        cotangent = emit(Input("gradient", of.type), ())
        sources = [Tensor(forward.inputs[k]) for k in positions]
        pulled = pullback([Tensor(forward.outputs[0])], [Tensor(Value(cotangent, 0))], sources)
        gradients = [s.zeros_like() if g is None else g for s, g in zip(sources, pulled, strict=True)]
        outputs = (forward.outputs[0], *(g.value for g in gradients))
        inputs = (*forward.inputs, Value(cotangent, 0))
        arguments, result = flat_containers(len(inputs), len(outputs))
        names = tuple(f"out{k}" for k in range(len(outputs)))
        return Graph("eager", inputs, outputs, (*forward.input_names, "gradient"), names, arguments, result)

    executable = _executable(key, build)
    value, *gradients = _read_only(executable(*recording.arrays(), seed))
    if len(of.value.node.types) == 1 and not of.is_leaf:
        VALUES[of.value.node] = (value,)
    return [_leaf(g) for g in gradients]


def _gradient_tensors(of: EagerTensor, seed: Array, wanting: Sequence[Node]) -> list[EagerTensor]:
    sources = [EagerTensor(Value(n, 0)) for n in wanting]
    pulled = pullback([of], [tensor(seed)], sources)
    zeros_ = [s.zeros_like() if g is None else g for s, g in zip(sources, pulled, strict=True)]
    return [EagerTensor(g.value) for g in zeros_]
