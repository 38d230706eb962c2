"""Loop nests: the canonical form that code is generated from.

Which axes are loops, in which order, which one runs in vector lanes, in how many passes a row is gone over, and what
each pass needs. `nest_building` brings regions into this form. Equal nests (same instructions, same strides; sizes do
not count) are equal code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from graphad.execute.native.lanes import bits_of
from graphad.ir.frozen import frozen
from graphad.ir.op import Op
from graphad.ops.creation import Iota
from graphad.ops.reduction import Reduction

CHUNK = 2048
"""Elements along the vector axis that a unit of a nest without reductions covers at most."""
WIDEST_BLOCK = 256
"""Columns that one unit sums side by side."""
UNROLLED_BLOCK = 256
"""Elements along the vector axis that a unit of a nest with unrolled axes covers: each is a lot of work."""
PARTIAL = 1 << 14
"""Elements of one partial result where everything is reduced: fixed, so that results do not depend on the threads."""
CACHED = 10
"""Instructions an element from which a value that two passes need is kept in scratch instead of computed twice."""
CACHE_BYTES = 1 << 17
"""Bytes of scratch a thread for such values."""


@frozen(slots=True)
class Access:
    """Where a value lies in memory: buffer `index` of the kernel, and the stride in elements along each frame axis.

    `offset` counts elements from the beginning of the buffer to the value's first.
    """

    index: int
    kind: str
    strides: tuple[int, ...]
    offset: int = 0


@frozen(slots=True)
class Indexed:
    """A read at positions that are computed: `steps` are the strides of the axes that the operands address."""

    access: Access
    steps: tuple[int, ...]


@frozen(slots=True)
class Window:
    """Where along a frame axis a padded operand is: at ``low + k * (gap + 1)`` for k in [0, size)."""

    axis: int
    low: int
    size: int
    gap: int
    stride: int


@frozen(slots=True)
class Padded:
    """A read inside windows, zero outside; `access` has no stride along the axes of the windows."""

    access: Access
    windows: tuple[Window, ...]


@frozen(slots=True)
class Instruction:
    """One value of the nest.

    Attributes:
        what: a load (`Access`, `Indexed`, `Padded`), an `Op`, a Python number (constant), or a `Late` constant.
        operands: positions of earlier instructions.
        kind: of the result.
        along: the frame axes that the value lies along.
        stage: the pass in which it can first be computed.
    """

    what: Any
    operands: tuple[int, ...]
    kind: str
    along: frozenset[int]
    stage: int
    weight: int


@frozen(slots=True)
class Late:
    """A constant that the kernel is given at run time: its place among them."""

    index: int


@frozen(slots=True)
class Nest:
    """A loop nest.

    Attributes:
        instructions: values in order.
        stores: the instruction and the place of each result.
        outer: the axes that units run over, outermost first; the vector axis is the last of them if it is here.
        inner: the reduced axes, outermost first; the vector axis is the last of them if it is here.
        vector: the axis that runs in lanes; None where there is no axis.
        sizes: size of each axis, by axis (merged axes have the size of the whole).
        lanes: elements computed at once.
        late: bit patterns of the constants given at run time.
        passes: passes over a row.
        unrolled: instructions stand for components of values, whose other axes are short. No result may lie where an
            operand does: the last vector begins early rather than leave a tail, so a few elements are made twice.
    """

    instructions: tuple[Instruction, ...]
    stores: tuple[tuple[int, Access], ...]
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    vector: int | None
    sizes: dict[int, int]
    lanes: int
    late: tuple[int, ...]
    passes: int
    unrolled: bool = False

    @property
    def vector_inside(self) -> bool:
        """Tell whether the lanes run along a reduced axis."""
        return self.vector is not None and self.vector in self.inner

    @property
    def rows(self) -> tuple[int, ...]:
        """Return the outer axes without the vector axis."""
        return tuple([a for a in self.outer if a != self.vector])

    @property
    def inner_size(self) -> int:
        """Return the number of elements of a row."""
        total = 1
        for axis in self.inner:
            total *= self.sizes[axis]
        return total

    @property
    def tail(self) -> bool:
        """Tell whether the vector axis leaves elements that fill no vector."""
        return self.vector is not None and not self.unrolled and self.sizes[self.vector] % self.lanes != 0

    @property
    def buffers(self) -> int:
        """Return how many buffers the nest reads and writes."""
        loads = [access.index for i in self.instructions if (access := access_of(i.what)) is not None]
        return 1 + max([*loads, *(access.index for _, access in self.stores)], default=-1)

    def work(self) -> int:
        """Return a rough number of scalar instructions of the whole nest."""
        elements = self.inner_size
        for axis in self.outer:
            elements *= self.sizes[axis]
        each = sum(i.weight for i in self.instructions if len(i.along) == len(self.outer) + len(self.inner))
        return elements * (each + len(self.stores) + 1)

    def key(self) -> str:
        """Return what the code depends on, as text."""
        described = []
        for i in self.instructions:
            what = i.what
            if isinstance(what, Op):
                what = (type(what).__name__, [getattr(what, f) for f in _code_fields(what)])
            described.append((what, i.operands, i.kind, sorted(i.along), i.stage))
        # The number of elements of a row decides whether values of a row are kept in scratch.
        return repr(
            (
                described,
                self.stores,
                self.outer,
                self.inner,
                self.vector,
                self.lanes,
                self.unrolled,
                self.tail,
                self.passes,
                self.block,
                cached(self),
                self.partial,
            )
        )

    @property
    def block(self) -> int:
        """Return the elements along the vector axis of one unit, where lanes do not run along a reduced axis.

        Where one pass goes down columns, a block is wide, so that memory is read in long pieces: its running results
        lie in memory that stays in the first-level cache. A block does not depend on the number of threads.
        """
        if self.unrolled:
            return UNROLLED_BLOCK
        if not self.inner or self.vector is None:
            return CHUNK
        if self.passes > 1:
            return self.lanes
        quarter = self.sizes[self.vector] // 4
        return max(self.lanes, min(WIDEST_BLOCK, 1 << max(quarter.bit_length() - 1, 0)))

    @property
    def partial(self) -> bool:
        """Tell whether everything is reduced in parts, whose results a second kernel joins."""
        return bool(not self.outer and self.inner and self.passes == 1 and self.inner_size > 2 * PARTIAL)


def access_of(what: Any) -> Access | None:
    """Return the access of a load of any kind; None for what is not a load."""
    if isinstance(what, (Indexed, Padded)):
        return what.access
    return what if isinstance(what, Access) else None


def _code_fields(op: Op) -> list[str]:
    """Return the attributes of an op that its code depends on: not those that only say shapes and axes."""
    if isinstance(op, (Reduction, Iota)):
        return []
    return list(op.__dataclass_fields__)


def element_level(nest: Nest, instruction: Instruction) -> bool:
    """Tell whether a value is computed inside the innermost loops rather than once a unit."""
    if nest.inner:
        return bool(instruction.along & set(nest.inner))
    return nest.vector is not None and nest.vector in instruction.along


def cached(nest: Nest) -> tuple[int, ...]:
    """Return the instructions whose values a row keeps in scratch from one pass to the next."""
    if nest.passes < 2:
        return ()
    lanes = 1 if nest.vector_inside else nest.lanes
    found: list[int] = []
    room = CACHE_BYTES
    for k, instruction in enumerate(nest.instructions):
        if instruction.weight < CACHED or not element_level(nest, instruction):
            continue
        size = nest.inner_size * lanes * max(bits_of(instruction.kind) // 8, 1)
        if size <= room and len(_passes_of(nest, k)) > 1:
            room -= size
            found.append(k)
    return tuple(found)


def cache_sizes(nest: Nest) -> list[int]:
    """Return the bytes of scratch of each value that `cached` gives."""
    lanes = 1 if nest.vector_inside else nest.lanes
    found = []
    for k in cached(nest):
        nbytes = nest.inner_size * lanes * max(bits_of(nest.instructions[k].kind) // 8, 1)
        found.append(-(-nbytes // 64) * 64)
    return found


def _passes_of(nest: Nest, wanted: int) -> set[int]:
    """Return the passes in which the value of an instruction is needed."""
    found: set[int] = set()
    for p in range(nest.passes):
        if wanted in needed(nest, p, ()):
            found.add(p)
    return found


def roots(nest: Nest, p: int) -> list[int]:
    """Return the instructions whose values pass `p` is made for: operands of reductions, and elements to be stored."""
    found: list[int] = []
    for i in nest.instructions:
        if isinstance(i.what, Reduction) and i.stage == p + 1:
            found.append(i.operands[0])
    found += [k for k, access in nest.stores if stored_inside(nest, access) and nest.instructions[k].stage == p]
    return found


def stored_inside(nest: Nest, access: Access) -> bool:
    """Tell whether a result is written inside the innermost loops rather than once a unit."""
    if nest.inner:
        return any(access.strides[a] for a in nest.inner)
    return nest.vector is not None


def in_scratch(nest: Nest, p: int) -> frozenset[int]:
    """Return the instructions whose values lie in scratch when pass `p` begins: an earlier pass needed them."""
    return frozenset(k for k in cached(nest) if min(_passes_of(nest, k)) < p)


def needed(nest: Nest, p: int, kept: Collection[int]) -> list[int]:
    """Return the instructions inside the innermost loops of pass `p`, in order; `kept` are in scratch."""
    seen: set[int] = set()
    stack = roots(nest, p)
    while stack:
        k = stack.pop()
        i = nest.instructions[k]
        if k in seen or not element_level(nest, i):
            continue
        seen.add(k)
        if k not in kept:
            stack += i.operands
    return sorted(seen)
