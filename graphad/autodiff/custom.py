"""Derivative rules of the user's own: `custom_vjp` and `custom_jvp`.

The function and its rules are traced to graphs when the function is called on a tensor, and `custom_ops` carries them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.autodiff.between import substitute
from graphad.autodiff.custom_ops import CustomJvp, CustomVjp
from graphad.autodiff.nesting import flatten_as
from graphad.autodiff.opening import label_of, name_of, present
from graphad.ir.containers import Container, flatten, unflatten
from graphad.ir.emit import apply_all, emitting
from graphad.ir.errors import ContainerError, DerivativeError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.location import user_location
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import TensorType, is_inexact
from graphad.tracing.coerce import as_tensor
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import bind_arguments, is_leaf, make_input

Function = Callable[..., Any]


class _WithRules:
    """A function that runs as it is, or, on tensors, makes one node that carries the rules.

    Inside its own rules the function is plain: a rule that contained itself would have no end.
    """

    def __init__(self, function: Function) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._tracing_rules = threading.local()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if getattr(self._tracing_rules, "on", False):
            return self.function(*arguments, **keywords)
        call = _Call(self.function, arguments, keywords)
        if not call.traced:
            return self.function(*arguments, **keywords)
        body, container = call.run(self.function)
        self._tracing_rules.on = True
        try:
            return self._with_rules(call, body, container)
        finally:
            self._tracing_rules.on = False

    def _with_rules(self, call: _Call, body: list[Tensor], container: Container) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say how its rules are kept")


class custom_vjp(_WithRules):  # a decorator, named as in JAX
    """Give a function a VJP of the user's own::

        @ga.custom_vjp
        def f(x, y): ...

        f.defvjp(forward, backward)   # forward(x, y) -> (f(x, y), residuals)
                                      # backward(residuals, cotangent) -> (cotangent of x, cotangent of y)

    A cotangent may be None (no gradient). Arguments and residuals that are not arrays are passed as they are. Tensors
    that the function or its rules close over count as constants: pass what needs a gradient as an argument.
    """

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self._rules: tuple[Function, Function] | None = None

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Set the rules."""
        self._rules = (forward, backward)

    def _with_rules(self, call: _Call, body: list[Tensor], container: Container) -> Any:
        if self._rules is None:
            raise call.fault(f"there is none yet; call {call.name}.defvjp(forward, backward)")
        forward, backward = self._rules
        results, (kept, places) = call.split(forward(*call.arguments), "the forward rule", "residuals")
        primal = call.results_like(results, container, body, "the forward rule's result")
        dynamic = [isinstance(item, (Tensor, np.ndarray, np.generic)) for item in kept]
        residuals, result_inputs = call.after_results(
            [as_tensor(item) for item, has in zip(kept, dynamic, strict=True) if has], primal, body
        )
        with emitting("backward"):
            stand_ins = [make_input(f"residual{i}", t.type) for i, t in enumerate(residuals)]
            cotangents = [
                make_input(f"cotangent{i}", t.type) if is_inexact(t.dtype) else None for i, t in enumerate(body)
            ]
            supply = iter(stand_ins)
            given = [next(supply) if has else item for item, has in zip(kept, dynamic, strict=True)]
            found = call.cotangents(backward(unflatten(places, given), unflatten(container, cotangents)))
        pulled = list(found.values())
        captures = call.captures([*body, *residuals, *pulled])
        op = CustomVjp(
            call.graph(call.stand_ins, body, captures),
            call.graph(call.stand_ins, residuals, captures, result_inputs),
            call.graph([*stand_ins, *present(cotangents)], pulled, captures),
            tuple(found),
            len(captures),
        )
        return call.apply(op, container, captures)


class custom_jvp(_WithRules):  # a decorator, named as in JAX
    """Give a function a JVP of the user's own::

        @ga.custom_jvp
        def f(x, y): ...

        @f.defjvp
        def f_jvp(primals, tangents): ...   # -> (f(*primals), tangent of the result), linear in the tangents

    The tangents of integer arguments are None. Reverse mode transposes the rule. Arguments that are not arrays are
    passed as they are. Tensors that the function or its rule close over count as constants.
    """

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self._rule: Function | None = None

    def defjvp(self, rule: Function) -> Function:
        """Set the rule and return it, so that this serves as a decorator."""
        self._rule = rule
        return rule

    def _with_rules(self, call: _Call, body: list[Tensor], container: Container) -> Any:
        if self._rule is None:
            raise call.fault(f"there is none yet; call {call.name}.defjvp(rule)")
        with emitting("tangent"):
            tangents = [
                make_input(f"tangent{i}", t.type) if is_inexact(t.dtype) else None for i, t in enumerate(call.stand_ins)
            ]
            pair = self._rule(call.arguments, call.nest(tangents))
            results, (_, _) = call.split(pair, "the rule", "tangent")
            primal = call.results_like(results, container, body, "the rule's result")
            floats = [is_inexact(t.dtype) for t in body]
            pushed = call.results_like(pair[1], container, body, "the rule's tangent", floats)
        pushed, result_inputs = call.after_results(pushed, primal, body)
        captures = call.captures([*body, *pushed])
        op = CustomJvp(
            call.graph(call.stand_ins, body, captures),
            call.graph([*call.stand_ins, *result_inputs, *present(tangents)], pushed, captures),
            len(captures),
        )
        return call.apply(op, container, captures)


def is_any_leaf(value: Any) -> bool:
    """Tell whether a value is no container: an array, or anything else that is passed as it is."""
    if is_leaf(value):
        return True
    try:
        flatten(value, lambda inside: inside is not value)
    except ContainerError:
        return True
    return False


class _Call:
    """One call of a function with custom rules: its arguments, and stand-ins for those that are arrays."""

    def __init__(self, function: Function, arguments: Sequence[Any], keywords: dict[str, Any]) -> None:
        self.name = name_of(function)
        positional, names = bind_arguments(function, arguments, keywords)
        self._parts = [flatten(argument, is_any_leaf) for argument in positional]
        self._leaves = [leaf for leaves, _ in self._parts for leaf in leaves]
        self._is_array = [is_leaf(leaf) for leaf in self._leaves]
        self.traced = any(isinstance(leaf, Tensor) for leaf in self._leaves)
        if self.traced:
            self.operands = [as_tensor(x) for x, has in zip(self._leaves, self._is_array, strict=True) if has]
            labels = [
                f"{name}_{i}" for name, (leaves, _) in zip(names, self._parts, strict=True) for i in range(len(leaves))
            ]
            kept = [label for label, has in zip(labels, self._is_array, strict=True) if has]
            self.stand_ins = [make_input(label, t.type) for label, t in zip(kept, self.operands, strict=True)]
            self.arguments = self.nest(self.stand_ins)

    def nest(self, tensors: Iterable[Any]) -> tuple[Any, ...]:
        """Return tensors in place of the array leaves, nested as the arguments."""
        supply = iter(tensors)
        found = []
        flags = iter(self._is_array)
        for leaves, container in self._parts:
            mixed = [next(supply) if next(flags) else leaf for leaf in leaves]
            found.append(unflatten(container, mixed))
        return tuple(found)

    def run(self, function: Function) -> tuple[list[Tensor], Container]:
        """Return the results of the function at the stand-ins, and their nesting."""
        leaves, container = flatten(function(*self.arguments), is_leaf)
        return [as_tensor(leaf) for leaf in leaves], container

    def fault(self, message: str) -> DerivativeError:
        """Return the error that a rule is not as it should be."""
        return DerivativeError(f"custom rule of {self.name}: {message}", location=user_location())

    def split(self, pair: Any, what: str, second: str) -> tuple[Any, tuple[list[Any], Container]]:
        """Return the result and the leaves and nesting of the second part of what a rule gave."""
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise self.fault(f"{what} must give a pair (result, {second})")
        return pair[0], flatten(pair[1], is_any_leaf)

    def results_like(
        self,
        given: Any,
        container: Container,
        body: Sequence[Tensor],
        what: str,
        wanted: Sequence[bool] | None = None,
    ) -> list[Tensor]:
        """Return the tensors of a result nested and typed as the function's; only the `wanted` ones, if said."""
        items = flatten_as(container, given, f"{what} of {self.name}")
        flags = [True] * len(items) if wanted is None else wanted
        return [self._fitted(item, y.type, what) for item, y, has in zip(items, body, flags, strict=True) if has]

    def after_results(
        self, tensors: Sequence[Tensor], primal: Sequence[Tensor], body: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the tensors with stand-ins for the results in place of the results a rule computed, and these."""
        stand_ins = [make_input(f"result{i}", t.type) for i, t in enumerate(body)]
        computed = {
            t.value: y.value
            for t, y in zip(primal, stand_ins, strict=True)
            if type(t.value.node.op) not in (Input, Constant)
        }
        return [Tensor(value) for value in substitute([t.value for t in tensors], computed)], stand_ins

    def cotangents(self, given: Any) -> dict[int, Tensor]:
        """Return the cotangents that a backward rule gave, by position among the operands."""
        if not isinstance(given, tuple) or len(given) != len(self._parts):
            got = f"a tuple of {len(given)}" if isinstance(given, tuple) else f"a {type(given).__name__}"
            raise self.fault(
                f"the backward rule must give a tuple of {len(self._parts)} cotangents, one an argument, not {got}"
            )
        items: list[Any] = []
        for item, (leaves, container) in zip(given, self._parts, strict=True):
            whole = f"the cotangent of {self.name}"
            items += [None] * len(leaves) if item is None else flatten_as(container, item, whole)
        arrays = [item for item, has in zip(items, self._is_array, strict=True) if has]
        return {
            position: self._fitted(item, x.type, f"the cotangent of {label_of(x)}")
            for position, (item, x) in enumerate(zip(arrays, self.stand_ins, strict=True))
            if item is not None and is_inexact(x.dtype)
        }

    def _fitted(self, item: Any, type_: TensorType, what: str) -> Tensor:
        if not is_leaf(item):
            raise self.fault(f"{what} is a {type(item).__name__}, not an array")
        t = as_tensor(item)
        if t.shape != type_.shape:
            raise self.fault(f"{what} has the type {t.type}, not {type_}")
        return ops.cast(t, type_.dtype)

    def captures(self, outputs: Sequence[Tensor]) -> list[Value]:
        """Return the values from outside that `outputs` depend on: those made before the stand-ins."""
        start = self.stand_ins[0].value.node.serial
        found: dict[Value, None] = {}
        seen: set[Node] = set()
        stack = [t.value for t in outputs]
        while stack:
            value = stack.pop()
            node = value.node
            if node.serial < start:
                if type(node.op) is not Constant:
                    found[value] = None
            elif node not in seen:
                seen.add(node)
                stack += node.inputs
        return sorted(found, key=lambda value: (value.node.serial, value.index))

    def graph(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        captures: Sequence[Value],
        last: Sequence[Tensor] = (),
    ) -> Graph:
        """Return the graph from `inputs`, the captured values and `last` to `outputs`."""
        fresh = [make_input(f"captured{i}", value.type) for i, value in enumerate(captures)]
        replaced = {value: t.value for value, t in zip(captures, fresh, strict=True)}
        values = [*(t.value for t in inputs), *(t.value for t in (*fresh, *last))]
        return Graph(
            self.name,
            tuple(values),
            tuple(substitute([t.value for t in outputs], replaced)),
            tuple(f"x{i}" for i in range(len(values))),
            tuple(f"out{i}" for i in range(len(outputs))),
            *flat_containers(len(values), len(outputs)),
        )

    def apply(self, op: Op, container: Container, captures: Sequence[Value]) -> Any:
        """Return the results of `op` on the operands and the captured values."""
        operands = [*self.operands, *(Tensor(value) for value in captures)]
        return unflatten(container, apply_all(op, *operands))
