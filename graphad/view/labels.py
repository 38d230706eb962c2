"""What is written in the box of a node, and what its tooltip adds.

A box says what a reader looks for first: the op, its attributes in short, the scalars it takes, the result type. The
tooltip has the whole of it in IR form, with the user's line. What may enter: text made from one node.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from graphad.ir.attributes import attributes, kind_of
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input, SizeValue
from graphad.ir.node import Node
from graphad.ir.printer import attribute_text, print_graph
from graphad.ir.types import TensorType

ARROW = "·"
"""Stands in a label for an operand that an arrow brings."""

MOVEMENTS = frozenset({"broadcast_to", "cast", "reshape"})
"""Ops whose only attribute is what the result type says, and which mostly stand there for the types' sake."""

_BRACKET_LENGTH = 34
_BODY_WIDTH = 30
_BODY_LINES = 3
_TYPES_AT_MOST = 4
_CONTENT_ELEMENTS = 4
_TOOLTIP_LINES = 60
_TOOLTIP_WIDTH = 160


def scalar_text(number: float | str) -> str:
    """Write a scalar as it stands in a box: ``2.0``, ``True``, ``1e-08``; the text of a symbolic size as it is."""
    if not isinstance(number, float):
        return str(number)
    text = f"{number:.6g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def node_lines(node: Node, operands: Sequence[str]) -> tuple[str, ...]:
    """Write the lines of a node's box.

    `operands` has one text an operand: a folded scalar's value, or `ARROW` for what an arrow brings. The first
    line lists them only where arrows alone would not tell: some are scalars.
    """
    op = node.op
    if isinstance(op, Constant):
        return (f"constant{_content(op)}", str(node.types[0]))
    graphs = op.graphs()
    if graphs:
        return (*_body_lines(op.name, graphs[0]), *_type_lines(node.types))
    scalars = [text for text in operands if text != ARROW]
    given = f"({', '.join(operands)})" if scalars else ""
    if op.name in MOVEMENTS:
        return (f"{op.name}{given} {node.types[0]}",)
    return (f"{op.name}{_brackets(node)}{given}", *_type_lines(node.types))


def _content(op: Constant) -> str:
    """The elements of a constant, where they are few."""
    if op.array.size > _CONTENT_ELEMENTS:
        return ""
    return " " + np.array2string(op.array, precision=4, separator=", ").replace("\n", "")


def _brackets(node: Node) -> str:
    given = [(name, value) for name, value in attributes(node.op) if (name, value) != _reversal(node)]
    text = ", ".join(f"{name}={attribute_text(value)}" for name, value in given)
    if not text:
        return ""
    return f"[{text if len(text) <= _BRACKET_LENGTH else text[: _BRACKET_LENGTH - 1] + '…'}]"


def _reversal(node: Node) -> tuple[str, tuple[int, ...]]:
    """The attribute of a plain transpose, as `x.T` makes it; it goes without saying."""
    return "permutation", tuple(reversed(range(len(node.types[0].shape))))


def _type_lines(types: Sequence[TensorType]) -> tuple[str, ...]:
    if len(types) == 1:
        return (str(types[0]),)
    shown = tuple(f"#{index}: {type_}" for index, type_ in enumerate(types[:_TYPES_AT_MOST]))
    return (*shown, f"… {len(types)} results") if len(types) > _TYPES_AT_MOST else shown


def _body_lines(name: str, body: Graph) -> tuple[str, ...]:
    """The op with the names of what its body computes: ``fused: mul, add, tanh``, a few lines at most."""
    counts = list(_runs([node.op.name for node in body.nodes if _computes(node)]))
    called = "" if body.name in (name, "") else f" {body.name}"
    text = f"{name}{called}: {', '.join(counts)}"
    lines = textwrap.wrap(text, _BODY_WIDTH, break_long_words=False) or [name]
    if len(lines) > _BODY_LINES:
        lines = [*lines[:_BODY_LINES], f"… {len(body.nodes)} nodes"]
    return tuple(lines)


def _computes(node: Node) -> bool:
    return not isinstance(node.op, (Input, Constant, SizeValue)) and node.op.name not in MOVEMENTS


def _runs(names: Sequence[str]) -> Iterator[str]:
    """Join equal neighbours: mul, mul, add -> ``2 mul``, ``add``."""
    position = 0
    while position < len(names):
        end = position
        while end < len(names) and names[end] == names[position]:
            end += 1
        count = end - position
        yield f"{count}× {names[position]}" if count > 1 else names[position]
        position = end


def node_tooltip(node: Node, names: Mapping[Node, tuple[str, ...]], folded: Mapping[Node, str]) -> str:
    """Write a node in IR form with its user line and source, role, scope and, for ops that hold graphs, the bodies."""
    op = node.op
    results = ", ".join(f"{name}: {type_}" for name, type_ in zip(names[node], node.types, strict=True))
    if isinstance(op, Input):
        lines = [f"{results} ({op.kind})"]
    elif isinstance(op, Constant):
        lines = [f"{results} = constant{_content(op)}"]
    else:
        operands = ", ".join(folded.get(value.node) or names[value.node][value.index] for value in node.inputs)
        written = ", ".join(
            f"{name}={attribute_text(value)}" for name, value in attributes(op) if kind_of(value) != "graph"
        )
        lines = [f"{results} = {op.name}{f'[{written}]' if written else ''} {operands}".rstrip()]
    lines += _origin(node)
    for body in op.graphs():
        lines += ["", *print_graph(body, constant_limit=64).rstrip().split("\n")]
    if len(lines) > _TOOLTIP_LINES:
        lines = [*lines[:_TOOLTIP_LINES], f"… {len(lines) - _TOOLTIP_LINES} more lines"]
    return "\n".join(line if len(line) <= _TOOLTIP_WIDTH else line[: _TOOLTIP_WIDTH - 1] + "…" for line in lines)


def _origin(node: Node) -> list[str]:
    """The user's line with its source text, and where in the model it stands."""
    lines = []
    if node.location is not None:
        lines.append(f"{node.location.short}: {node.location.source}".rstrip(": "))
    origin = [node.role] if node.role != "forward" else []
    origin += [f"scope {node.scope}"] if node.scope else []
    origin += [f"replica {node.replica}"] if node.replica else []
    return lines + ([", ".join(origin)] if origin else [])
