"""Checkpointing: reverse mode computes the values inside a function again instead of keeping them.

`checkpoint` only puts a function's nodes under a scope of its own ("checkpoint", "checkpoint2", ...), so graphs print,
save and optimise as ever. `Recomputation` is what reverse mode asks for operands: where a node of such a scope reads a
value made inside it, the value's copy, of the role "recompute" and a higher `replica`, which no pass merges with the
first. What enters the scope from outside is kept, as in JAX. Scopes nest: a copy of the outer one is what the inner one
is computed from again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from typing import Any

from graphad.ir.containers import flatten
from graphad.ir.emit import emission, scope
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.tracing.tensor import Tensor

Regions = tuple[str, ...]
"""Scopes of checkpointed functions that a node lies in, the outermost first."""

_NAME = "checkpoint"
_COMPONENT = r"checkpoint[0-9]*"


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make reverse mode through `function` keep its arguments alone, and compute what lies between again.

    Args:
        function: of arrays, as `trace` takes it. Called on tensors, its nodes lie in the scope "checkpoint" (with a
            number, where its arguments come straight from another).

    Values and gradients keep every bit. ``compile(..., memory=)`` finds such places by itself; this is for people who
    want to say where.
    """

    @functools.wraps(function)
    def checkpointed(*arguments: Any, **keywords: Any) -> Any:
        with scope(_fresh_name((arguments, keywords))):
            return function(*arguments, **keywords)

    return checkpointed


def _fresh_name(arguments: Any) -> str:
    """Return a name for a scope in the current one that no argument was made in: functions in a row stay apart."""
    from graphad.autodiff.custom import is_any_leaf

    around = f"{emission.scope}/" if emission.scope else ""
    leaves, _ = flatten(arguments, is_any_leaf)
    taken = {x.value.node.scope.removeprefix(around).split("/")[0] for x in leaves if isinstance(x, Tensor)}
    number = 1
    while (name := _NAME if number == 1 else f"{_NAME}{number}") in taken:
        number += 1
    return name


@functools.lru_cache(maxsize=4096)
def regions_of(scope_path: str) -> Regions:
    """Return the paths of the checkpointed scopes along a scope."""
    if _NAME not in scope_path:
        return ()
    parts = scope_path.split("/")
    return tuple("/".join(parts[: k + 1]) for k, part in enumerate(parts) if re.fullmatch(_COMPONENT, part))


class Recomputation:
    """The values that one walk backwards computes again."""

    def __init__(self, kept: Collection[Value]) -> None:
        """Begin a walk; the values `kept` are never computed again: derivatives are taken by them."""
        self._kept = kept
        self._copies: dict[tuple[Node, Regions], Node] = {}

    def seen_from(self, node: Node, value: Value) -> Value:
        """Return what the derivative of `node` reads for `value`, an operand or a result: itself or its copy."""
        inside = _regions(node)
        return self._copied(value, inside) if inside else value

    def _copied(self, value: Value, inside: Regions) -> Value:
        common = self._common(value, inside)
        if not common:
            return value
        known = self._copies.get((value.node, common))
        return Value(known or self._copy(value.node, common), value.index)

    def _common(self, value: Value, inside: Regions) -> Regions:
        """Return the scopes that a value is computed again in, of those `inside`."""
        if value in self._kept:
            return ()
        count = 0
        for ours, theirs in zip(_regions(value.node), inside, strict=False):
            if ours != theirs:
                break
            count += 1
        return inside[:count]

    def _copy(self, node: Node, inside: Regions) -> Node:
        """Copy a node and, before it, what it is computed from in these scopes (iteratively: functions are long)."""
        stack = [(node, inside)]
        while stack:
            node, inside = stack[-1]
            if (node, inside) in self._copies:
                stack.pop()
                continue
            needed = [(v.node, self._common(v, inside)) for v in node.inputs]
            waiting = [pair for pair in needed if pair[1] and pair not in self._copies]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            inputs = tuple([self._copied(v, inside) for v in node.inputs])
            again = node.replica + len(inside)
            self._copies[node, inside] = Node(
                node.op, inputs, node.types, node.location, node.scope, "recompute", again
            )
        return self._copies[node, inside]


def _regions(node: Node) -> Regions:
    """Return the checkpointed scopes that a node is recomputed in: those of the function, not of its derivatives."""
    if node.role != "forward" or type(node.op) is Input or type(node.op) is Constant:
        return ()
    return regions_of(node.scope)
