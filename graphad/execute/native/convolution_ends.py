"""Where the sums of a convolution go: through the epilogue, if there is one, into y and what lies beside it.

What may enter: what both ways of convolving do with finished sums.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from graphad.execute.native.code import Code
from graphad.execute.native.convolution_loops import at, plus, times
from graphad.execute.native.convolution_shape import Convolution, Layout
from graphad.execute.native.kernel import pointer
from graphad.execute.native.lane_orders import gathered
from graphad.execute.native.lanes import Lanes, load, store
from graphad.ir.frozen import frozen, replace


@frozen(slots=True)
class Epilogue:
    """What becomes of sums before they are stored.

    Attributes:
        key: tells epilogues apart; part of the name of a kernel.
        operands: how many arrays it reads: the first of `Convolution.ends`. The others, of which there is at least one,
            it writes. A kernel is called with the addresses of x, w and these, in order.
        apply: writes and returns what is stored, given sums (one or more) and as many elements of the arrays that are
            read, at the same places, or one for all. Some results are computed twice, so what is read must not lie in
            what is written.
    """

    key: str
    operands: int
    apply: Callable[[Lanes, Sequence[Lanes]], Sequence[Lanes]]


def kernel_name(c: Convolution, plan: object, vector_bytes: int, epilogue: Epilogue | None) -> str:
    """Return the name of a kernel, by all that decides its code: the size of the batch is none of it."""
    key = f"{replace(c, batch=0)} {plan} {vector_bytes} {epilogue.key if epilogue else ''}"
    return f"convolution_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


class Ends:
    """The arrays at the end of a convolution, with their addresses."""

    def __init__(self, code: Code, c: Convolution, epilogue: Epilogue | None) -> None:
        self.code, self.layouts = code, c.ends
        self.epilogue = epilogue or Epilogue("", 0, lambda sums, _: [sums])
        self.known: dict[tuple[int, int, str], Lanes] | None = None
        self.bases = [at(code, end.kind, pointer(code, 2 + k), end.offset) for k, end in enumerate(c.ends)]

    def places(self, *steps: tuple[str | int, int]) -> list[str]:
        """Return an offset in each array: the sum of numbers times the strides of their axes; steps are such pairs."""
        return [
            plus(self.code, *(times(self.code, count, end.strides[axis]) for count, axis in steps))
            for end in self.layouts
        ]

    def moved(self, *places: Sequence[str]) -> list[str]:
        """Return the sums of offsets in each array."""
        return [plus(self.code, *terms) for terms in zip(*places, strict=True)]

    def joined(self, axes: Sequence[tuple[int | str, int]]) -> list[tuple[int | str, int]]:
        """Return axes (count, number) with neighbours made one where every array runs through them as through one."""
        found: list[tuple[int | str, int]] = []
        for count, axis in axes:
            if found and isinstance(count, int) and isinstance(found[-1][0], int):
                outer, before = found[-1]
                assert isinstance(outer, int)
                if all(end.strides[before] == count * end.strides[axis] for end in self.layouts):
                    found[-1] = (outer * count, axis)
                    continue
            found.append((count, axis))
        return found

    def dense(self, axis: int) -> bool:
        """Tell whether neighbours along an axis are neighbours in all that is written."""
        return all(end.strides[axis] == 1 for end in self.layouts[self.epilogue.operands :])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write several `put`s that read each element once: what is read does not lie in what is written."""
        self.known = {}
        yield
        self.known = None

    def put(self, sums: Lanes, places: Sequence[str], axis: int) -> None:
        """Finish sums and store them, from the places on along an axis."""
        first = self.epilogue.operands
        results = self.epilogue.apply(sums, [self._load(sums.count, k, places, axis) for k in range(first)])
        for k, value in zip(range(first, len(self.layouts)), results, strict=True):
            self._store(value, k, places, axis)

    def _load(self, count: int, k: int, places: Sequence[str], axis: int) -> Lanes:
        stride = self.layouts[k].strides[axis]
        key = (k, count if stride else 1, places[k])
        found = None if self.known is None else self.known.get(key)
        if found is None:
            found = self._loaded(count, k, places, stride)
            if self.known is not None:
                self.known[key] = found
        return found

    def _loaded(self, count: int, k: int, places: Sequence[str], stride: int) -> Lanes:
        end = self.layouts[k]
        if stride == 0 or count == 1:
            return load(self.code, end.kind, self._at(k, end, places))
        if stride == 1:
            return load(self.code, end.kind, self._at(k, end, places), count)
        kind = "u8" if end.kind == "bool" else end.kind
        found = gathered([load(self.code, kind, self._at(k, end, places, i * stride)) for i in range(count)])
        return found.differs(0) if end.kind == "bool" else found

    def _store(self, value: Lanes, k: int, places: Sequence[str], axis: int) -> None:
        end = self.layouts[k]
        if end.strides[axis] == 1:
            store(value, self._at(k, end, places))
            return
        for i in range(value.count):
            store(value.lane(i), self._at(k, end, places, i * end.strides[axis]))

    def _at(self, k: int, end: Layout, places: Sequence[str], more: int = 0) -> str:
        return at(self.code, end.kind, self.bases[k], places[k], more)
