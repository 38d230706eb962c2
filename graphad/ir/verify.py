"""Checks every invariant of the IR; passes and file readers are held to it.

A graph's names, nesting and initial values are its signature; its nodes are checked against what their ops' type rules
give, and graphs among attributes are checked in turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.attributes import MAX_NESTING
from graphad.ir.containers import Branch, Container, Leaf
from graphad.ir.dims import Assumption
from graphad.ir.errors import GraphadError, RuleViolation, VerifyError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import ROLES, Node
from graphad.ir.op import Op
from graphad.ir.types import TensorType, type_of

_ROLES = frozenset(ROLES)

Inferred = dict[tuple[Op, tuple[TensorType, ...]], tuple[TensorType, ...]]


def verify(graph: Graph) -> Graph:
    """Check a graph, and the graphs it holds, and return it.

    Checked are: every node's types against its op's type rule; operands made before they are used and within their
    node's results; roles, scopes and replicas; inputs that are `Input` nodes; distinct names; nesting with as many
    leaves as there are values; initial values and constants.

    Raises VerifyError with the faulty node in IR form and the user's line.
    """
    inferred: Inferred = {}
    checked: set[int] = set()
    pending = [(graph, 1)]
    while pending:
        current, depth = pending.pop()
        if id(current) in checked:
            continue
        checked.add(id(current))
        if depth > MAX_NESTING:
            raise VerifyError(f"graphs are nested more than {MAX_NESTING} deep, at graph {current.name!r}")
        verify_signature(current)
        for node in current.nodes:
            reason = _fault(node, inferred)
            if reason:
                raise _error(current, node, reason)
            if type(node.op).graphs is not Op.graphs:
                pending += [(held, depth + 1) for held in node.op.graphs()]
    return graph


def _fault(node: Node, inferred: Inferred) -> str:
    """What is wrong with a node; "" where nothing is."""
    op, types, serial = node.op, node.types, node.serial
    operands: list[TensorType] = []
    for value in node.inputs:
        maker, index = value
        if not 0 <= index < len(maker.types):
            return f"operand {len(operands)} is result {index} of a node that has {len(maker.types)}"
        if maker.serial >= serial:
            return f"operand {len(operands)} was made after it: nodes must be made in topological order"
        operands.append(maker.types[index])
    if node.role not in _ROLES:
        return f"its role {node.role!r} is not one of {', '.join(ROLES)}"
    if type(node.scope) is not str or type(node.replica) is not int or node.replica < 0:
        return "its scope is a string and its replica a non-negative integer"
    if type(op) is Constant and op.array.flags.writeable:
        return "its array can be written to: constants are read-only"
    key = (op, tuple(operands))
    try:
        expected = inferred.get(key)
        keep = True
    except TypeError:  # an op whose attributes have no hash
        expected, keep = None, False
    if expected is None:
        try:
            found = op.infer(*operands)
        except RuleViolation as violation:
            return f"its type rule refuses the operands: {violation}"
        except (GraphadError, TypeError, ValueError, IndexError, ArithmeticError) as error:
            return f"its type rule fails: {type(error).__name__}: {error}"
        expected = found if isinstance(found, tuple) else (found,)
        if keep:
            inferred[key] = expected
    if types is not expected and types != expected:
        if type(types) is not tuple or not all(isinstance(t, TensorType) for t in types):
            return "its types are not a tuple of tensor types"
        return f"its type rule gives ({', '.join(map(str, expected))})"
    return ""


def _error(graph: Graph, node: Node, reason: str) -> VerifyError:
    return VerifyError(f"graph {graph.name!r}, node `{_shown(graph, node)}`: {reason}", location=node.location)


def _shown(graph: Graph, node: Node) -> str:
    from graphad.ir.printer import print_node

    try:
        return print_node(graph, node)
    except Exception:
        # A node that is not even well-formed enough to print is still named.
        return f"{node.op.name} (serial {node.serial})"


def verify_signature(graph: Graph) -> Graph:
    """Check names, inputs, outputs, nesting, initial values and assumptions of a graph, and return it."""
    where = f"graph {graph.name!r}"
    for value in graph.inputs:
        if type(value.node.op) is not Input or value.index != 0:
            raise _error(graph, value.node, "it is given as an input of the graph, but is no `input`")
        if value.node.op.kind not in ("input", "parameter"):
            raise _error(graph, value.node, f"its kind {value.node.op.kind!r} is neither input nor parameter")
    if len({value.node for value in graph.inputs}) != len(graph.inputs):
        raise VerifyError(f"{where} has an input twice")
    _check_names(f"{where}: the names of the inputs", graph.input_names, len(graph.inputs))
    _check_names(f"{where}: the names of the outputs", graph.output_names, len(graph.outputs))
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        if not 0 <= value.index < len(value.node.types):
            raise _error(graph, value.node, f"output {name!r} is result {value.index} of it")
    if not isinstance(graph.input_container, Branch) or graph.input_container.kind != "tuple":
        raise VerifyError(f"{where}: the nesting of the arguments is a tuple, one container an argument")
    for what, container, count in (
        ("arguments", graph.input_container, len(graph.inputs)),
        ("result", graph.output_container, len(graph.outputs)),
    ):
        leaves = count_leaves(container)
        if leaves != count:
            raise VerifyError(f"{where}: the nesting of the {what} has {leaves} leaves for {count} values")
    types = dict(zip(graph.input_names, graph.input_types, strict=True))
    for name, array in graph.initial.items():
        if name not in types:
            raise VerifyError(f"{where} has an initial value for {name!r}, which is no input")
        if not isinstance(array, np.ndarray) or not _fits(array, types[name]):
            found = type_of(array) if isinstance(array, np.ndarray) else type(array).__name__
            raise VerifyError(f"{where}: the initial value of {name!r} is {found}, not {types[name]}")
    if not all(isinstance(assumption, Assumption) for assumption in graph.assumptions):
        raise VerifyError(f"{where}: what it assumes are `Assumption`s")
    return graph


def _check_names(what: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise VerifyError(f"{what} are {len(names)} for {count} values")
    if len(set(names)) != count:
        repeated = sorted({name for name in names if names.count(name) > 1}) if count < 1000 else ["..."]
        raise VerifyError(f"{what} are not distinct: {', '.join(repeated)}")


def count_leaves(container: Container) -> int:
    """Return the number of leaves of a container."""
    count = 0
    pending: list[Container] = [container]
    while pending:
        item = pending.pop()
        if isinstance(item, Leaf):
            count += 1
        else:
            pending += item.children
    return count


def _fits(array: np.ndarray[Any, Any], type_: TensorType) -> bool:
    """Whether an array has a type, whatever its symbolic sizes will be."""
    if array.dtype != type_.dtype or array.ndim != type_.ndim:
        return False
    return all(not isinstance(m, int) or m == n for m, n in zip(type_.shape, array.shape, strict=True))
