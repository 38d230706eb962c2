"""Values of loop nests: where they lie, how they are read and written, and how each is computed.

What may enter: everything about one value at one position of the loops. The loops themselves stand in `nest_code`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphad.execute.native import elementwise
from graphad.execute.native.code import Code
from graphad.execute.native.kernel import pointer, size
from graphad.execute.native.lanes import Lanes, bits_of, constant, element_type, load, store
from graphad.execute.native.nest import (
    Access,
    Indexed,
    Late,
    Nest,
    Padded,
    Window,
    access_of,
    cache_sizes,
    cached,
    element_level,
    in_scratch,
    needed,
    roots,
)
from graphad.execute.native.turning import Tile, load_tiles, put_together, taken_apart, turned
from graphad.ops.creation import Iota
from graphad.ops.reduction import Reduction


@dataclass
class Frame:
    """What is known while the body of a unit is written: positions along the axes, and values already computed."""

    lanes: int
    index: dict[int, str] = field(default_factory=dict)
    """Text of the position along each axis (of the first lane, along the vector axis)."""
    base: dict[int, str] = field(default_factory=dict)
    """By access (its `id`): the address at the unit's beginning."""
    unit: dict[int, Lanes] = field(default_factory=dict)
    """Values that do not change inside the unit's loops, by instruction."""
    inner: dict[int, Lanes] = field(default_factory=dict)


class Values:
    """Writes the values of one kernel, at positions that a `Frame` gives."""

    def __init__(self, code: Code, nest: Nest) -> None:
        self.code = code
        self.nest = nest
        self.axes = (*nest.outer, *nest.inner)
        self.extent = {a: size(code, k) for k, a in enumerate(self.axes)}
        self.late = [self._late(k) for k in range(len(nest.late))]
        self.pointers = [pointer(code, k) for k in range(nest.buffers)]
        self.moving = self._moving_axes()
        self.kept = cached(nest)
        self.ready = [in_scratch(nest, p) for p in range(nest.passes)]
        self.kept_at = self._scratch_places()
        self.tiles = load_tiles(nest) if nest.unrolled else {}
        self.whole: dict[int, Lanes] = {}
        """Values that do not change at all, by instruction."""
        for k, i in enumerate(nest.instructions):
            if isinstance(i.what, Access) and not i.along:
                self.whole[k] = load(code, i.what.kind, self._past(i.what, self.pointers[i.what.index]))

    def _moving_axes(self) -> tuple[int, ...]:
        """Return the axes whose positions are not in the addresses that a unit begins with."""
        nest = self.nest
        if nest.vector is None or nest.vector_inside or (nest.inner and nest.block == nest.lanes):
            return nest.inner
        return (*nest.inner, nest.vector)

    def _late(self, k: int) -> str:
        return size(self.code, len(self.axes) + k)

    def _scratch_places(self) -> dict[int, str]:
        found = {}
        offset = 0
        for k, nbytes in zip(self.kept, cache_sizes(self.nest), strict=True):
            found[k] = self.code.value(f"getelementptr i8, ptr %scratch, i64 {offset}")
            offset += nbytes
        return found

    # Addresses.

    def _bases(self, frame: Frame, without: int | None = None) -> None:
        """Compute the address of each access where the unit begins, from the positions that are known."""
        for access in self._accesses():
            where = [(access.strides[a], text) for a, text in frame.index.items() if a != without]
            frame.base[id(access)] = self._address(access, self.pointers[access.index], where)

    def _accesses(self) -> list[Access]:
        found = [access for i in self.nest.instructions if (access := access_of(i.what)) is not None]
        return found + [access for _, access in self.nest.stores]

    def _address(self, access: Access, base: str, where: Sequence[tuple[int, str]]) -> str:
        code = self.code
        element = f"i{max(bits_of(access.kind), 8)}"
        for stride, text in where:
            if stride:
                offset = text if stride == 1 else code.value(f"mul i64 {text}, {stride}")
                base = code.value(f"getelementptr {element}, ptr {base}, i64 {offset}")
        return base

    def _inner_address(self, frame: Frame, access: Access) -> str:
        """Return the address of an access at the current positions of the inner loops."""
        axes = self.moving
        where = [(access.strides[a], frame.index[a]) for a in axes if a in frame.index]
        return self._past(access, self._address(access, frame.base[id(access)], where))

    def _past(self, access: Access, base: str) -> str:
        """Return an address moved by the access's offset, last: processors add it for nothing."""
        return self._moved(access, base, str(access.offset)) if access.offset else base

    def _read(self, frame: Frame, access: Access, address: str) -> Lanes:
        stride = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        if frame.lanes == 1 or stride == 0:
            return load(self.code, access.kind, address)
        if stride == 1:
            return load(self.code, access.kind, address, frame.lanes)
        return self._gathered(access, address, stride, frame.lanes)

    def _gathered(self, access: Access, address: str, stride: int, lanes: int) -> Lanes:
        code = self.code
        kind = "u8" if access.kind == "bool" else access.kind
        vector = f"<{lanes} x {element_type(kind)}>"
        text = "poison"
        for lane in range(lanes):
            at = code.value(f"getelementptr i{bits_of(kind)}, ptr {address}, i64 {lane * stride}")
            one = load(code, kind, at)
            text = code.value(f"insertelement {vector} {text}, {one.type} {one.text}, i64 {lane}")
        found = Lanes(code, kind, lanes, text)
        return found.differs(0) if access.kind == "bool" else found

    def _read_tile(self, frame: Frame, tile: Tile) -> None:
        """Read the values of a tile: row by row, or as one piece."""
        first = tile.first
        access = first.access if isinstance(first, Indexed) else first
        address = self._inner_address(frame, access)
        if tile.dense:
            whole = load(self.code, access.kind, address, frame.lanes * len(tile.members))
            values = taken_apart(whole, len(tile.members))
        else:
            (stride,) = access.strides
            at = [str(lane * stride) for lane in range(frame.lanes)]
            if isinstance(first, Indexed):
                operands = self.nest.instructions[tile.members[0]].operands
                offset = self._offset(first, [self._value(frame, o) for o in operands])
                at = [offset.lane(lane).text for lane in range(frame.lanes)]
            rows = [load(self.code, access.kind, self._moved(access, address, text), frame.lanes) for text in at]
            values = turned(rows)
        for k, value in zip(tile.members, values, strict=True):
            frame.inner.setdefault(k, value)

    def _write_tile(self, frame: Frame, tile: Tile) -> None:
        """Write the values of a tile: row by row, or as one piece."""
        access = tile.first
        assert isinstance(access, Access)
        address = self._inner_address(frame, access)
        values = [self._value(frame, k).spread(frame.lanes) for k in tile.members]
        if tile.dense:
            store(put_together(values), address, bits_of(access.kind) // 8)
            return
        (stride,) = access.strides
        for lane, row in enumerate(turned(values)):
            store(row, self._moved(access, address, str(lane * stride)))

    def _write(self, frame: Frame, access: Access, value: Lanes, address: str) -> None:
        stride = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        if frame.lanes == 1 or stride == 0:
            store(value.lane(0), address)
        elif stride == 1:
            store(value.spread(frame.lanes), address)
        else:
            value = value.spread(frame.lanes)
            for lane in range(frame.lanes):
                at = self.code.value(
                    f"getelementptr i{max(bits_of(access.kind), 8)}, ptr {address}, i64 {lane * stride}"
                )
                store(value.lane(lane), at)

    # Values.

    def _value(self, frame: Frame, k: int) -> Lanes:
        """Return the value of an instruction: known, or computed here from its operands."""
        found = self.whole.get(k) or frame.unit.get(k) or frame.inner.get(k)
        if found is not None:
            return found
        if k in self.tiles:
            self._read_tile(frame, self.tiles[k])
            return frame.inner[k]
        i = self.nest.instructions[k]
        what = i.what
        if isinstance(what, Late):
            return self._late_constant(what, i.kind)
        if isinstance(what, (bool, int, float)):
            return constant(self.code, i.kind, what)
        if isinstance(what, Access):
            return self._read(frame, what, self._inner_address(frame, what))
        if isinstance(what, Indexed):
            return self._indexed(frame, what, [self._value(frame, o) for o in i.operands])
        if isinstance(what, Padded):
            return self._padded(frame, what)
        if isinstance(what, Iota):
            return self._position(frame, i.along, i.kind)
        return elementwise.emit(what, *[self._value(frame, o) for o in i.operands])

    def _indexed(self, frame: Frame, what: Indexed, positions: Sequence[Lanes]) -> Lanes:
        """Read at computed positions: as a plain read where all lanes share them, lane by lane elsewhere."""
        offset = self._offset(what, positions)
        address = self._inner_address(frame, what.access)
        if offset.count == 1:
            return self._read(frame, what.access, self._moved(what.access, address, offset.text))
        return self._lane_by_lane(frame, what.access, address, offset)

    def _offset(self, what: Indexed, positions: Sequence[Lanes]) -> Lanes:
        """Return how far from the beginning the element at the positions lies."""
        offset: Lanes | None = None
        for position, step in zip(positions, what.steps, strict=True):
            part = position * step
            offset = part if offset is None else offset + part
        assert offset is not None
        return offset

    def _moved(self, access: Access, address: str, offset: str) -> str:
        element = f"i{max(bits_of(access.kind), 8)}"
        return self.code.value(f"getelementptr {element}, ptr {address}, i64 {offset}")

    def _lane_by_lane(self, frame: Frame, access: Access, address: str, offset: Lanes) -> Lanes:
        """Read one element a lane, at the address moved by the lane's offset."""
        code = self.code
        along = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        kind = "u8" if access.kind == "bool" else access.kind
        vector = f"<{frame.lanes} x {element_type(kind)}>"
        text = "poison"
        for lane in range(frame.lanes):
            at = offset.lane(lane) + lane * along
            one = load(code, kind, self._moved(access, address, at.text))
            text = code.value(f"insertelement {vector} {text}, {one.type} {one.text}, i64 {lane}")
        found = Lanes(code, kind, frame.lanes, text)
        return found.differs(0) if access.kind == "bool" else found

    def _padded(self, frame: Frame, what: Padded) -> Lanes:
        """Read inside the windows, zero outside; positions outside are moved inside before they are read."""
        nest, access = self.nest, what.access
        within: Lanes | None = None
        offset = constant(self.code, "i64", 0)
        for window in what.windows:
            holds, at = self._in_window(frame, window)
            within = holds if within is None else within & holds
            offset = offset + at * window.stride
        address = self._inner_address(frame, access)
        if within is None:
            return self._read(frame, access, address)
        whole = [w for w in what.windows if w.axis == nest.vector and w.gap == 0 and w.stride == 1]
        if whole and frame.lanes > 1 and access.kind[0] == "f":
            return self._masked(frame, access, address, whole[0], what.windows, within)
        if offset.count == 1:
            value = self._read(frame, access, self._moved(access, address, offset.text))
        else:
            value = self._lane_by_lane(frame, access, address, offset)
        return within.select(value, value.constant(0))

    def _in_window(self, frame: Frame, window: Window) -> tuple[Lanes, Lanes]:
        """Return where the current positions are in the window, and the nearest positions of its operand."""
        at = self._position(frame, frozenset({window.axis}), "i64") - window.low
        step = window.gap + 1
        holds = (at >= 0) & (at <= (window.size - 1) * step)
        inside = (at < 0).select(at.constant(0), at)
        inside = (inside > (window.size - 1) * step).select(at.constant((window.size - 1) * step), inside)
        if step > 1:
            holds = holds & self._remainder(inside, step).equals(0)
            inside = inside.with_(f"sdiv {inside.type} {inside.text}, {inside.constant(step).text}")
        return holds, inside

    def _remainder(self, x: Lanes, step: int) -> Lanes:
        return x.with_(f"srem {x.type} {x.text}, {x.constant(step).text}")

    def _masked(
        self, frame: Frame, access: Access, address: str, along: Window, windows: Sequence[Window], within: Lanes
    ) -> Lanes:
        """Read neighbouring elements of which some may not exist."""
        first = Lanes(self.code, "i64", 1, frame.index[along.axis]) - along.low
        for window in windows:
            if window is not along:
                first = first + self._in_window(frame, window)[1] * window.stride
        kept = within.spread(frame.lanes)
        like = Lanes(self.code, access.kind, frame.lanes, "")
        name = f"llvm.masked.load.v{frame.lanes}{access.kind}.p0"
        self.code.module.declare(name, like.type, ["ptr", kept.type, like.type])
        at = self._moved(access, address, first.text)
        arguments = [(f"ptr align {bits_of(access.kind) // 8}", at), (kept.type, kept.text)]
        return Lanes(
            self.code,
            access.kind,
            frame.lanes,
            self.code.call(like.type, name, [*arguments, (like.type, "zeroinitializer")]),
        )

    def _late_constant(self, what: Late, kind: str) -> Lanes:
        bits = Lanes(self.code, "i64", 1, self.late[what.index])
        width = bits_of(kind)
        return (bits if width == 64 else bits.convert(f"i{width}")).bitcast(kind)

    def _position(self, frame: Frame, along: frozenset[int], kind: str) -> Lanes:
        if not along:
            return constant(self.code, kind, 0)
        (axis,) = along
        at = Lanes(self.code, "i64", 1, frame.index[axis])
        if axis == self.nest.vector and frame.lanes > 1:
            steps = ", ".join(f"i64 {k}" for k in range(frame.lanes))
            at = at + Lanes(self.code, "i64", frame.lanes, f"<{steps}>")
        return at.convert(kind)

    def _unit_values(self, frame: Frame, p: int) -> dict[int, Lanes]:
        """Compute what pass `p` needs and does not change inside its loops; returns all such values so far."""
        nest = self.nest
        for k in roots(nest, p):
            self._settle(frame, k)
        for k in needed(nest, p, self.ready[p]):
            if k in self.ready[p]:
                continue
            for o in nest.instructions[k].operands:
                self._settle(frame, o)
        return frame.unit

    def _settle(self, frame: Frame, wanted: int) -> None:
        """Compute a value outside the inner loops, with what it depends on."""
        stack = [wanted]
        while stack:
            k = stack[-1]
            i = self.nest.instructions[k]
            if k in frame.unit or k in self.whole or element_level(self.nest, i):
                stack.pop()
                continue
            waiting = [
                o
                for o in i.operands
                if o not in frame.unit and o not in self.whole and not isinstance(i.what, Reduction)
            ]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            frame.unit[k] = self._value(frame, k)

    # Scratch.

    def _scratch_address(self, frame: Frame, k: int) -> str:
        """Return where the value of an element is kept: by its position in the row."""
        code, nest = self.code, self.nest
        at = "0"
        for axis in nest.inner:
            if at != "0":
                at = code.value(f"mul i64 {at}, {self.extent[axis]}")
            at = frame.index[axis] if at == "0" else code.value(f"add i64 {at}, {frame.index[axis]}")
        if not nest.vector_inside and nest.lanes > 1:
            at = code.value(f"mul i64 {at}, {nest.lanes}")
        bits = max(bits_of(nest.instructions[k].kind), 8)
        return code.value(f"getelementptr i{bits}, ptr {self.kept_at[k]}, i64 {at}")

    def _from_scratch(self, frame: Frame, k: int) -> Lanes:
        return load(
            self.code, self.nest.instructions[k].kind, self._scratch_address(frame, k), self._kept_lanes(frame, k)
        )

    def _into_scratch(self, frame: Frame, k: int, value: Lanes) -> None:
        store(value.spread(self._kept_lanes(frame, k)), self._scratch_address(frame, k))

    def _kept_lanes(self, frame: Frame, k: int) -> int:
        along = self.nest.vector in self.nest.instructions[k].along
        return frame.lanes if along else 1
