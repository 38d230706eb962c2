"""Kinds of nodes: what one loop nest can compute, and where its operands and its result lie in the loops.

What may enter: questions about one node. Which nodes go together, `graphad.execute.native.fusion` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.elementwise import KINDS, lowering, weight
from graphad.execute.native.regions import NONE, Anchor
from graphad.ir.frozen import frozen
from graphad.ir.node import Node
from graphad.ir.op import Elementwise, Op
from graphad.ir.types import DTYPE_NAMES, DType
from graphad.ops.cast import Cast
from graphad.ops.control import StopGradient
from graphad.ops.creation import Iota
from graphad.ops.reduction import All, Any_, Max, Min, Prod, Reduction, Sum
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.ops.slicing import Pad
from graphad.plan.layout import STRIDES

REDUCTIONS = (Sum, Prod, Max, Min, All, Any_)
FUSIBLE = (Elementwise, Cast, *REDUCTIONS, SafeGather, Pad, Iota)
"""The classes of ops that a loop nest may compute."""

CHEAP = 4
"""Instructions an element that may be computed again instead of stored."""

LARGEST_GROUP = 48
"""Nodes of one group: a long chain is cut into pieces, of which many are equal and compiled once."""
LARGEST_LONG_GROUP = 160
"""The same where the loops are long: reading and writing what passes between pieces would cost more than compiling."""
LONG = 1 << 13
"""Elements of a frame from which loops are long."""


def most_nodes(frame: Iterable[int]) -> int:
    """Return how many nodes a group over a frame may grow to."""
    elements = 1
    for n in frame:
        elements *= n
    return LARGEST_LONG_GROUP if elements >= LONG else LARGEST_GROUP


def fusible(node: Node) -> bool:
    """Tell whether a loop nest can compute `node`: native code exists for it, and no value of it can be refused."""
    op = node.op
    if not node.types or any(n == 0 for v in node.inputs for n in v.type.shape) or 0 in node.types[0].shape:
        return False
    if isinstance(op, (Elementwise, Cast)):
        return op.risk(node.inputs) is None and lowering(op, tuple(v.type.dtype for v in node.inputs)) is not None
    if isinstance(op, (*REDUCTIONS, SafeGather)):
        return native_dtype(node.inputs[0].type.dtype)
    if isinstance(op, Pad):
        return native_dtype(node.types[0].dtype) and node.types[0].ndim > 0
    if isinstance(op, Iota):
        return native_dtype(op.dtype)
    return False


def is_view(node: Node) -> bool:
    """Tell whether the result of a node is its operand's memory, seen another way."""
    return is_view_class(type(node.op))


def is_view_class(cls: type[Op]) -> bool:
    """Tell whether the results of ops of a class are their operands' memory, seen another way."""
    return cls.view and cls.name in STRIDES


def readers_and_views(node: Node, readers: Mapping[Node, Sequence[Node]]) -> list[Node]:
    """Return the nodes that read a node, and those that read a view of it, the views among them."""
    found: list[Node] = []
    stack = list(readers.get(node, ()))
    while stack:
        user = stack.pop()
        found.append(user)
        if is_view(user):
            stack += readers.get(user, ())
    return found


def own_weight(node: Node) -> int:
    """Return roughly how many instructions an element of a fusible node costs."""
    if isinstance(node.op, (Elementwise, Cast)):
        return weight(node.op, node.inputs[0].type.dtype)
    return CHEAP + 1 if loose(node) else 1


def native_dtype(dtype: DType) -> bool:
    """Tell whether generated code has values of a dtype."""
    return DTYPE_NAMES.get(dtype) in KINDS


def loose(node: Node) -> tuple[int, ...]:
    """Return the positions of the operands that are not read where the loops stand: what is indexed, what is padded."""
    return (0,) if isinstance(node.op, (SafeGather, Pad)) else ()


def operand_anchor(node: Node, k: int, anchor: Anchor) -> Anchor:
    """Return where operand k of a node lies whose iteration shape lies at `anchor`; of a loose one, its free axes."""
    if not isinstance(node.op, SafeGather):
        return anchor
    if k:
        return anchor[: node.inputs[k].type.ndim]
    addressed = len(node.inputs) - 1
    return (*(NONE,) * addressed, *anchor[len(anchor) - (node.inputs[0].type.ndim - addressed) :])


def iteration_shape(node: Node) -> tuple[int, ...]:
    """Return the shape that a loop over `node` runs over: its operand's for a reduction, else its result's."""
    type_ = node.inputs[0].type if isinstance(node.op, Reduction) else node.types[0]
    return type_.shape  # type: ignore[return-value]  # native graphs are static


def result_anchor(node: Node, anchor: Anchor) -> Anchor:
    """Return the anchor of the result of a node whose iteration shape lies at `anchor`."""
    if isinstance(node.op, Reduction):
        return tuple([a for k, a in enumerate(anchor) if k not in node.op.axes])
    return anchor


def through_view(node: Node, anchor: Anchor) -> Anchor | None:
    """Return the anchor of the operand of a view at `anchor`; None where the view does more than move axes."""
    op = node.op
    if isinstance(op, Transpose):
        found = [NONE] * len(anchor)
        for k, axis in enumerate(op.permutation):
            found[axis] = anchor[k]
        return tuple(found)
    shape = node.inputs[0].type.shape
    if isinstance(op, BroadcastTo):
        behind = anchor[len(anchor) - len(shape) :]
        return tuple([NONE if n == 1 else a for n, a in zip(shape, behind, strict=True)])
    if isinstance(op, Reshape):
        rest = [(n, a) for n, a in zip(node.types[0].shape, anchor, strict=True) if n != 1]
        if [n for n in shape if n != 1] != [n for n, _ in rest]:
            return None
        left = iter(rest)
        return tuple([NONE if n == 1 else next(left)[1] for n in shape])
    if isinstance(op, StopGradient):
        return anchor
    return None


@frozen(slots=True)
class Kind:
    """What equal ops on operands of equal types have in common.

    Attributes:
        anchor, frame, reduced, depth, weight: those of a group of one such node.
        order: positions of the operands, those of the most bytes first.
        plain: operands and result all lie where the loops stand.
        most: nodes that a group over its frame may grow to.
    """

    anchor: Anchor
    frame: tuple[int, ...]
    reduced: frozenset[int] | None
    depth: int
    weight: int
    order: tuple[int, ...]
    plain: bool
    most: int


def kind_of(node: Node) -> Kind:
    """Return the kind of a fusible node."""
    frame: list[int] = []
    anchor = []
    for n in iteration_shape(node):
        anchor.append(NONE if n == 1 else len(frame))
        if n != 1:
            frame.append(n)
    reduced = None
    if isinstance(node.op, Reduction):
        reduced = frozenset([anchor[axis] for axis in node.op.axes if anchor[axis] != NONE]) or None
    order = sorted(range(len(node.inputs)), key=lambda k: -int(node.inputs[k].type.nbytes))
    plain = isinstance(node.op, (Elementwise, Cast, Iota))
    depth = int(reduced is not None)
    most = most_nodes(frame)
    return Kind(tuple(anchor), tuple(frame), reduced, depth, own_weight(node), tuple(order), plain, most)
