"""Dead code: a graph is what its outputs reach, so dead code leaves with the first rewrite that stops reading it.

The pass makes that a step that can be named, counted and measured: it walks from the outputs anew.
"""

from __future__ import annotations

from graphad.ir.graph import Graph, reachable
from graphad.passes.driver import Journal


def run(graph: Graph, journal: Journal) -> Graph:
    """Return the graph of the nodes that the outputs reach."""
    live = reachable(graph.outputs)
    known = set(live)
    dead = [node for node in graph.nodes[len(graph.inputs) :] if node not in known]
    if dead:
        journal.counts["dead"] += len(dead)
    return graph
