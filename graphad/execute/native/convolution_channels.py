"""Convolution with channels out in the lanes of a vector: for few results and for the gradient of the kernel.

A thread takes some images, or rather rows of the left operand, and a block of channels out. For each part of the sum
it copies the part of the images with zeros round them, packs the part of the kernel so that the channels out of one
element are neighbours, and for each tile of a few results multiplies vectors of weights by single elements of the
image. The parts are fixed by the sizes and added up in their order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

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
    joined,
    plus,
    smaller,
    split,
    times,
)
from graphad.execute.native.convolution_shape import Convolution, balanced, divisor
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lane_orders import turned
from graphad.execute.native.lanes import constant, load, store
from graphad.ir.frozen import frozen

IMAGE_BYTES = 160 << 10
"""How much of the images a thread copies at a time."""
PANEL_BYTES = 24 << 10
"""How much of the packed kernel a tile walks through."""
ROWS = 256
"""How many results of one channel a block should have, so that packing the kernel pays."""
SHARES = 8
"""Into how many shares the work should fall at least, if blocks do not become too small for it."""


@frozen(slots=True)
class Plan:
    """How the work is cut.

    Attributes:
        lanes: channels out in a vector; columns: vectors of a tile; rows: results of a tile.
        images: of a block; channels: channels in, of one part of a sum; elements: of the kernel's first axis, of one.
    """

    lanes: int
    columns: int
    rows: int
    images: int
    channels: int
    elements: int

    @property
    def width(self) -> int:
        """Return the channels out of a block."""
        return self.lanes * self.columns

    def image(self, c: Convolution) -> Image:
        """Return how the copied part of one image lies in scratch."""
        return image_of(c, c.results[0], self.elements, 1)


def plan_of(c: Convolution, vector_bytes: int) -> Plan:
    """Return how to cut c."""
    lanes = vector_bytes // c.item
    while lanes > 1 and lanes // 2 >= c.out:
        lanes //= 2
    columns = 2 if c.out > lanes else 1
    rows = (12 if vector_bytes == 64 else 6) if columns == 2 else 8
    inner = max(1, math.prod(c.kernel[1:]))
    elements = max(1, c.kernel[0])
    while elements > 1 and elements * inner * lanes * columns * c.item > 2 * PANEL_BYTES:
        elements = -(-elements // 2)
    channels = c.inner
    if elements >= c.kernel[0]:
        most = max(1, PANEL_BYTES // max(1, elements * inner * lanes * columns * c.item))
        inner_channels = max(1, c.inner)
        even = divisor(inner_channels, most)
        # Parts of one size have loops of known length; but not at the price of many more parts.
        channels = even if even == inner_channels or 2 * even > most else balanced(inner_channels, most)[0][0]
    else:
        channels = 1
    size = image_of(c, c.results[0], elements, 1).size * c.item
    results = math.prod(c.results)
    blocks = max(1, c.batch * results // ROWS)
    widths = c.groups * -(-c.out // (lanes * columns))
    while blocks * widths < SHARES and c.batch * results >= 2 * (blocks + 1) * ROWS // 3:
        blocks += 1
    blocks = max(blocks, -(-c.batch * size * channels // IMAGE_BYTES))
    images = -(-c.batch // min(blocks, max(1, c.batch)))
    return Plan(lanes, columns, rows, images, channels, elements)


def fills_blocks(c: Convolution, vector_bytes: int) -> bool:
    """Tell whether the channels out are a whole number of blocks."""
    return c.out % plan_of(c, vector_bytes).width == 0


def channels_kernel(module: Module, c: Convolution, vector_bytes: int, epilogue: Epilogue | None) -> Kernel:
    """Write the kernel of c into `module` and return how it is called with the addresses of x, w and y."""
    plan = plan_of(c, vector_bytes)
    name = kernel_name(c, plan, vector_bytes, epilogue)
    writer = _Sizes(c, plan)
    if not module.has(name):
        _Writer(begin_kernel(module, name), c, plan, vector_bytes, epilogue).write()
    extent = c.groups * -(-c.batch // plan.images) * -(-c.out // plan.width)
    return Kernel(name, (c.batch,), extent, 1, writer.scratch)


def _rounded(size: int) -> int:
    return -(-size // 64) * 64


class _Sizes:
    """Bytes of the parts of scratch: sums, packed kernel, images."""

    def __init__(self, c: Convolution, plan: Plan) -> None:
        self.results = math.prod(c.results)
        self.rows = plan.images * self.results
        self.places = plan.elements * math.prod(c.kernel[1:])
        self.sums = _rounded(self.rows * plan.width * c.item)
        self.panel = _rounded(plan.channels * self.places * plan.width * c.item)
        self.images = _rounded(plan.images * plan.channels * plan.image(c).size * c.item)

    @property
    def scratch(self) -> int:
        """Return the bytes of workspace."""
        return self.sums + self.panel + self.images + 64


class _Writer:
    """The function under construction, with what all its parts need."""

    def __init__(self, code: Code, c: Convolution, plan: Plan, vector_bytes: int, epilogue: Epilogue | None) -> None:
        self.code, self.c, self.plan = code, c, plan
        self.ends = Ends(code, c, epilogue)
        self.image = plan.image(c)
        self.sizes = _Sizes(c, plan)
        self.copy_lanes = vector_bytes // c.item
        self.batch = batch_of(code)
        self.blocks, _ = split(code, plus(code, self.batch, plan.images - 1), plan.images)
        self.widths = -(-c.out // plan.width)
        self.x, self.w = (
            at(code, c.kind, pointer(code, k), offset) for k, offset in enumerate((c.x_offset, c.w_offset))
        )
        self.totals = "%scratch"
        self.panel = at(code, "u8", "%scratch", self.sizes.sums)
        self.images = at(code, "u8", "%scratch", self.sizes.sums + self.sizes.panel)

    def write(self) -> None:
        """Write the loop over groups, blocks of images and blocks of channels out."""
        code = self.code
        with code.loop("%begin", "%end") as unit:
            rest, width = split(code, unit, self.widths)
            group, block = split(code, rest, self.blocks)
            self.unit(group, times(code, block, self.plan.images), times(code, width, self.plan.width))
        code.line("ret void")

    def unit(self, group: str, n: str, o: str) -> None:
        """Compute channels out from o on of the images from n on."""
        code, c, plan = self.code, self.c, self.plan
        zero = constant(code, c.kind, 0, plan.lanes)
        with code.loop("0", str(self.sizes.rows * plan.width), plan.lanes) as k:
            store(zero, at(code, c.kind, self.totals, k))
        left = plus(code, self.batch, times(code, n, -1))
        images = "1" if plan.images == 1 else smaller(code, left, plan.images)
        if c.inner and math.prod(c.kernel):
            self.add_parts(group, n, images, o)
        self.put(group, n, images, o)

    def add_parts(self, group: str, n: str, images: str, o: str) -> None:
        """Add the parts of the sum, one after the other."""
        code, c, plan = self.code, self.c, self.plan
        parts = -(-c.inner // plan.channels)
        with counted(code, parts) as part:
            i = times(code, part, plan.channels)
            channels = self.part(i, plan.channels, c.inner)
            with counted(code, -(-c.kernel[0] // plan.elements)) as piece:
                k = times(code, piece, plan.elements)
                elements = self.part(k, plan.elements, c.kernel[0])
                self.copy(group, n, images, i, channels, k)
                self.pack(group, o, i, channels, k, elements)
                self.add(channels, elements)

    def part(self, start: str, size: int, whole: int) -> str:
        """Return how many of `size` from `start` on there are in the whole."""
        if whole % size == 0:
            return str(size)
        return smaller(self.code, plus(self.code, whole, times(self.code, start, -1)), size)

    def copy(self, group: str, n: str, images: str, i: str, channels: str, k: str) -> None:
        """Copy the images of a block, as far as this part of the sum needs them."""
        code, c = self.code, self.c
        with counted(code, images) as image:
            source = at(
                code,
                c.kind,
                self.x,
                times(code, plus(code, n, image), c.x_strides[0]),
                times(code, group, c.x_strides[1]),
                times(code, i, c.x_strides[2]),
            )
            target = at(code, c.kind, self.images, times(code, image, self.plan.channels * self.image.size))
            first = times(code, k, c.dilation[0])
            copy_image(code, c, self.image, self.copy_lanes, source, channels, first, target)

    def pack(self, group: str, o: str, i: str, channels: str, k: str, elements: str) -> None:
        """Copy a part of the kernel: all channels out of the block of one element together."""
        code, c = self.code, self.c
        source = at(
            code,
            c.kind,
            self.w,
            times(code, group, c.w_strides[0]),
            times(code, i, c.w_strides[2]),
            times(code, k, c.w_strides[3]),
        )
        axes = self.axes(channels, elements)
        axes = joined(
            [Axis(axis.count, stride, axis.kernel) for axis, stride in zip(axes, c.w_strides[2:], strict=True)]
        )
        with counted(code, self.plan.columns) as column:
            first = times(code, column, self.plan.lanes)
            target = at(code, c.kind, self.panel, first)
            starts = [
                at(code, c.kind, source, times(code, self.existing(plus(code, o, first, lane)), c.w_strides[1]))
                for lane in range(self.plan.lanes)
            ]
            self.pack_column(starts, target, axes)

    def pack_column(self, starts: list[str], target: str, axes: list[Axis]) -> None:
        """Copy a part of the kernel of as many channels out as a vector has lanes."""
        code, c, lanes = self.code, self.c, self.plan.lanes
        last = axes[-1]

        def single(x: str, dx: int, w: str, dw: int) -> None:
            for lane, start in enumerate(starts):
                weight = load(code, c.kind, at(code, c.kind, start, x, dx))
                store(weight, at(code, c.kind, target, w, dw + lane))

        def vector(x: str, dx: int, w: str, dw: int) -> None:
            store(load(code, c.kind, at(code, c.kind, starts[0], x, dx), lanes), at(code, c.kind, target, w, dw))

        def row(x: str, dx: int, w: str, dw: int) -> None:
            self.turn([at(code, c.kind, start, x, dx) for start in starts], at(code, c.kind, target, w, dw), last)

        if c.w_strides[1] == 1 and c.out % self.plan.width == 0:
            each(code, axes, vector)
        elif last.image in (1, -1) and isinstance(last.count, int) and last.count >= lanes > 1:
            each(code, axes[:-1], row)
        else:
            each(code, axes, single)

    def turn(self, rows: list[str], target: str, axis: Axis) -> None:
        """Copy a row of the kernel of several channels out, transposed; the last vectors may overlap."""
        code, c, lanes = self.code, self.c, self.plan.lanes
        assert isinstance(axis.count, int)

        def square(k: str | int) -> None:
            low = [k] if axis.image == 1 else [times(code, k, -1), 1 - lanes]
            loaded = [load(code, c.kind, at(code, c.kind, row, *low), lanes) for row in rows]
            start = at(code, c.kind, target, times(code, k, axis.kernel))
            columns = turned(loaded)
            for j, column in enumerate(columns if axis.image == 1 else reversed(columns)):
                store(column, at(code, c.kind, start, j * axis.kernel))

        with code.loop("0", str(axis.count - axis.count % lanes), lanes) as k:
            square(k)
        if axis.count % lanes:
            square(axis.count - lanes)

    def existing(self, o: str) -> str:
        """Return a channel out, or the last one where there are not so many: its results are not stored."""
        return o if self.c.out % self.plan.width == 0 else smaller(self.code, o, self.c.out - 1)

    def axes(self, channels: str, elements: str) -> list[Axis]:
        """Return the axes of a part of the sum: channels in, then the kernel's."""
        c, image = self.c, self.image
        counts = [_count(channels), _count(elements), *c.kernel[1:]]
        pitches = [image.size, *(d * p for d, p in zip(c.dilation, image.pitches, strict=True))]
        whole = (self.plan.elements, *c.kernel[1:])
        return [
            Axis(count, pitch, self.plan.width * math.prod(whole[axis:]))
            for axis, (count, pitch) in enumerate(zip(counts, pitches, strict=True))
        ]

    def add(self, channels: str, elements: str) -> None:
        """Add a part of the sum to all results of the block."""
        code, first = self.code, 0
        table = self.table()
        for size, many in balanced(self.sizes.rows, self.plan.rows):
            with counted(code, many) as t:
                row = plus(code, times(code, t, size), first)
                offsets = [code.value(f"load i64, ptr {at(code, 'i64', table, row, k)}") for k in range(size)]
                self.tile([at(code, self.c.kind, self.images, offset) for offset in offsets], row, channels, elements)
            first += size * many

    def tile(self, bases: list[str], row: str, channels: str, elements: str) -> None:
        """Add a part of the sum to the results of one tile."""
        code, c, plan = self.code, self.c, self.plan
        tile = Tile(code, c.kind, plan.lanes, len(bases), plan.columns)

        def step(x: str, dx: int, w: str, dw: int) -> None:
            weights = [
                load(code, c.kind, at(code, c.kind, self.panel, w, dw + k * plan.lanes), plan.lanes)
                for k in range(plan.columns)
            ]
            singles = [load(code, c.kind, at(code, c.kind, base, x, dx)).spread(plan.lanes) for base in bases]
            tile.add(singles, weights)

        each(code, self.axes(channels, elements), step)
        totals = at(code, c.kind, self.totals, times(code, row, plan.width))
        for r, sums in enumerate(tile.sums()):
            for k, total in enumerate(sums):
                place = at(code, c.kind, totals, r * plan.width + k * plan.lanes)
                store(load(code, c.kind, place, plan.lanes) + total, place)

    def table(self) -> str:
        """Return the table of where the window of each result begins among the images."""
        c, image = self.c, self.image
        offsets = []
        for n in range(self.plan.images):
            for place in itertools.product(*map(range, c.results)):
                at_axes = sum(t * s * p for t, s, p in zip(place, c.steps, image.pitches, strict=True))
                offsets.append(str(n * self.plan.channels * image.size + at_axes))
        return self.code.module.table(f"{self.code.name}_windows", "i64", offsets)

    def put(self, group: str, n: str, images: str, o: str) -> None:
        """Finish the sums of the block and store them."""
        code, c, lanes = self.code, self.c, self.plan.lanes
        many = self.part(o, self.plan.width, c.out)
        *outer, (count, axis) = self.ends.joined([(count, 3 + k) for k, count in enumerate(c.results)])
        squares = c.out % self.plan.width == 0 and self.ends.dense(axis) and int(count) >= lanes

        def row(number: str, places: list[str]) -> None:
            first = times(code, number, int(count))
            if squares:
                with code.loop("0", str(int(count) - int(count) % lanes), lanes) as i:
                    self.put_square(plus(code, first, i), self.ends.moved(places, self.ends.places((i, axis))), axis)
                if int(count) % lanes:
                    i = str(int(count) - lanes)
                    self.put_square(plus(code, first, i), self.ends.moved(places, self.ends.places((i, axis))), axis)
                return
            with counted(code, count) as i:
                self.put_channels(plus(code, first, i), self.ends.moved(places, self.ends.places((i, axis))), many)

        self.rows([(_count(images), 0), *outer], self.ends.places((n, 0), (group, 1), (o, 2)), row)

    def rows(
        self, axes: Sequence[tuple[int | str, int]], origin: list[str], body: Callable[[str, list[str]], None]
    ) -> None:
        """Write loops over axes; `body` gets a number, counted up from 0, and where it lies."""
        code = self.code

        def along(depth: int, number: str, places: list[str]) -> None:
            if depth == len(axes):
                body(number, places)
                return
            count, axis = axes[depth]
            with counted(code, count) as i:
                next_ = plus(code, times(code, number, int(count)), i) if depth else i
                along(depth + 1, next_, self.ends.moved(places, self.ends.places((i, axis))))

        along(0, "0", origin)

    def put_square(self, row: str, places: list[str], axis: int) -> None:
        """Store neighbouring results, as many as a vector has lanes, of all channels of the block."""
        code, c, plan = self.code, self.c, self.plan
        for first in range(0, plan.width, plan.lanes):
            totals = at(code, c.kind, self.totals, times(code, row, plan.width), first)
            loaded = [
                load(code, c.kind, at(code, c.kind, totals, k * plan.width), plan.lanes) for k in range(plan.lanes)
            ]
            for k, sums in enumerate(turned(loaded)):
                self.ends.put(sums, self.ends.moved(places, self.ends.places((first + k, 2))), axis)

    def put_channels(self, row: str, places: list[str], many: str) -> None:
        """Store one result of `many` channels."""
        code, c, plan = self.code, self.c, self.plan
        totals = at(code, c.kind, self.totals, times(code, row, plan.width))
        if c.out % plan.width == 0:
            for first in range(0, plan.width, plan.lanes):
                sums = load(code, c.kind, at(code, c.kind, totals, first), plan.lanes)
                self.ends.put(sums, self.ends.moved(places, self.ends.places((first, 2))), 2)
            return
        with counted(code, many) as lane:
            single = load(code, c.kind, at(code, c.kind, totals, lane))
            self.ends.put(single, self.ends.moved(places, self.ends.places((lane, 2))), 2)


def _count(text: str | int) -> int | str:
    return int(text) if str(text).isdigit() else text
