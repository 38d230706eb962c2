"""What a convolution kernel is for: sizes, strides and offsets, and how spread-out images fall apart into phases.

What may enter: facts about convolutions that need no generated code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from graphad.ir.frozen import frozen, replace
from graphad.ops.convolution import Conv

Sizes = tuple[int, ...]


@frozen(slots=True)
class Layout:
    """How an array of the shape of the results lies in its buffer.

    Attributes:
        kind: of its elements: "f32", "bool", ...
        strides: of batch, group, out and space; 0 where it repeats.
        offset: of its element of index 0.
    """

    kind: str
    strides: Sizes
    offset: int = 0

    def with_strides(self, strides: Sizes) -> Layout:
        """Return the layout with other strides."""
        return Layout(self.kind, strides, self.offset)


@frozen(slots=True)
class Convolution:
    """y[n,g,o,t] = sum over i, k of x'[n,g,i, t*steps + k*dilation] w[g,o,i,k]: all that decides the code of a kernel.

    Strides and offsets count elements and may have any sign, so that transposed, reversed and sliced operands are
    read where they lie. The offset of an array is where its element of index 0 lies in its buffer.

    Attributes:
        kind: "f32" or "f64".
        batch, groups, inner, out: the counts of n, g, i and o.
        space, kernel, results: sizes of x, w and y along the spatial axes, of which there are at least two.
        steps, before, dilation, spread: of each spatial axis: distance of windows, zeros in front of x (negative: x is
            cut), distance of a window's elements, distance of x's elements in x'. Behind x, zeros go on.
        x_strides: of batch, group, channel and space; w_strides: of group, out, channel and kernel.
        ends: y; with an epilogue, the arrays that it reads, then those that it writes.
    """

    kind: str
    batch: int
    groups: int
    inner: int
    out: int
    space: Sizes
    kernel: Sizes
    results: Sizes
    steps: Sizes
    before: Sizes
    dilation: Sizes
    spread: Sizes
    x_strides: Sizes
    w_strides: Sizes
    ends: tuple[Layout, ...]
    x_offset: int = 0
    w_offset: int = 0

    @property
    def item(self) -> int:
        """Return the bytes of one element."""
        return int(self.kind[1:]) // 8

    @property
    def rank(self) -> int:
        """Return how many spatial axes there are."""
        return len(self.space)

    @property
    def products(self) -> int:
        """Return how many multiplications there are."""
        pairs = self.batch * self.groups * self.inner * self.out
        return pairs * math.prod(self.kernel) * math.prod(self.results)

    def reach(self, axis: int, count: int) -> int:
        """Return how many elements of x' lie under `count` neighbouring windows of one axis."""
        return (count - 1) * self.steps[axis] + max(self.kernel[axis] - 1, 0) * self.dilation[axis] + 1


def contiguous(shape: Sequence[int]) -> Sizes:
    """Return the strides, in elements, of an array in row-major order."""
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def of_op(
    op: Conv,
    kind: str,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    x_strides: Sequence[int] | None = None,
    w_strides: Sequence[int] | None = None,
    ends: Sequence[Layout] | None = None,
    offsets: tuple[int, int] = (0, 0),
) -> Convolution:
    """Return what a `Conv` op asks for.

    Args:
        op: the op, its sizes bound.
        kind: "f32" or "f64".
        x_shape, w_shape, y_shape: of the operands and the result, as the op has them.
        x_strides, w_strides: in elements, one for each of their axes; row-major if not given.
        ends: as `Convolution` has them, but with one stride for each axis of y; y in row-major order if not given.
        offsets: where element 0 of x and w lies in its buffer, in elements.
    """
    groups = int(op.groups)
    inner, out = w_shape[1], w_shape[0] // groups
    xs, ws = (
        tuple(given) if given is not None else contiguous(shape)
        for given, shape in ((x_strides, x_shape), (w_strides, w_shape))
    )
    if ends is None:
        ends = (Layout(kind, contiguous(y_shape)),)
    space, kernel, results = tuple(x_shape[2:]), tuple(w_shape[2:]), tuple(y_shape[2:])
    steps, dilation, spread = op.strides, op.dilation, op.lhs_dilation
    before = tuple(int(low) for low, _ in op.padding)
    xs = (xs[0], inner * xs[1], *xs[1:])
    ws = (out * ws[0], *ws)
    made = Convolution(
        kind,
        x_shape[0],
        groups,
        inner,
        out,
        space,
        kernel,
        results,
        steps,
        before,
        dilation,
        spread,
        xs,
        ws,
        tuple([end.with_strides((end.strides[0], out * end.strides[1], *end.strides[1:])) for end in ends]),
        *offsets,
    )
    made = with_joined_space(made)
    while made.rank < 2:
        made = with_axis(made)
    return made


ROW = 512
"""How wide rows may become where space may be cut into rows at will."""


def with_joined_space(c: Convolution) -> Convolution:
    """Return the same convolution with two spatial axes, if its windows are single elements in the order of memory."""
    rank = c.rank
    single = all(
        (k, step, low, spread, n) == (1, 1, 0, 1, m)
        for k, step, low, spread, n, m in zip(c.kernel, c.steps, c.before, c.spread, c.space, c.results, strict=True)
    )
    ordered = all(
        strides[axis] == strides[axis + 1] * n
        for strides in (c.x_strides[3:], *(end.strides[3:] for end in c.ends))
        for axis, n in enumerate(c.space[1:])
    )
    if rank < 2 or not (single and ordered):
        return c
    size = math.prod(c.space)
    width = divisor(size, ROW)
    space = (size // width, width)

    def joined(strides: Sizes) -> Sizes:
        return (*strides[:3], strides[-1] * width, strides[-1])

    return replace(
        c,
        space=space,
        kernel=(1, 1),
        results=space,
        steps=(1, 1),
        before=(0, 0),
        dilation=(1, 1),
        spread=(1, 1),
        x_strides=joined(c.x_strides),
        w_strides=(*c.w_strides[:3], 0, 0),
        ends=tuple([end.with_strides(joined(end.strides)) for end in c.ends]),
    )


def with_axis(c: Convolution) -> Convolution:
    """Return the same convolution with a first spatial axis of size 1."""

    def more(strides: Sizes) -> Sizes:
        return (*strides[:3], 0, *strides[3:])

    return replace(
        c,
        space=(1, *c.space),
        kernel=(1, *c.kernel),
        results=(1, *c.results),
        steps=(1, *c.steps),
        before=(0, *c.before),
        dilation=(1, *c.dilation),
        spread=(1, *c.spread),
        x_strides=more(c.x_strides),
        w_strides=more(c.w_strides),
        ends=tuple([end.with_strides(more(end.strides)) for end in c.ends]),
    )


def phases(c: Convolution) -> list[Convolution]:
    """Return convolutions without spread that make up c: each gives every so-manieth result from part of the kernel.

    Where no element of the kernel meets one of x, what is left of the kernel is empty and the results are 0.
    """
    if all(step == 1 for step in c.spread):
        return [c]
    axes = [list(_phases_of_axis(c, axis)) for axis in range(c.rank)]
    return [made for parts in itertools.product(*axes) if (made := _phase(c, parts)) is not None]


@frozen(slots=True)
class _Part:
    """One phase of one axis: results first, first + every, ... from kernel elements k, k + hop, ..."""

    first: int
    every: int
    k: int
    hop: int
    step: int
    before: int
    dilation: int


def _phases_of_axis(c: Convolution, axis: int) -> Iterator[_Part]:
    step, low, dilation, spread = c.steps[axis], c.before[axis], c.dilation[axis], c.spread[axis]
    every, hop = spread // math.gcd(step, spread), spread // math.gcd(dilation, spread)
    for first in range(min(every, c.results[axis])):
        meets = [k for k in range(min(hop, c.kernel[axis])) if (first * step + k * dilation - low) % spread == 0]
        k = meets[0] if meets else c.kernel[axis]
        before = -((first * step + k * dilation - low) // spread) if meets else 0
        yield _Part(first, every, k, hop, every * step // spread, before, hop * dilation // spread)


def _phase(c: Convolution, parts: Sequence[_Part]) -> Convolution | None:
    def scaled(strides: Sizes, by: Sequence[int]) -> Sizes:
        return (*strides[:3], *(s * k for s, k in zip(strides[3:], by, strict=True)))

    def part(end: Layout) -> Layout:
        first = sum(p.first * s for p, s in zip(parts, end.strides[3:], strict=True))
        return Layout(end.kind, scaled(end.strides, [p.every for p in parts]), end.offset + first)

    results = tuple(-(-(n - p.first) // p.every) for n, p in zip(c.results, parts, strict=True))
    if min(results) <= 0:
        return None
    return replace(
        c,
        kernel=tuple(max(0, -(-(n - p.k) // p.hop)) for n, p in zip(c.kernel, parts, strict=True)),
        results=results,
        steps=tuple(p.step for p in parts),
        before=tuple(p.before for p in parts),
        dilation=tuple(p.dilation for p in parts),
        spread=(1,) * c.rank,
        w_strides=scaled(c.w_strides, [p.hop for p in parts]),
        ends=tuple(map(part, c.ends)),
        w_offset=c.w_offset + sum(p.k * s for p, s in zip(parts, c.w_strides[3:], strict=True)),
    )


def balanced(count: int, largest: int) -> list[tuple[int, int]]:
    """Return (size, how many) of the fewest, as equal as can be, parts of at most `largest`, large ones first."""
    if count == 0:
        return []
    parts = -(-count // largest)
    small, more = divmod(count, parts)
    return [(size, many) for size, many in ((small + 1, more), (small, parts - more)) if many]


def divisor(n: int, most: int) -> int:
    """Return the largest divisor of n that is at most `most`, at least 1."""
    return max(k for k in range(1, max(1, min(n, most)) + 1) if n % k == 0)
