"""What the convolution kernels share: addresses, copying an image with its zeros, the sums of products of a tile.

What may enter: code that neither of the two ways of convolving owns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from graphad.execute.native.code import Code
from graphad.execute.native.convolution_shape import Convolution, Sizes
from graphad.execute.native.kernel import size
from graphad.execute.native.lanes import Lanes, constant, element_type, load, store
from graphad.ir.frozen import frozen

UNROLLED = 4
"""How many steps of a sum of products are written out one after the other."""


def number(text: str) -> int | None:
    """Return the value of a constant i64, None of a variable."""
    return int(text) if text.lstrip("-").isdigit() else None


def plus(code: Code, *terms: str | int) -> str:
    """Return the sum of i64 texts; constants are added up here."""
    fixed, total = 0, ""
    for term in map(str, terms):
        known = number(term)
        if known is not None:
            fixed += known
        else:
            total = term if not total else code.value(f"add nsw i64 {total}, {term}")
    if not total:
        return str(fixed)
    return total if fixed == 0 else code.value(f"add nsw i64 {total}, {fixed}")


def times(code: Code, text: str | int, by: str | int) -> str:
    """Return the product of two i64 texts."""
    known, factor = number(str(text)), number(str(by))
    if known is not None and factor is not None:
        return str(known * factor)
    if 0 in (known, factor):
        return "0"
    if 1 in (known, factor):
        return str(by) if known == 1 else str(text)
    return code.value(f"mul nsw i64 {text}, {by}")


def smaller(code: Code, a: str | int, b: str | int) -> str:
    """Return the smaller of two i64 texts."""
    left, right = number(str(a)), number(str(b))
    if left is not None and right is not None:
        return str(min(left, right))
    code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    return code.call("i64", "llvm.smin.i64", [("i64", str(a)), ("i64", str(b))])


def split(code: Code, text: str, by: str | int) -> tuple[str, str]:
    """Return quotient and remainder of a natural i64 text."""
    known, divisor = number(text), number(str(by))
    if known is not None and divisor is not None:
        return str(known // divisor), str(known % divisor)
    if divisor == 1:
        return text, "0"
    return code.value(f"udiv i64 {text}, {by}"), code.value(f"urem i64 {text}, {by}")


def at(code: Code, kind: str, base: str, *offset: str | int) -> str:
    """Return the address of the element at an offset, in elements: variable part first, so that constants fold."""
    variable = [str(term) for term in offset if number(str(term)) is None]
    fixed = sum(int(term) for term in offset if number(str(term)) is not None)
    for term in variable:
        base = code.value(f"getelementptr {element_type(kind)}, ptr {base}, i64 {term}")
    return code.value(f"getelementptr {element_type(kind)}, ptr {base}, i64 {fixed}") if fixed else base


def batch_of(code: Code) -> str:
    """Return the size of the batch, the one number that a kernel is given when it runs."""
    return size(code, 0)


@contextmanager
def counted(code: Code, count: str | int) -> Iterator[str]:
    """Write a loop over 0 <= i < count; one round needs no loop."""
    if str(count) == "1":
        yield "0"
    else:
        with code.loop("0", str(count)) as i:
            yield i


@frozen(slots=True)
class Image:
    """Where the elements of one channel of x' lie in scratch.

    Attributes:
        sizes: how many elements are held along each axis; along the first, a part.
        pitches: distance of neighbours, in elements. Along the last axis every `phases`-th are neighbours.
        phases: of the last axis; phase p holds x'[p], x'[p + phases], ...
        phase: elements of one phase of a row.
        size: distance of neighbouring channels.
    """

    sizes: Sizes
    pitches: Sizes
    phases: int
    phase: int
    size: int

    def place(self, axis: int, position: int) -> int:
        """Return how far position `position` of an axis is from the start."""
        if axis + 1 < len(self.sizes) or self.phases == 1:
            return position * self.pitches[axis]
        return position % self.phases * self.phase + position // self.phases


def image_of(c: Convolution, windows: int, elements: int, phases: int) -> Image:
    """Return how scratch holds what lies under `windows` windows of the first axis, `elements` of the kernel long."""
    first = (windows - 1) * c.steps[0] + max(elements - 1, 0) * c.dilation[0] + 1
    sizes = (first, *(c.reach(axis, c.results[axis]) for axis in range(1, c.rank)))
    phase = -(-sizes[-1] // phases)
    pitches = [1] * c.rank
    for axis in reversed(range(c.rank - 1)):
        pitches[axis] = pitches[axis + 1] * (phase * phases if axis == c.rank - 2 else sizes[axis + 1])
    return Image(sizes, tuple(pitches), phases, phase, first * pitches[0])


def copy_image(
    code: Code, c: Convolution, image: Image, lanes: int, source: str, channels: str | int, first: str, target: str
) -> None:
    """Copy channels of x into scratch, with the zeros round them.

    Args:
        source: address of element 0 of the first channel.
        channels: how many.
        first: position in x' of the first element copied of the first axis.
        target: address in scratch.
    """
    with counted(code, channels) as channel:
        x = at(code, c.kind, source, times(code, channel, c.x_strides[2]))
        y = at(code, c.kind, target, times(code, channel, image.size))
        _copy_axis(code, c, image, lanes, 0, x, y, "true", first)


def _copy_axis(
    code: Code, c: Convolution, image: Image, lanes: int, axis: int, x: str, y: str, inside: str, first: str
) -> None:
    if axis == c.rank - 1:
        _copy_row(code, c, image, lanes, x, y, inside)
        return
    with counted(code, image.sizes[axis]) as i:
        position = plus(code, i, first, -c.before[axis])
        here = code.value(f"icmp ult i64 {position}, {c.space[axis]}")
        both = here if inside == "true" else code.value(f"and i1 {inside}, {here}")
        row = at(code, c.kind, x, times(code, position, c.x_strides[3 + axis]))
        target = at(code, c.kind, y, times(code, i, image.pitches[axis]))
        _copy_axis(code, c, image, lanes, axis + 1, row, target, both, "0")


def _copy_row(code: Code, c: Convolution, image: Image, lanes: int, x: str, y: str, inside: str) -> None:
    """Copy one row, phase by phase; all zeros if it is not inside."""
    low, n, stride = c.before[-1], c.space[-1], c.x_strides[-1]
    reading, outside, after = (code.new_label(stem) for stem in ("row", "zeros", "after"))
    code.branch(inside, reading, outside)
    code.place(reading)
    for p in range(image.phases):
        count = len(range(p, image.sizes[-1], image.phases))
        # Element m of this phase is x[p + m * phases - low].
        begin = min(count, max(0, -((p - low) // image.phases)))
        stop = min(count, max(begin, -((p - low - n) // image.phases)))
        start = y if p == 0 else at(code, c.kind, y, p * image.phase)
        fill(code, c.kind, lanes, start, begin)
        origin = at(code, c.kind, x, (p + begin * image.phases - low) * stride)
        copy(code, c.kind, lanes, origin, stride * image.phases, at(code, c.kind, start, begin), stop - begin)
        fill(code, c.kind, lanes, at(code, c.kind, start, stop), count - stop)
    code.jump(after)
    code.place(outside)
    for p in range(image.phases):
        fill(code, c.kind, lanes, at(code, c.kind, y, p * image.phase), len(range(p, image.sizes[-1], image.phases)))
    code.jump(after)
    code.place(after)


def copy(code: Code, kind: str, lanes: int, source: str, stride: int, target: str, count: int) -> None:
    """Copy `count` elements that lie `stride` apart to neighbouring places."""
    width = lanes if stride == 1 else 1

    def move(i: str | int, many: int) -> None:
        store(load(code, kind, at(code, kind, source, times(code, i, stride)), many), at(code, kind, target, i))

    _in_steps(code, width, count, move)


def fill(code: Code, kind: str, lanes: int, target: str, count: int) -> None:
    """Write `count` zeros."""
    _in_steps(code, lanes, count, lambda i, many: store(constant(code, kind, 0, many), at(code, kind, target, i)))


def _in_steps(code: Code, lanes: int, count: int, move: Callable[[str | int, int], None]) -> None:
    """Write moves of `lanes` elements, the last of which may overlap, or of fewer where there are not so many."""
    while lanes > max(count, 1):
        lanes //= 2
    whole = count // lanes
    if whole <= 8:
        for step in range(whole):
            move(step * lanes, lanes)
    else:
        with code.loop("0", str(whole * lanes), lanes) as i:
            move(i, lanes)
    if count % lanes:
        move(count - lanes, lanes)


@frozen(slots=True)
class Axis:
    """One axis of a sum of products: how many elements, and their distance in the image and in the packed kernel."""

    count: int | str
    image: Sequence[int] | int
    kernel: int


def joined(axes: Sequence[Axis]) -> list[Axis]:
    """Return the same axes with neighbours made one where their distances allow it."""
    found: list[Axis] = []
    for axis in axes:
        before = found[-1] if found else None
        if (
            before is not None
            and isinstance(axis.count, int)
            and isinstance(axis.image, int)
            and isinstance(before.count, int)
            and (before.image, before.kernel) == (axis.image * axis.count, axis.kernel * axis.count)
        ):
            found[-1] = Axis(before.count * axis.count, axis.image, axis.kernel)
        else:
            found.append(axis)
    return found


Step = Callable[[str, int, str, int], None]
"""What is written for one element of the sum: variable and constant offset in the image, then in the packed kernel."""


def each(code: Code, axes: Sequence[Axis], step: Step, x: str = "0", w: str = "0", dx: int = 0, dw: int = 0) -> None:
    """Write loops over all axes, first one outermost; the last ones are written out as far as `UNROLLED` allows."""
    if any(axis.count == 0 for axis in axes):
        return
    if not axes:
        step(x, dx, w, dw)
        return
    axis, rest = axes[0], axes[1:]
    below = math.prod(a.count if isinstance(a.count, int) else UNROLLED + 1 for a in rest)
    if isinstance(axis.count, int) and (axis.count * below <= UNROLLED or not isinstance(axis.image, int)):
        for k in range(axis.count):
            each(code, rest, step, x, w, dx + _image_place(axis, k), dw + k * axis.kernel)
        return
    many = max(1, UNROLLED // below)
    _looped(
        code, axis, many, lambda k, i: each(code, rest, step, *_moved(code, axis, x, w, k), *_fixed(axis, dx, dw, i))
    )


def _image_place(axis: Axis, k: int) -> int:
    return k * axis.image if isinstance(axis.image, int) else axis.image[k]


def _moved(code: Code, axis: Axis, x: str, w: str, k: str) -> tuple[str, str]:
    assert isinstance(axis.image, int)
    return plus(code, x, times(code, k, axis.image)), plus(code, w, times(code, k, axis.kernel))


def _fixed(axis: Axis, dx: int, dw: int, k: int) -> tuple[int, int]:
    return dx + _image_place(axis, k), dw + k * axis.kernel


def _looped(code: Code, axis: Axis, many: int, body: Callable[[str, int], None]) -> None:
    """Write a loop of `many` rounds at once, and the rounds that are left over."""
    if isinstance(axis.count, int):
        whole, left = axis.count - axis.count % many, axis.count % many
        if whole:
            with code.loop("0", str(whole), many) as k:
                for i in range(many):
                    body(k, i)
        for i in range(left):
            body(str(whole), i)
        return
    with code.loop("0", axis.count) as k:
        body(k, 0)


class Tile:
    """Running sums of a tile, `rows` by `columns` of lanes, in registers."""

    def __init__(self, code: Code, kind: str, lanes: int, rows: int, columns: int) -> None:
        self._code, self._kind, self._lanes = code, kind, lanes
        zero = constant(code, kind, 0, lanes)
        self._type = zero.type
        self._slots = [[code.slot(zero.type) for _ in range(columns)] for _ in range(rows)]
        for slot in (slot for row in self._slots for slot in row):
            code.line(f"store {zero.type} {zero.text}, ptr {slot}")

    def add(self, left: Sequence[Lanes], right: Sequence[Lanes]) -> None:
        """Add ``left[r] * right[c]`` to each sum."""
        for row, a in zip(self._slots, left, strict=True):
            for slot, b in zip(row, right, strict=True):
                total = b.fma(a, self._loaded(slot))
                self._code.line(f"store {self._type} {total.text}, ptr {slot}")

    def sums(self) -> list[list[Lanes]]:
        """Return the sums."""
        return [[self._loaded(slot) for slot in row] for row in self._slots]

    def _loaded(self, slot: str) -> Lanes:
        return Lanes(self._code, self._kind, self._lanes, self._code.value(f"load {self._type}, ptr {slot}"))
