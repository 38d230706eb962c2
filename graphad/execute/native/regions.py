"""Region: a graph of ops that one loop nest computes. `graphad.execute.native.fusion` makes them; NumPy reads the body.

A region runs over a *frame*: a list of axes with their sizes. Every value of its body lies along some of them; its
*anchor* says which (NONE for an axis of size 1). Reductions drop the `reduced` axes of the frame, so values are of two
levels: elements, which may lie along all axes, and rows, which do not lie along the reduced ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from graphad.execute.native.addresses import SafeGather
from graphad.ir.body import BodyOp, part_after, part_of
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.reduction import Reduction
from graphad.ops.slicing import Pad

Array = np.ndarray[Any, Any]
Anchor: TypeAlias = tuple[int, ...]
"""Frame axis of each axis of a value; NONE for an axis of size 1 that lies along none."""

NONE = -1


@frozen
class Region(BodyOp, abstract=True):
    """body(*operands): what one loop nest computes.

    Attributes:
        body: elementwise ops, casts, reductions, positions, reads at index tensors, and views that only move axes.
        frame: sizes of the axes that the loops run over.
        reduced: the axes of the frame that the reductions drop, ascending.
        anchors: of the first value of each node of `body`, in order.
    """

    body: Graph
    frame: tuple[int, ...]
    reduced: tuple[int, ...]
    anchors: tuple[Anchor, ...]

    name = "region"
    allocates = False

    def part(self, results: tuple[int, ...], given: tuple[int, ...] = ()) -> tuple[Op, tuple[int, ...]] | None:
        """The region of what these results need; None where reductions are among that, up to what is given.

        The order in which a reduction adds depends on all that its loops compute; elements depend on nothing else.
        So the elements of a row are made again from what the reductions of the row gave.
        """
        anchor_of = dict(zip(self.body.nodes, self.anchors, strict=True))
        body, positions = part_of(self.body, results)
        if given and _reduces(body):
            body, positions, origins = part_after(self.body, results, given)
            anchor_of = {node: anchor_of[origin] for node, origin in origins.items()}
        if not positions or _reduces(body):
            return None
        axes = sorted({a for node in body.nodes for a in anchor_of[node]} - {NONE})
        moved = {NONE: NONE, **{axis: k for k, axis in enumerate(axes)}}
        anchors = tuple([tuple([moved[a] for a in anchor_of[node]]) for node in body.nodes])
        kind = kind_of(body, anchor_of)
        return kind(body, tuple([self.frame[a] for a in axes]), (), anchors), positions


def _reduces(body: Graph) -> bool:
    return any(isinstance(node.op, Reduction) for node in body.nodes)


@frozen
class OverwritingRegion(Region, abstract=True):
    """A region that reads each operand of the type of its first result only where it writes it, before it writes."""

    in_place = True


@frozen
class UpdatingRegion(OverwritingRegion, abstract=True):
    """A region of which that is true for each result: the step of an optimiser that keeps several states a weight."""

    in_place_each = True


def kind_of(body: Graph, anchor_of: Mapping[Node, Anchor]) -> type[Region]:
    """Return the kind of region that a body is."""
    if any(isinstance(node.op, (SafeGather, Pad)) for node in body.nodes):
        return Region  # reads where it does not stand

    def reads_where_it_writes(result: Value) -> bool:
        return all(anchor_of[v.node] == anchor_of[result.node] for v in body.inputs if v.type == result.type)

    if not reads_where_it_writes(body.outputs[0]):
        return Region
    if _reduces(body):
        return OverwritingRegion if _last(body, anchor_of) else Region
    several = len(body.outputs) > 1 and all(map(reads_where_it_writes, body.outputs))
    return UpdatingRegion if several else OverwritingRegion


def drops(op: Reduction, anchor: Anchor) -> bool:
    """Tell whether a reduction of what lies at an anchor goes over more than one element."""
    return any(anchor[axis] != NONE for axis in op.axes)


def _last(body: Graph, anchor_of: Mapping[Node, Anchor]) -> bool:
    """Tell whether the first result is of elements, all of them, and written in the last pass of the loops over them.

    A pass reads elements again that passes before it have read, so only the last may overwrite them.
    """
    made_in: dict[Node, int] = {}  # the pass in which a value can first be computed
    reduced: set[int] = set()
    last = 0
    for node in body.nodes:
        found = max([made_in[value.node] for value in node.inputs], default=0)
        if isinstance(node.op, Reduction) and drops(node.op, anchor_of[node.inputs[0].node]):
            reduced.update([anchor_of[node.inputs[0].node][axis] for axis in node.op.axes])
            last = max(last, found)
            found += 1
        made_in[node] = found
    elements = [value.node for value in body.outputs if reduced & set(anchor_of[value.node])]
    last = max([last, *[made_in[node] for node in elements]])
    first = body.outputs[0].node
    axes = {axis for anchor in anchor_of.values() for axis in anchor}
    return made_in[first] == last and axes <= {NONE, *anchor_of[first]}
