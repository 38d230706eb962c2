"""Compares two graphs node by node: what is only in one, what is in both but changed, what is the same.

Nodes are matched in linear walks. Forwards, a node is the same where op, types, origin and (matched) operands are;
what is left over matches where the op class and the operands agree, so its attributes or types changed. Backwards from
the outputs, what still is left matches by position where the op class agrees, so its operands changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from graphad.ir.attributes import attributes, kind_of
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.printer import attribute_text, container_line, node_line, value_names

Operands = tuple[tuple[int, int], ...]
Names = dict[Node, tuple[str, ...]]


@frozen
class Change:
    """A node that is in both graphs, and what differs: texts such as ``axes: (0,) -> (1,)``."""

    before: Node
    after: Node
    differences: tuple[str, ...]


@frozen
class GraphDiff:
    """What differs between the graphs `a` and `b`; prints as lines with ``-`` (only in a), ``+`` (only in b), ``~``.

    Attributes:
        signature: differences in name, inputs, outputs, nesting, initial values and assumptions, one text each.
        only_a, only_b: nodes of one graph alone, in topological order.
        changed: nodes of both that differ, in the order of b.
        same: the number of nodes that do not differ.
    """

    a: Graph
    b: Graph
    signature: tuple[str, ...]
    only_a: tuple[Node, ...]
    only_b: tuple[Node, ...]
    changed: tuple[Change, ...]
    same: int

    @property
    def equal(self) -> bool:
        """Tell whether there is no difference."""
        return not (self.signature or self.only_a or self.only_b or self.changed)

    def __str__(self) -> str:
        if self.equal:
            return f"the graphs are equal ({self.same} nodes)"
        before, after = value_names(self.a), value_names(self.b)
        lines = [f"~ {text}" for text in self.signature]
        for mark, nodes, names in (("-", self.only_a, before), ("+", self.only_b, after)):
            lines += [f"{mark} {_node_text(node, names)}" for node in nodes]
        for change in self.changed:
            lines.append(f"~ {_node_text(change.after, after)}")
            lines += [f"    {text}" for text in change.differences]
        counts = f"{len(self.only_a)} only in a, {len(self.only_b)} only in b, {len(self.changed)} changed"
        return "\n".join([*lines, f"{counts}, {self.same} the same"])


def diff(a: Graph, b: Graph) -> GraphDiff:
    """Compare two graphs node by node. Locations do not count; ``diff(a, b).equal`` exactly where ``a == b``."""
    match = _Matching(a, b)
    match.inputs()
    match.forwards()
    match.backwards()
    before, after = value_names(a), value_names(b)
    partners = match.partners
    changed: list[Change] = []
    same = 0
    for node in b.nodes:
        partner = partners.get(node)
        if partner is None:
            continue
        differences = tuple(_differences(partner, node, match, before, after))
        if differences:
            changed.append(Change(partner, node, differences))
        else:
            same += 1
    taken = set(partners.values())
    only_a = tuple(node for node in a.nodes if node not in taken)
    only_b = tuple(node for node in b.nodes if node not in partners)
    signature = tuple(_signature_differences(a, b, match, before, after))
    if not (signature or only_a or only_b or changed) and a != b:
        # Nodes that are alike in everything were matched in another order than their readers were.
        signature = ("nodes that are alike are shared differently",)
    return GraphDiff(a, b, signature, only_a, only_b, tuple(changed), same)


class _Classes:
    """Numbers the nodes of a graph so that those with equal ops, operands, types and origin have one number."""

    def __init__(self, graph: Graph) -> None:
        self.number: dict[Node, int] = {}
        self.siblings: dict[Hashable, list[Node]] = {}
        """Nodes of one op class on the same operands, by `sibling_key`."""
        known: dict[Hashable, int] = {}
        for node in graph.nodes:
            if type(node.op) is Input:
                self.number[node] = len(self.number)
                continue
            operands = self.operands(node)
            self.number[node] = known.setdefault(_exact_key(node, operands), len(self.number))
            self.siblings.setdefault(_sibling_key(node, operands), []).append(node)

    def operands(self, node: Node) -> Operands:
        return tuple([(self.number[v[0]], v[1]) for v in node.inputs])


class _Matching:
    """`partners` maps nodes of b to nodes of a."""

    def __init__(self, a: Graph, b: Graph) -> None:
        self.a = a
        self.b = b
        self.classes = _Classes(a)
        self.partners: dict[Node, Node] = {}
        self.taken: set[Node] = set()

    def pair(self, before: Node, after: Node) -> None:
        self.partners[after] = before
        self.taken.add(before)

    def inputs(self) -> None:
        """Match inputs by name, and those left over by position where the types agree."""
        before = dict(zip(self.a.input_names, self.a.inputs, strict=True))
        for name, value in zip(self.b.input_names, self.b.inputs, strict=True):
            if name in before:
                self.pair(before[name].node, value.node)
        for old, new in zip(self.a.inputs, self.b.inputs, strict=False):
            if old.node not in self.taken and new.node not in self.partners and old.type == new.type:
                self.pair(old.node, new.node)

    def forwards(self) -> None:
        """Match nodes whose operands are matched: first those that are the same, then those that changed."""
        exact: dict[Hashable, deque[Node]] = {}
        loose: dict[Hashable, deque[Node]] = {}
        for node in self.a.nodes:
            if type(node.op) is not Input:
                operands = self.classes.operands(node)
                exact.setdefault(_exact_key(node, operands), deque()).append(node)
                loose.setdefault(_sibling_key(node, operands), deque()).append(node)
        # Siblings are matched together, so that a changed one never takes the partner of one that is the same.
        for siblings in _Classes(self.b).siblings.values():
            for index, key in ((exact, _exact_key), (loose, _sibling_key)):
                for node in siblings:
                    mapped = self.mapped_operands(node)
                    if node in self.partners or mapped is None:
                        continue
                    candidates = index.get(key(node, mapped), ())
                    while candidates and candidates[0] in self.taken:
                        candidates.popleft()
                    if candidates:
                        self.pair(candidates[0], node)

    def mapped_operands(self, node: Node) -> Operands | None:
        """Return the operands of a node of b as those of a that are their partners; None where one has none."""
        found = []
        for value in node.inputs:
            partner = self.partners.get(value[0])
            if partner is None:
                return None
            found.append((self.classes.number[partner], value[1]))
        return tuple(found)

    def backwards(self) -> None:
        """Match what is left from the outputs on, by position, where the op class agrees."""
        pending = deque(zip(self.a.outputs, self.b.outputs, strict=False))
        seen: set[Node] = set()
        while pending:
            (before, _), (after, _) = pending.popleft()
            if after in seen:
                continue
            if (
                after not in self.partners
                and before not in self.taken
                and type(before.op) is type(after.op) is not Input
            ):
                self.pair(before, after)
            if self.partners.get(after) is before:
                seen.add(after)
                pending.extend(zip(before.inputs, after.inputs, strict=False))

    def same_value(self, before: Value, after: Value) -> bool:
        """Tell whether a value of b is that of a, or one that is alike."""
        partner = self.partners.get(after.node)
        number = self.classes.number
        return partner is not None and number[partner] == number[before.node] and after.index == before.index


def _exact_key(node: Node, operands: Operands) -> Hashable:
    op: Hashable = node.op
    try:
        hash(op)
    except TypeError:  # attributes without a hash
        op = tuple((name, attribute_text(value)) for name, value in attributes(node.op))
    return (type(node.op), op, operands, node.types, node.role, node.scope, node.replica)


def _sibling_key(node: Node, operands: Operands) -> Hashable:
    # Without operands there is nothing but the type to tell constants apart by.
    return (type(node.op), operands or node.types)


def _differences(before: Node, after: Node, match: _Matching, old_names: Names, new_names: Names) -> Iterator[str]:
    """Say what differs between two nodes that are matched."""
    old, new = dict(attributes(before.op)), dict(attributes(after.op))
    if type(after.op) is not Input and before.op != after.op:
        for name in dict.fromkeys((*old, *new)):
            was, is_ = getattr(before.op, name), getattr(after.op, name)
            written = attribute_text(was), attribute_text(is_)
            if written[0] != written[1]:
                yield f"{name}: {written[0]} -> {written[1]}"
            elif kind_of(was) in ("array", "graph", "opaque") and _unequal(was, is_):
                yield f"{name}: another {written[1]}"
    if type(after.op) is Input and before.op.kind != after.op.kind:  # type: ignore[attr-defined]
        yield f"kind: {before.op.kind} -> {after.op.kind}"  # type: ignore[attr-defined]
    if before.types != after.types:
        yield f"types: {', '.join(map(str, before.types))} -> {', '.join(map(str, after.types))}"
    for what in ("role", "scope", "replica"):
        if type(after.op) is not Input and getattr(before, what) != getattr(after, what):
            yield f"{what}: {getattr(before, what)!r} -> {getattr(after, what)!r}"
    if len(before.inputs) != len(after.inputs):
        yield f"operands: {len(before.inputs)} -> {len(after.inputs)}"
    for position, (was_, is__) in enumerate(zip(before.inputs, after.inputs, strict=False)):
        if not match.same_value(was_, is__):
            yield f"operand {position}: {_value_text(was_, old_names)} -> {_value_text(is__, new_names)}"


def _unequal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes())
    return bool(a != b)


def _signature_differences(a: Graph, b: Graph, match: _Matching, old_names: Names, new_names: Names) -> Iterator[str]:
    """Say what differs between two graphs beside their nodes."""
    if a.name != b.name:
        yield f"name: {a.name} -> {b.name}"
    for what in ("input_names", "output_names", "input_container", "output_container"):
        was, is_ = getattr(a, what), getattr(b, what)
        if was != is_:
            shown = [", ".join(x) if isinstance(x, tuple) else container_line(x) for x in (was, is_)]
            yield f"{what.replace('_', ' ')}: {shown[0]} -> {shown[1]}"
    for position, (old, new) in enumerate(zip(a.outputs, b.outputs, strict=False)):
        if not match.same_value(old, new):
            yield f"output {position}: {_value_text(old, old_names)} -> {_value_text(new, new_names)}"
    for name in dict.fromkeys((*a.initial, *b.initial)):
        if name not in a.initial or name not in b.initial:
            yield f"initial value of {name}: only in {'a' if name in a.initial else 'b'}"
        elif _unequal(a.initial[name], b.initial[name]):
            yield f"initial value of {name}: another content"
    yield from (f"assumption only in a: {x}" for x in a.assumptions if x not in set(b.assumptions))
    yield from (f"assumption only in b: {x}" for x in b.assumptions if x not in set(a.assumptions))


def _value_text(value: Value, names: Names) -> str:
    """Name a value with its op, as the two graphs may number their nodes differently."""
    name = names[value.node][value.index]
    return name if type(value.node.op) is Input else f"{name} ({value.node.op.name})"


def _node_text(node: Node, names: Names) -> str:
    if type(node.op) is Input:
        return f"{names[node][0]}: {node.types[0]} (input)"
    return node_line(node, names).replace("\n", "\n  ")
