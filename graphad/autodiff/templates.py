"""VJP rules by template: what a rule made for one node is made again for every node of equal op and types.

A rule of the elementwise family that comes with graphad reads of its operands nothing but their types, and most nodes
of a long graph are like many before them. Applying the rule means promoting, broadcasting and inferring types anew;
a template makes the same nodes, of the same ops and types, at a third of the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from graphad.ir.emit import Emission, follow
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value, new_node, new_value
from graphad.ir.op import Elementwise, Op
from graphad.ir.types import TensorType
from graphad.ops.arithmetic import Add
from graphad.ops.shape import BroadcastTo
from graphad.tracing.tensor import Tensor

LONGEST = 32
"""Nodes of a template at most: what takes more is rare."""


class Step(NamedTuple):
    """A node to make: its op, what chooses its operands among what is known, and its types."""

    op: Op
    operands: Callable[[Sequence[Value]], tuple[Value, ...]]
    types: tuple[TensorType, ...]


class Template(NamedTuple):
    """The nodes of a rule, and where among what is known its results are; None where no gradient flows.

    What is known: the cotangent, the operands, the result, and then what the steps make.
    """

    steps: tuple[Step, ...]
    results: tuple[int | None, ...]
    types: tuple[Any, ...]
    """Whose identities are in the key."""


class Templates:
    """The templates of one walk backwards."""

    def __init__(self, here: Emission) -> None:
        """Begin a walk whose nodes take role and replica from `here`."""
        self._role, self._replica = here.role, here.replica
        self._known: dict[Hashable, Template | None] = {}
        self._fit: dict[type[Op], bool] = {}

    def fits(self, op: Op) -> bool:
        """Tell whether a rule reads only the types of operands."""
        kind = type(op)
        known = self._fit.get(kind)
        if known is None:
            own = kind.vjp is Elementwise.vjp and kind.__module__.startswith("graphad.ops.")
            known = self._fit[kind] = own and not op.no_gradient
        return known

    def pulled(self, node: Node, cotangent: Tensor | None, results: Sequence[Value]) -> Sequence[Tensor | None] | None:
        """Return what the rule of a node of one result gives for its cotangent; None where `pull_node` is to be asked.

        That are nodes in scopes, which may be computed again, and cotangents that may be constant.
        """
        if node.scope or cotangent.__class__ is not Tensor or not self.fits(node.op):
            return None
        assert cotangent is not None
        value = cotangent.value
        return None if type(value[0].op) in _CONSTANTS else self.apply(node, [value, *node.inputs, *results])

    def apply(self, node: Node, slots: list[Value]) -> Sequence[Tensor | None] | None:
        """Return what the rule of `node` gives for a cotangent, operands and a result; None where it is to be asked."""
        template = self._known.get(_key(node.op, slots))
        if template is None:
            return None
        location, scope, role, replica = node.location, node.scope, self._role, self._replica
        for op, operands, types in template.steps:
            made = new_node(op, operands(slots), types, location, scope, role, replica)
            slots.append(new_value(Value, (made, 0)))
        return [None if k is None else Tensor(slots[k]) for k in template.results]

    def sum(self, a: Tensor, b: Tensor, node: Node) -> Tensor:
        """Return a + b, as made for `node`."""
        types = a.value[0].types
        if types is not b.value[0].types or len(types) > 1 or type(a) is not Tensor or type(b) is not Tensor:
            follow(node)
            return a + b
        made = new_node(_ADD, (a.value, b.value), types, node.location, node.scope, self._role, self._replica)
        return Tensor(new_value(Value, (made, 0)))

    def learn(self, node: Node, slots: Sequence[Value], results: Sequence[Tensor | None]) -> None:
        """Make a template of what the rule of `node` has just given, where that is plain."""
        key = _key(node.op, slots)
        if key in self._known:
            return
        if len(set(slots)) == len(slots):  # else which of equal operands a step reads is not to be seen
            self._known[key] = _template(slots, [None if t is None else t.value for t in results])


_ADD = Add()
_CONSTANTS = (Constant, BroadcastTo)
_HASH_WITHOUT_ATTRIBUTES = Op.__hash__


def _key(op: Op, slots: Sequence[Value]) -> Hashable:
    """Return what nodes of equal op and types share; a class stands for its ops where they have no attributes."""
    kind = type(op)
    own = kind if kind.__hash__ is _HASH_WITHOUT_ATTRIBUTES else op
    types = slots[0][0].types
    last = len(slots) - 1
    if last <= 3 and types is slots[1][0].types is slots[last - 1][0].types is slots[last][0].types and len(types) == 1:
        return own, id(types[0])  # what most have: at most two operands, and one type
    return (own, *[id(value[0].types[value[1]]) for value in slots])


def _chooser(positions: Sequence[int]) -> Callable[[Sequence[Value]], tuple[Value, ...]]:
    """Return the function that gives the values at these positions."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda slots: tuple([slots[k] for k in positions])


def _template(slots: Sequence[Value], results: Sequence[Value | None]) -> Template | None:
    """Return the nodes that lead from `slots` to `results`; None where they are many, or not all of one result."""
    at = {value: k for k, value in enumerate(slots)}
    before = max([value[0].serial for value in slots])
    found: set[Node] = set()
    stack = [value[0] for value in results if value is not None and value not in at]
    while stack:
        node = stack.pop()
        if node in found:
            continue
        found.add(node)
        if node.serial <= before or len(node.types) != 1 or len(found) > LONGEST:
            return None
        stack += [value[0] for value in node.inputs if value not in at]
    steps = []
    for node in sorted(found, key=lambda each: each.serial):
        steps.append(Step(node.op, _chooser([at[value] for value in node.inputs]), node.types))
        at[Value(node, 0)] = len(at)
    types = tuple([value[0].types[value[1]] for value in slots])
    return Template(tuple(steps), tuple([None if v is None else at[v] for v in results]), types)
