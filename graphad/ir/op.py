"""The base class of ops, and the families that keep their rules few.

An op is a frozen dataclass: its fields are its attributes. Everything it *means* stands in its class: type rule, NumPy
evaluation, derivative, batching, samples. What a backend does with it stands with the backend.

Rules that emit nodes (`partials`, `transpose`, `vjp`, `jvp`, `batch`) are written on `Tensor`s, with the operators and
the lower-case functions of `graphad.ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphad.ir.dims import Dim, Size, substitute
from graphad.ir.emit import apply
from graphad.ir.errors import DerivativeError, fail
from graphad.ir.frozen import fields, frozen, replace
from graphad.ir.samples import Sample
from graphad.ir.types import DType, TensorType, kind_of

if TYPE_CHECKING:
    from graphad.ir.graph import Graph
    from graphad.ir.node import Value
    from graphad.tracing.tensor import Tensor

    Tensors = tuple[Tensor, ...]
    Cotangents = tuple[Tensor | None, ...]
    """One a value; None where no gradient flows."""
    Tangents = tuple[Tensor | None, ...]
    """One a value; None where it is zero."""

Array = np.ndarray[Any, Any]

OPS: dict[str, type[Op]] = {}
"""Every concrete op class by its printed name; the parser and the op table read it."""


@frozen
class Op:
    """One kind of operation. Subclasses are frozen dataclasses whose fields are the attributes.

    A subclass without attributes inherits its dataclass from here and needs no decorator of its own, which would cost
    half a millisecond of import time each.
    """

    name: ClassVar[str]
    """Printed name; snake case of the class name unless set."""
    view: ClassVar[bool] = False
    """`evaluate` returns a NumPy view of operand 0 wherever its strides allow, and touches no element."""
    in_place: ClassVar[bool] = False
    """Output 0 may lie in the buffer of any operand of its type: element k is written after element k was read."""
    overwrites: ClassVar[tuple[int, ...] | None] = None
    """The positions of the operands that `in_place` is true of; None: of all."""
    in_place_each: ClassVar[bool] = False
    """`in_place` is true of each output, in buffers of their own: all operands are read at k before any is written."""
    allocates: ClassVar[bool] = True
    """`evaluate_into` needs temporaries of its own."""
    copies: ClassVar[float] = 3.0
    """How many times the bytes of operands and results these take at most, together."""
    may_raise: ClassVar[bool] = False
    """`evaluate` refuses some values at run time (a singular matrix). `evaluate_into` does so before it writes."""
    samples: ClassVar[tuple[Sample, ...]] = ()
    """Operands and attributes on which the op table tests every rule."""
    no_gradient: ClassVar[str] = ""
    """Why no gradient flows through this op ("" where one does); declares a hole in the derivative table."""

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if abstract:
            return
        if "name" not in cls.__dict__:
            cls.name = _snake_case(cls.__name__)
        registered = OPS.get(cls.name)
        # `dataclass(slots=True)` makes the class twice; a second class of another module is a clash.
        if registered is not None and registered.__module__ != cls.__module__:
            raise TypeError(f"op name {cls.name!r} is taken by {registered.__module__}.{registered.__qualname__}")
        OPS[cls.name] = cls

    # Operands come by position. `*operands: Any, **none: Any` lets each op name its own and keep their types strict.

    def infer(self, *operands: Any, **none: Any) -> TensorType | tuple[TensorType, ...]:
        """Return the result type(s), or `fail` with a reason."""
        raise NotImplementedError(f"{type(self).__name__} has no type rule")

    def evaluate(self, *operands: Any, **none: Any) -> Array | tuple[Array, ...]:
        """Return the result array(s): NumPy's meaning of the op."""
        raise NotImplementedError(f"{type(self).__name__} has no NumPy evaluation")

    def evaluate_into(self, out: tuple[Array, ...], *operands: Any, **none: Any) -> None:
        """Write the results into the arrays `out`. Ops with `allocates = False` do so without temporaries."""
        results = self.evaluate(*operands)
        for target, result in zip(out, results if isinstance(results, tuple) else (results,), strict=True):
            np.copyto(target, result, casting="no")

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """Return the most bytes that `evaluate_into` allocates at once, for static types; some kilobytes are not
        counted.
        """
        if self.view:
            return sum([int(t.nbytes) for t in results])  # a copy, where no view can be had
        if not self.allocates:
            return 0
        return math.ceil(self.copies * sum([int(t.nbytes) for t in (*operands, *results)]))

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """Pull cotangents of the results back to the operands (None: no gradient flows)."""
        raise DerivativeError(f"op {self.name} has no VJP rule")

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """Push tangents of the operands forward to the results (None: zero). Without it, double VJP serves."""
        raise DerivativeError(f"op {self.name} has no JVP rule")

    def batch(self, batched: tuple[bool, ...], *operands: Any, **none: Any) -> Tensor | tuple[Tensor, ...]:
        """Apply the op to operands of which the `batched` ones have one more axis, in front; results have it too.

        Without this rule `vmap` unrolls the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no batching rule")

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """Return the number of floating-point operations; data movement costs none."""
        return 0

    def risk(self, operands: tuple[Value, ...]) -> Hashable | None:
        """Return what decides whether `evaluate` refuses these operands; None where it never does.

        Where two steps have one risk, the later is safe once the earlier has run. Nothing that outlives a call is
        overwritten before the last step that may refuse.
        """
        if self.may_raise or any(n.op.risk(n.inputs) is not None for graph in self.graphs() for n in graph.nodes):
            return id(self), operands
        return None

    def graphs(self) -> tuple[Graph, ...]:
        """Return the graphs among the attributes (loops, calls, fused bodies)."""
        return ()

    def part(self, results: tuple[int, ...], given: tuple[int, ...] = ()) -> tuple[Op, tuple[int, ...]] | None:
        """Return an op that gives only these results, the same to the bit, and which operands it takes; None if none.

        Of n operands, position n + k is the node's own result k, one of those `given`: it is there already.
        Recomputation uses it: not all that a node gives need be wanted again.
        """
        return None

    def bind(self, binding: Mapping[str, Dim]) -> Op:
        """Substitute symbolic sizes in the attributes."""
        changes = {}
        for field in fields(type(self)):
            old = getattr(self, field.name)
            new = _bind_attribute(old, binding)
            if new is not old:
                changes[field.name] = new
        return replace(self, **changes) if changes else self

    @classmethod
    def has_rule(cls, rule: str) -> bool:
        """Tell whether this class or its family gives a rule ("vjp", "jvp", "batch") of its own."""
        return getattr(cls, rule) is not getattr(Op, rule)


def _snake_case(name: str) -> str:
    """Return ``reduce_sum`` for ``ReduceSum``; letters in a row stay together."""
    text = name[0]
    for before, letter in pairwise(name):
        text += f"_{letter}" if letter.isupper() and not before.isupper() else letter
    return text.lower()


def _bind_attribute(value: Any, binding: Mapping[str, Dim]) -> Any:
    if isinstance(value, Size):
        return substitute(value, binding)
    if isinstance(value, TensorType):
        shape = _bind_attribute(value.shape, binding)
        return value if shape is value.shape else value.with_shape(shape)
    if type(value) is tuple:
        items = tuple(_bind_attribute(item, binding) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def scale(g: Tensor, partial: Any) -> Tensor | None:
    """g * partial, where a partial of 1, -1 or None costs nothing.

    A partial may also be a function: a diagonal linear map, for what `g * partial` would make `0 * inf` of.
    """
    if partial is None:
        return None
    if callable(partial):
        mapped: Tensor = partial(g)
        return mapped
    if isinstance(partial, (int, float)):
        if partial == 1:
            return g
        if partial == -1:
            return -g
    product_: Tensor = g * partial
    return product_


def add_all(terms: list[Tensor | None]) -> Tensor | None:
    """Sum of the terms that are not None; None where there are none."""
    total: Tensor | None = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


class Elementwise(Op, abstract=True):
    """y[k] = f(x[k], ...): operands of one shape and dtype (`Tensor` inserts broadcasts and casts before it).

    `ufunc` evaluates it; `partials(*operands, y)` gives one partial an operand: a Tensor, a Python number, None where
    no gradient flows, or, where `g * partial` would be `0 * inf`, a function that maps a (co)tangent.
    """

    ufunc: ClassVar[Any]
    """NumPy ufunc (or a function with `out=`) that evaluates the op."""
    arity: ClassVar[int] = 1
    kinds: ClassVar[str] = "f"
    """Kinds of the dtypes that the operands may have, as `kind_of` gives them: some of "biufc"."""
    cost: ClassVar[int] = 1
    """Floating-point operations an element."""
    in_place = True
    allocates = False

    def result_dtype(self, dtype: DType) -> DType:
        """Return the result's dtype for operands of `dtype`."""
        return dtype

    def infer(self, *operands: Any, **none: Any) -> TensorType:
        """Operands of equal type; the result has their shape."""
        if len(operands) != self.arity:
            fail(f"takes {self.arity} operand(s)")
        first = operands[0]
        for other in operands[1:]:
            if other is not first and other != first:
                fail("operands must have one shape and dtype")
        if first.dtype.kind not in self.kinds and kind_of(first.dtype) not in self.kinds:
            fail(f"is not defined for {first.dtype}")
        dtype = self.result_dtype(first.dtype)
        return first if dtype is first.dtype else TensorType(dtype, first.shape)

    def evaluate(self, *operands: Any, **none: Any) -> Array:
        """ufunc(*operands)."""
        result: Array = self.ufunc(*operands)
        return result

    def evaluate_into(self, out: tuple[Array, ...], *operands: Any, **none: Any) -> None:
        """ufunc(*operands, out=out)."""
        self.ufunc(*operands, out=out[0])

    def partials(self, *operands_and_result: Any, **none: Any) -> tuple[Any, ...]:
        """Return one partial derivative an operand."""
        if not self.no_gradient:
            raise DerivativeError(f"op {self.name} has no partials")
        return (None,) * self.arity

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """g * partial for each operand."""
        (g,) = cotangents
        if g is None or self.no_gradient:
            return (None,) * len(operands)
        return tuple(scale(g, partial) for partial in self.partials(*operands, *results))

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """Sum of tangent * partial over the operands."""
        if self.no_gradient:
            return (None,)
        partials = self.partials(*operands, *results)
        return (add_all([None if t is None else scale(t, p) for t, p in zip(tangents, partials, strict=True)]),)

    def batch(self, batched: tuple[bool, ...], *operands: Any, **none: Any) -> Tensor:
        """Broadcast the operands without the batch axis, then apply."""
        shape = operands[batched.index(True)].shape
        return apply(self, *(x if b else x.broadcast_to(shape) for x, b in zip(operands, batched, strict=True)))

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """`cost` an element."""
        return self.cost * results[0].size


class Linear(Op, abstract=True):
    """Linear in its floating-point operands, or in those at the positions `linear`.

    `transpose(g, *operands)` gives the operand's cotangent (a tuple of them for several operands, None where the op is
    not linear in one); of the operands it may use only types and the non-linear ones. The JVP is the op itself.
    """

    linear: ClassVar[tuple[int, ...] | None] = None

    def linear_positions(self, count: int) -> tuple[int, ...]:
        """Return the positions of the operands that the op is linear in."""
        return tuple(range(count)) if self.linear is None else self.linear

    def transpose(self, g: Tensor, *operands: Any, **none: Any) -> Tensor | tuple[Tensor | None, ...] | None:
        """Apply the transposed linear map to the cotangent `g`."""
        raise DerivativeError(f"op {self.name} has no transpose rule")

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The transposed map, applied to the cotangent."""
        (g,) = cotangents
        if g is None or self.no_gradient:
            return (None,) * len(operands)
        pulled = self.transpose(g, *operands)
        return pulled if isinstance(pulled, tuple) else (pulled,)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The op itself, applied to the tangents (zeros where there is none)."""
        linear = self.linear_positions(len(operands))
        if self.no_gradient or all(tangents[i] is None for i in linear):
            return (None,)
        arguments = list(operands)
        for i in linear:
            tangent = tangents[i]
            arguments[i] = operands[i].zeros_like() if tangent is None else tangent
        return (apply(self, *arguments),)


class Bilinear(Op, abstract=True):
    """Linear in each of its two operands: give `vjp`; the JVP is op(da, b) + op(a, db)."""

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """op(da, b) + op(a, db)."""
        a, b = operands
        da, db = tangents
        return (add_all([None if da is None else apply(self, da, b), None if db is None else apply(self, a, db)]),)


class General(Op, abstract=True):
    """Any other op: give `vjp`, and `jvp` where double VJP is not good enough.

    It counts as one that may raise unless it says otherwise.
    """

    may_raise = True


def function_of(cls: type[Op]) -> Callable[..., Tensor]:
    """Return the lower-case function that applies an op without attributes: ``sin = function_of(Sin)``."""
    op = cls()

    def function(*operands: Tensor) -> Tensor:
        return apply(op, *operands)

    function.__name__ = function.__qualname__ = cls.name
    function.__doc__ = cls.__doc__
    return function
