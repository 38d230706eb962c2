"""The door to networkx: other people's graph algorithms on a graph (min-cut, dominators, drawing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphad.ir.errors import MissingExtraError

if TYPE_CHECKING:
    import networkx

    from graphad.ir.graph import Graph


def to_networkx(graph: Graph) -> networkx.MultiDiGraph[Any]:
    """Return a graph as a MultiDiGraph whose nodes are the `Node`s, so that what an algorithm finds is in the IR.

    Nodes, in topological order, have the attributes op (name), name (as printed: ``%x``, or ``%3, %4``), types (as
    printed, a tuple), role, scope, replica and location (``file.py:12`` or ""). Edges go from maker to reader; their
    key is the operand position, their attributes are position, index (which result of the maker is read) and type. The
    graph has the attributes name, inputs and outputs (lists of (node, index)), input_names and output_names.

    Needs networkx; costs several microseconds a node.
    """
    try:
        import networkx as nx
    except ModuleNotFoundError as error:
        raise MissingExtraError("to_networkx needs the package networkx: run `pip install networkx`") from error
    from graphad.ir.printer import location_text, value_names

    found = nx.MultiDiGraph(
        name=graph.name,
        inputs=[(value.node, value.index) for value in graph.inputs],
        outputs=[(value.node, value.index) for value in graph.outputs],
        input_names=graph.input_names,
        output_names=graph.output_names,
    )
    names = value_names(graph)
    for node in graph.nodes:
        found.add_node(
            node,
            op=node.op.name,
            name=", ".join(names[node]),
            types=tuple(map(str, node.types)),
            role=node.role,
            scope=node.scope,
            replica=node.replica,
            location="" if node.location is None else location_text(node.location),
        )
        for position, value in enumerate(node.inputs):
            found.add_edge(value.node, node, position, position=position, index=value.index, type=str(value.type))
    return found
