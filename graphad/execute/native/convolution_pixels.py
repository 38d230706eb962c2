"""Convolution with neighbouring results in the lanes of a vector: for wide results.

Each thread packs the kernel so that the channels out of one tile are neighbours, copies some rows of all channels of
an image into scratch with zeros round them, and for each tile, of a few channels out by a few vectors of results,
multiplies vectors of the image by single weights. The order of each sum is fixed: channels in, then the kernel.
"""

from __future__ import annotations

import math

from graphad.execute.native.code import Code, Module
from graphad.execute.native.convolution_ends import Ends, Epilogue, kernel_name
from graphad.execute.native.convolution_loops import (
    Axis,
    Image,
    Tile,
    at,
    batch_of,
    copy_image,
    counted,
    each,
    image_of,
    plus,
    smaller,
    split,
    times,
)
from graphad.execute.native.convolution_shape import Convolution, balanced
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lane_orders import joined
from graphad.execute.native.lanes import Lanes, load, store
from graphad.ir.frozen import frozen

IMAGE_BYTES = 128 << 10
"""How much of an image a thread copies at a time, if a single row of results does not need more."""
WEIGHT_BYTES = 640 << 10
"""How much of the kernel a thread packs at a time, if the channels out fall into parts of this size."""
NEAR_BYTES = 24 << 10
"""What of an image stays in the first cache while all channels out go through it."""
CROWDED = 1024
"""Lines of channels that lie a multiple of so many bytes apart share few places of the first cache."""
SHARES = 16
"""Into how many shares the work should fall at least; more than a few images are enough of them."""


@frozen(slots=True)
class Plan:
    """How the work is cut.

    Attributes:
        lanes: results in a vector; vectors: of a row; columns: of a tile.
        rows: the largest number of channels out of a tile.
        block: rows of results (windows of the first axis) for which the image is copied at a time.
        parts: into how many equal parts the channels out of a group fall.
    """

    lanes: int
    vectors: int
    columns: int
    rows: int
    block: int
    parts: int

    def blocks(self, c: Convolution) -> int:
        """Return how many blocks of rows an image has."""
        return -(-c.results[0] // self.block)

    def image(self, c: Convolution) -> Image:
        """Return how the part of an image that a block reads lies in scratch."""
        return image_of(c, self.block, c.kernel[0], c.steps[-1])


def plan_of(c: Convolution, vector_bytes: int) -> Plan:
    """Return how to cut c; its results are at least one wide."""
    width = c.results[-1]
    lanes = vector_bytes // c.item
    while lanes > width:
        lanes //= 2
    vectors = -(-width // lanes)
    block = c.results[0]
    while block > 1 and image_of(c, block, c.kernel[0], c.steps[-1]).size * c.inner * c.item > IMAGE_BYTES:
        block = -(-block // 2)
    registers = 32 if vector_bytes == 64 else 16
    slots = block * math.prod(c.results[1:-1]) * vectors
    rows = max(size for size, _ in balanced(c.out, 12 if registers == 32 else 6))
    # In registers: the sums, the vectors of the image, two weights: LLVM loads one before it is done with the other.
    columns = max(1, min(slots, (registers - 2) // (rows + 1)))
    units = c.groups * c.batch * -(-c.results[0] // block)
    return Plan(lanes, vectors, columns, rows, block, parts_of(c, rows, units))


def parts_of(c: Convolution, rows: int, units: int) -> int:
    """Return into how many parts the channels out fall: few, that keep the packed kernel small and threads busy."""
    weights = c.out * c.inner * math.prod(c.kernel) * c.item
    found = 1
    for parts in range(1, c.out // rows + 1):
        if c.out % parts == 0:
            found = parts
            if weights <= parts * WEIGHT_BYTES and units * parts >= SHARES:
                break
    return found


def pixels_kernel(module: Module, c: Convolution, vector_bytes: int, epilogue: Epilogue | None) -> Kernel:
    """Write the kernel of c into `module` and return how it is called with the addresses of x, w and y."""
    plan = plan_of(c, vector_bytes)
    name = kernel_name(c, plan, vector_bytes, epilogue)
    image = plan.image(c)
    width = c.out // plan.parts
    weights = width * c.inner * math.prod(c.kernel)
    if not module.has(name):
        _Writer(begin_kernel(module, name), c, plan, vector_bytes, epilogue).write()
    extent = c.groups * plan.parts * c.batch * plan.blocks(c)
    scratch = _rounded(weights * c.item) + image.size * c.inner * c.item
    return Kernel(name, (c.batch,), extent, 1, _rounded(scratch) + vector_bytes)


def _rounded(size: int) -> int:
    return -(-size // 64) * 64


class _Writer:
    """The function under construction, with what all its parts need."""

    def __init__(self, code: Code, c: Convolution, plan: Plan, vector_bytes: int, epilogue: Epilogue | None) -> None:
        self.code, self.c, self.plan = code, c, plan
        self.ends = Ends(code, c, epilogue)
        self.image = plan.image(c)
        self.width = c.out // plan.parts
        self.places = math.prod(c.kernel)
        self.copy_lanes = vector_bytes // c.item
        self.x, self.w = (
            at(code, c.kind, pointer(code, k), offset) for k, offset in enumerate((c.x_offset, c.w_offset))
        )
        self.weights = "%scratch"
        # Twice as many lanes are turned into bytes, as masks have them, at less than twice the cost.
        neighbours = plan.vectors % plan.columns == 0 and c.results[-1] % plan.lanes == 0
        self.paired = epilogue is not None and neighbours and plan.columns % 2 == 0
        self.pixels = at(code, "u8", "%scratch", _rounded(self.width * c.inner * self.places * c.item))

    def write(self) -> None:
        """Write loops over parts of the channels out, and over the images and blocks of each."""
        code, c = self.code, self.c
        units = times(code, batch_of(code), self.plan.blocks(c))
        first, _ = split(code, "%begin", units)
        last, _ = split(code, plus(code, "%end", units, -1), units)
        with code.loop(first, last) as part:
            group, piece = split(code, part, self.plan.parts)
            self.pack(group, piece)
            start = times(code, part, units)
            begin = code.value(f"sub i64 {start}, %begin")
            code.module.declare("llvm.smax.i64", "i64", ["i64", "i64"])
            skipped = code.call("i64", "llvm.smax.i64", [("i64", plus(code, times(code, begin, -1))), ("i64", "0")])
            stop = smaller(code, code.value(f"sub i64 %end, {start}"), units)
            with code.loop(skipped, stop) as unit:
                n, block = split(code, unit, self.plan.blocks(c))
                self.block(group, piece, n, block)
        code.line("ret void")

    def pack(self, group: str, piece: str) -> None:
        """Copy the weights of one part: tile by tile, and in each tile the channels out of one element together."""
        code, c = self.code, self.c
        source = at(
            code, c.kind, self.w, times(code, group, c.w_strides[0]), times(code, piece, self.width * c.w_strides[1])
        )
        for size, many, first in self.tiles():
            with counted(code, many) as t:
                base = at(code, c.kind, source, times(code, t, size * c.w_strides[1]), first * c.w_strides[1])
                target = at(
                    code,
                    c.kind,
                    self.weights,
                    times(code, t, size * c.inner * self.places),
                    first * c.inner * self.places,
                )
                self.pack_tile(base, target, size)

    def pack_tile(self, source: str, target: str, size: int) -> None:
        """Copy the weights of one tile."""
        code, c = self.code, self.c

        def step(x: str, dx: int, w: str, dw: int) -> None:
            for row in range(size):
                weight = load(code, c.kind, at(code, c.kind, source, x, dx + row * c.w_strides[1]))
                store(weight, at(code, c.kind, target, w, dw + row))

        axes = []
        below = size * c.inner * self.places
        for count, stride in zip((c.inner, *c.kernel), c.w_strides[2:], strict=True):
            below //= max(count, 1)
            axes.append(Axis(count, stride, below))
        each(code, axes, step)

    def tiles(self) -> list[tuple[int, int, int]]:
        """Return (channels, how many such tiles, first channel) of the tiles of a part."""
        found, first = [], 0
        for size, many in balanced(self.width, self.plan.rows):
            found.append((size, many, first))
            first += size * many
        return found

    def block(self, group: str, piece: str, n: str, block: str) -> None:
        """Compute a block of rows of one image."""
        code, c, plan = self.code, self.c, self.plan
        row = times(code, block, plan.block)
        source = at(code, c.kind, self.x, times(code, n, c.x_strides[0]), times(code, group, c.x_strides[1]))
        copy_image(code, c, self.image, self.copy_lanes, source, c.inner, times(code, row, c.steps[0]), self.pixels)
        origin = self.ends.places((n, 0), (group, 1), (times(code, piece, self.width), 2), (row, 3))
        rows = str(plan.block)
        if c.results[0] % plan.block:
            rows = smaller(code, plus(code, c.results[0], times(code, row, -1)), plan.block)
        slots = times(code, rows, math.prod(c.results[1:-1]) * plan.vectors)
        if self.channels_first():
            for size, many, first in self.tiles():
                with counted(code, many) as t, code.loop("0", slots, plan.columns) as slot:
                    self.tile(size, t, first, self.slots(slot, slots), origin)
            return
        with code.loop("0", slots, plan.columns) as slot:
            vectors = self.slots(slot, slots)
            for size, many, first in self.tiles():
                with counted(code, many) as t:
                    self.tile(size, t, first, vectors, origin)

    def channels_first(self) -> bool:
        """Tell whether all tiles of some channels follow each other, rather than those of some vectors.

        The image is then read once for each tile of channels. But few streams are read or written at a time at the end:
        that is better where there are several for each channel, or their lines drive each other out of the first cache.
        """
        c = self.c
        streams = [end for end in c.ends if end.strides[-1]]
        crowded = any(end.strides[2] * c.item % CROWDED == 0 for end in streams)
        return self.image.size * c.inner * c.item <= NEAR_BYTES or len(streams) > 1 or crowded

    def slots(self, first: str, slots: str) -> list[tuple[str, list[str]]]:
        """Return where the vectors of a tile begin in scratch and in the results, as offsets."""
        code, c, plan = self.code, self.c, self.plan
        steps = range(plan.columns)
        if plan.vectors % plan.columns:
            return [self.slot(self.existing(plus(code, first, k), slots)) for k in steps]
        if c.results[-1] % plan.lanes and plan.vectors > plan.columns:
            return [self.slot(plus(code, first, k)) for k in steps]
        # They stand in one row, at known distances.
        x, y = self.slot(first)
        behind = [min(k * plan.lanes, c.results[-1] - plan.lanes) for k in steps]
        return [(plus(code, x, k), self.ends.moved(y, self.ends.places((k, 2 + c.rank)))) for k in behind]

    def existing(self, slot: str, slots: str) -> str:
        """Return a slot, or the last one where there are not so many: it is then computed twice, with the same bits."""
        return smaller(self.code, slot, plus(self.code, slots, -1))

    def slot(self, slot: str) -> tuple[str, list[str]]:
        """Return where the vector `slot` of the block begins in scratch and in the results, as offsets."""
        code, c, plan = self.code, self.c, self.plan
        rest, vector = split(code, slot, plan.vectors)
        column = times(code, vector, plan.lanes)
        if c.results[-1] % plan.lanes:
            column = smaller(code, column, c.results[-1] - plan.lanes)
        x, y = [column], [(column, 2 + c.rank)]
        for axis in reversed(range(c.rank - 1)):
            rest, index = split(code, rest, c.results[axis]) if axis else ("0", rest)
            x.append(times(code, index, c.steps[axis] * self.image.pitches[axis]))
            y.append((index, 3 + axis))
        return plus(code, *x), self.ends.places(*y)

    def tile(self, size: int, t: str, first: int, vectors: list[tuple[str, list[str]]], origin: list[str]) -> None:
        """Compute `size` channels out, the t-th such from the `first` of the part on, for some vectors of results."""
        code, c = self.code, self.c
        below = size * c.inner * self.places
        weights = at(code, c.kind, self.weights, times(code, t, below), first * c.inner * self.places)
        sums = self.sums(size, [at(code, c.kind, self.pixels, x) for x, _ in vectors], weights)
        start = self.ends.moved(origin, self.ends.places((plus(code, times(code, t, size), first), 2)))
        for row, totals in enumerate(sums):
            channel = self.ends.moved(start, self.ends.places((row, 2)))
            found = list(zip(totals, [y for _, y in vectors], strict=True))
            if self.paired:
                found = [(joined(a, b), y) for (a, y), (b, _) in zip(found[::2], found[1::2], strict=True)]
            with self.ends.together():
                for total, y in found:
                    self.ends.put(total, self.ends.moved(channel, y), 2 + c.rank)

    def sums(self, size: int, bases: list[str], weights: str) -> list[list[Lanes]]:
        """Return the sums of products of one tile."""
        code, c, lanes = self.code, self.c, self.plan.lanes
        tile = Tile(code, c.kind, lanes, size, len(bases))

        def step(x: str, dx: int, w: str, dw: int) -> None:
            pixels = [load(code, c.kind, at(code, c.kind, base, x, dx), lanes) for base in bases]
            singles = [load(code, c.kind, at(code, c.kind, weights, w, dw + row)).spread(lanes) for row in range(size)]
            tile.add(singles, pixels)

        each(code, self.axes(size), step)
        return tile.sums()

    def axes(self, size: int) -> list[Axis]:
        """Return the axes of a sum: channels in, then the kernel's."""
        c, image = self.c, self.image
        below = size * self.places
        axes = [Axis(c.inner, image.size, below)]
        for axis, count in enumerate(c.kernel):
            below //= max(count, 1)
            places = [image.place(axis, k * c.dilation[axis]) for k in range(count)]
            even = all(place == k * places[1] for k, place in enumerate(places)) if count > 1 else True
            step = (places[1] if count > 1 else 0) if even else tuple(places)
            axes.append(Axis(count, step, below))
        return axes
