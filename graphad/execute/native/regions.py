"""Region: a graph of ops that one loop nest computes. `graphad.execute.native.fusion` makes them; NumPy reads the body.

A region runs over a *frame*: a list of axes with their sizes. Every value of its body lies along some of them; its
*anchor* says which (NONE for an axis of size 1). Reductions drop the `reduced` axes of the frame, so values are of two
levels: elements, which may lie along all axes, and rows, which do not lie along the reduced ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from graphad.ir.body import BodyOp, part_of
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.reduction import Reduction

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

    def part(self, results: tuple[int, ...]) -> tuple[Op, tuple[int, ...]] | None:
        """The region of what these results need; None where reductions are among that.

        The order in which a reduction adds depends on all that its loops compute; elements depend on nothing else.
        """
        body, positions = part_of(self.body, results)
        if not positions or any(isinstance(node.op, Reduction) for node in body.nodes):
            return None
        anchor_of = dict(zip(self.body.nodes, self.anchors, strict=True))
        axes = sorted({a for node in body.nodes for a in anchor_of[node]} - {NONE})
        moved = {NONE: NONE, **{axis: k for k, axis in enumerate(axes)}}
        anchors = tuple([tuple([moved[a] for a in anchor_of[node]]) for node in body.nodes])
        kind = kind_of(body, anchor_of) if isinstance(self, OverwritingRegion) else Region
        return kind(body, tuple([self.frame[a] for a in axes]), (), anchors), positions


@frozen
class OverwritingRegion(Region, abstract=True):
    """A region that reads each operand of the type of its first result only where it writes it, before it writes."""

    in_place = True


@frozen
class UpdatingRegion(OverwritingRegion, abstract=True):
    """A region of which that is true for each result: the step of an optimiser that keeps several states a weight."""

    in_place_each = True


def kind_of(body: Graph, anchor_of: Mapping[Node, Anchor]) -> type[Region]:
    """Return the kind of region that a body without reductions and scattered reads is."""

    def reads_where_it_writes(result: Value) -> bool:
        return all(anchor_of[v.node] == anchor_of[result.node] for v in body.inputs if v.type == result.type)

    if not reads_where_it_writes(body.outputs[0]):
        return Region
    several = len(body.outputs) > 1 and all(map(reads_where_it_writes, body.outputs))
    return UpdatingRegion if several else OverwritingRegion
