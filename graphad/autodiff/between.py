"""Walks over the nodes between some inputs and some outputs: what every transformation starts from.

A transformation works on values, not on closed graphs, so that it can be called while a function is being traced and
the function may use tensors from outside. Nothing older than the oldest input can depend on an input (serials grow with
creation), so no walk leaves the part of the graph that was made since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from graphad.ir.emit import handle
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.tracing.tensor import Tensor

_by_serial = attrgetter("serial")


def between(outputs: Iterable[Value], inputs: Collection[Value]) -> list[Node]:
    """Return the nodes that `outputs` reach and that depend on `inputs`, in topological order.

    A node that gives an input is among them only if it depends on another input.
    """
    if not inputs:
        return []
    sources = set(inputs)
    oldest = min(value.node.serial for value in sources)
    seen: set[Node] = set()
    stack = [value.node for value in outputs]
    while stack:
        node = stack.pop()
        if node in seen or node.serial <= oldest:
            continue
        seen.add(node)
        stack += [value[0] for value in node.inputs if value[0] not in seen]
    active: set[Node] = set()
    found: list[Node] = []
    for node in sorted(seen, key=_by_serial):
        for value in node.inputs:
            if value[0] in active or value in sources:
                active.add(node)
                found.append(node)
                break
    return found


def substitute(outputs: Sequence[Value], replacements: Mapping[Value, Value]) -> list[Value]:
    """Return `outputs` with values replaced throughout what they depend on.

    Nodes that do not depend on a replaced value are shared. A replacement is taken as it is: nothing is replaced inside
    it. Types must agree.
    """
    final: dict[Node, tuple[Value, ...]] = {}
    for node, _ in replacements:
        final[node] = tuple([replacements.get(value, value) for value in node.outputs])
    for node in between(outputs, replacements.keys()):
        inputs = tuple([final[value[0]][value[1]] if value[0] in final else value for value in node.inputs])
        made = node.with_inputs(inputs).outputs
        if node in final:  # some of its results are replaced
            made = tuple([replacements.get(old, new) for old, new in zip(node.outputs, made, strict=True)])
        final[node] = made
    return [final[value[0]][value[1]] if value[0] in final else value for value in outputs]


def redirect(outputs: Sequence[Value], replacements: Mapping[Value, Value]) -> list[Value]:
    """Return `outputs` with values replaced throughout, in the very nodes that read them.

    For what a transformation has just made of its own stand-ins, and nobody else has seen: copying it, as `substitute`
    does, takes as long as making it. The replacements must be older than what they replace.
    """
    stand_ins = {value[0] for value in replacements}
    oldest = min([node.serial for node in stand_ins], default=0)
    seen = {value[0] for value in outputs}
    stack = [node for node in seen if node.serial > oldest]
    readers: list[Node] = []
    while stack:
        node = stack.pop()
        reads = False
        for value in node.inputs:
            maker = value[0]
            if maker in seen:
                reads = reads or maker in stand_ins
            elif maker.serial >= oldest:
                seen.add(maker)
                if maker in stand_ins:
                    reads = True
                else:
                    stack.append(maker)
        if reads:
            readers.append(node)
    for node in readers:
        # Past the refusal of nodes to be changed: until its results are handed over, they are the transformation's own.
        object.__setattr__(node, "inputs", tuple([replacements.get(value, value) for value in node.inputs]))
    return [replacements.get(value, value) for value in outputs]


def substitute_tensors(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], replacements: Sequence[Tensor]
) -> list[Tensor]:
    """Return `outputs` with each tensor of `inputs` replaced by that of `replacements`."""
    pairs = {old.value: new.value for old, new in zip(inputs, replacements, strict=True)}
    return [handle(value) for value in substitute([t.value for t in outputs], pairs)]


def residuals(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what `outputs` need beside `inputs`: the values, independent of `inputs`, that dependent nodes read.

    An output that does not depend on `inputs` is one of them. Constants are not: they cost nothing to keep.
    """
    values = [t.value for t in outputs]
    sources = [t.value for t in inputs]
    inside = between(values, sources)
    known = {*inside, *(value.node for value in sources)}
    read = [value for node in inside for value in node.inputs] + values
    found = dict.fromkeys(v for v in read if v.node not in known and type(v.node.op) is not Constant)
    return [handle(value) for value in found]
