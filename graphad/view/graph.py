"""`Graph` to `Picture`: which nodes become boxes, where they belong, and what their arrows ask of the layout.

Doors: `Graph.to_dot`, `Graph.to_svg` and notebooks. What may enter: decisions about what of a graph is shown; the text
in a box is `labels`', everything about coordinates is the layouts'.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input, SizeValue
from graphad.ir.node import Node, Value
from graphad.ir.printer import value_names
from graphad.view import dot
from graphad.view.drawing import Arrow, Box, Picture, lay_backward_beside_forward, legend_of
from graphad.view.labels import ARROW, MOVEMENTS, node_lines, node_tooltip, scalar_text
from graphad.view.network_simplex import Edge
from graphad.view.render import picture_to_svg
from graphad.view.rows import assign_rows

_BESIDE_PAYS = 1.5
_BACKWARDS = frozenset({"backward", "update"})


def to_svg(graph: Graph, path: str | os.PathLike[str] | None = None) -> str:
    """Draw `graph` as SVG text, and write it to `path` if given.

    Graphviz lays it out where it is found and quick enough, else the built-in layout: see `render.place`.

    Raises OSError if `path` cannot be written.
    """
    svg = picture_to_svg(picture(graph))
    if path is not None:
        Path(path).write_text(svg, encoding="utf-8")
    return svg


def to_dot(graph: Graph) -> str:
    """Write `graph` as DOT source, for Graphviz."""
    return dot.to_dot(picture(graph))


def picture(graph: Graph) -> Picture:
    """Turn `graph` into boxes and arrows.

    Every node is a box, except scalar constants and broadcasts, casts and reshapes of them, whose value stands in the
    box of each user. Outputs are boxes of their own. Scopes are nested clusters. The backward pass and the updates lie
    beside the forward pass.
    """
    folded = _folded_scalars(graph)
    names = value_names(graph)
    uses = graph.uses()
    argument_names = {value.node: name for value, name in zip(graph.inputs, graph.input_names, strict=True)}
    shown = [node for node in graph.nodes if node not in folded]
    keys = {node: f"n{number}" for number, node in enumerate(shown)}
    backwards = {keys[node] for node in _behind_the_forward_pass(shown)}
    boxes: list[Box] = []
    for node in shown:
        tooltip = node_tooltip(node, names, folded)
        if isinstance(node.op, Input):
            users = [user for user, _ in uses.get(Value(node, 0), ())]
            boxes.append(_argument_box(keys[node], node.op, argument_names[node], tooltip, users, graph))
        else:
            boxes.append(_node_box(keys[node], node, tooltip, folded))
    arrows = [arrow for node in shown for arrow in _arrows(node, keys)]
    for position, (value, name) in enumerate(zip(graph.outputs, graph.output_names, strict=True)):
        source, key = keys[value.node], f"out{position}"
        tooltip = f"output {name}: {value.type} = {names[value.node][value.index]}"
        boxes.append(Box(key, (name,), "output", "ellipse", tooltip, _scope_path(value.node.scope)))
        arrows.append(Arrow(source, key, _result_label(value), "data"))
        if source in backwards:
            backwards.add(key)
    beside = lay_backward_beside_forward(arrows, backwards)
    arranged = beside if _is_shorter(beside, arrows, boxes) else tuple(arrows)
    count = sum(not isinstance(node.op, Input) for node in graph.nodes)
    title = f"{graph.name}: {count} node{'s' if count != 1 else ''}"
    return Picture(title, tuple(boxes), arranged, legend_of(boxes))


def _folded_scalars(graph: Graph) -> dict[Node, str]:
    """Find the nodes that are shown inside the boxes of their users, and their text."""
    outputs = {value.node for value in graph.outputs}
    found: dict[Node, np.generic | str] = {}
    for node in graph.nodes:
        scalar = _scalar(node, found) if node not in outputs else None
        if scalar is not None:
            found[node] = scalar
    return {node: scalar_text(s if isinstance(s, str) else s.item()) for node, s in found.items()}


def _scalar(node: Node, found: Mapping[Node, np.generic | str]) -> np.generic | str | None:
    """The value of a scalar constant, or the text of a size, also after a broadcast, reshape or cast; else None."""
    op = node.op
    if isinstance(op, SizeValue):
        return str(op.size)
    if isinstance(op, Constant):
        return op.array.flat[0] if op.array.size == 1 else None
    if op.name not in MOVEMENTS:
        return None
    source = found.get(node.inputs[0].node)
    if op.name == "cast" and isinstance(source, np.generic):
        with np.errstate(all="ignore"):  # drawing a graph is not the place to complain of nan cast to an integer
            converted: np.generic = source.astype(node.types[0].dtype)
        return converted
    return source


def _behind_the_forward_pass(nodes: Iterable[Node]) -> set[Node]:
    """Find the backward and update nodes, and whatever uses one.

    Closed under use, because no box that is laid out forwards may depend on one that is laid out backwards.
    """
    found: set[Node] = set()
    for node in nodes:
        is_leaf = isinstance(node.op, (Input, Constant))
        if not is_leaf and (node.role in _BACKWARDS or any(value.node in found for value in node.inputs)):
            found.add(node)
    return found


def _is_shorter(beside: Sequence[Arrow], below: Sequence[Arrow], boxes: Sequence[Box]) -> bool:
    """Tell whether the arrows are clearly shorter with the backward pass beside the forward pass than below it.

    They are for all but the smallest graphs; those read better from top to bottom.
    """
    return _BESIDE_PAYS * _length(beside, boxes) < _length(below, boxes)


def _length(arrows: Sequence[Arrow], boxes: Sequence[Box]) -> int:
    """Count the rows that all arrows span."""
    index = {box.key: number for number, box in enumerate(boxes)}
    edges = [Edge(index[arrow.upper], index[arrow.lower], 0 if arrow.rank == "beside" else 1, 1) for arrow in arrows]
    rows = assign_rows(len(boxes), edges)
    return sum(rows[edge.lower] - rows[edge.upper] for edge in edges)


def _argument_box(key: str, op: Input, name: str, tooltip: str, users: list[Node], graph: Graph) -> Box:
    """Draw an argument; parameters, and what is nested in an argument, stand in the scope that uses them."""
    lines = (name, str(op.type))
    is_parameter = op.kind == "parameter" or name in graph.initial
    cluster = _scope_path(_scope_of_users(users)) if is_parameter or "." in name else ()
    if is_parameter:
        return Box(key, lines, "parameter", "box", tooltip, cluster)
    return Box(key, lines, "input", "ellipse", tooltip, cluster)


def _node_box(key: str, node: Node, tooltip: str, folded: Mapping[Node, str]) -> Box:
    lines = node_lines(node, [folded.get(value.node, ARROW) for value in node.inputs])
    if isinstance(node.op, Constant):
        return Box(key, lines, "constant", "box", tooltip, _scope_path(node.scope))
    return Box(key, lines, node.role, "rounded", tooltip, _scope_path(node.scope))


def _scope_path(scope: str) -> tuple[str, ...]:
    return tuple(part for part in scope.split("/") if part)


def _scope_of_users(users: list[Node]) -> str:
    """The innermost scope that holds all forward users of an argument (all users where there are no forward ones)."""
    scopes = {user.scope for user in users if user.role == "forward"} or {user.scope for user in users}
    if not scopes:
        return ""
    # What the first and the last in order share, all share.
    first, last = min(paths := [scope.split("/") for scope in scopes]), max(paths)
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "/".join(name for name, _ in shared)


def _arrows(node: Node, keys: Mapping[Node, str]) -> list[Arrow]:
    """One arrow for each distinct operand that has a box."""
    kind = "state" if node.role == "update" else "data"
    return [
        Arrow(keys[value.node], keys[node], _result_label(value), kind)
        for value in dict.fromkeys(node.inputs)
        if value.node in keys
    ]


def _result_label(value: Value) -> str:
    """Say which result an arrow carries, where a node has several."""
    return f"#{value.index}" if len(value.node.types) > 1 else ""
