"""Windows that slide over an array, row of results by row: where they lie, how vectors of them are read.

Neighbouring results of the last axis are the lanes of a vector. Where windows are two to four elements apart, vectors
of the array are loaded whole and shuffled apart; other distances are gathered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphad.execute.native.code import Code
from graphad.execute.native.convolution_loops import at, counted, plus, split, times
from graphad.execute.native.lane_orders import gathered
from graphad.execute.native.lanes import Lanes, load, store
from graphad.ir.frozen import frozen, replace
from graphad.ops.windows import Window

Sizes = tuple[int, ...]
UNROLLED = 64
"""Windows of more elements along the last axis are folded by a loop; the positions in them are left to the host."""
SHARES = 64
"""How many shares an extent should have, at least."""


@frozen(slots=True)
class Windows:
    """What decides the code: sizes and, in elements, strides and offsets.

    Attributes:
        kind: "f32", "f64", or an integer "i8" ... "u64".
        shape: of x. size, steps, dilation: of the windows, one for each axis, as `graphad.ops.windows.Window` has them.
        x_strides, y_strides: of x, and of the array with one element for each window.
        x_offset, y_offset: where their elements of index 0 lie in their buffers.
    """

    kind: str
    shape: Sizes
    size: Sizes
    steps: Sizes
    dilation: Sizes
    x_strides: Sizes
    y_strides: Sizes
    x_offset: int = 0
    y_offset: int = 0

    @property
    def results(self) -> Sizes:
        """Return how many windows there are along each axis."""
        axes = zip(self.shape, self.size, self.steps, self.dilation, strict=True)
        return tuple((n - (k - 1) * d - 1) // s + 1 if n > (k - 1) * d else 0 for n, k, s, d in axes)

    @property
    def apart(self) -> bool:
        """Tell whether no element is in two windows."""
        return all((k - 1) * d < s for k, s, d in zip(self.size, self.steps, self.dilation, strict=True))

    @property
    def plain(self) -> int:
        """Return how many leading axes the windows do not slide over."""
        slides = [not k == s == 1 for k, s in zip(self.size, self.steps, strict=True)]
        return slides.index(True) if True in slides else max(0, len(slides) - 1)


def windows_of(
    op: Window,
    kind: str,
    shape: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
    offsets: tuple[int, int] = (0, 0),
) -> Windows:
    """Return what an op on windows asks for; strides and offsets in elements."""
    made = Windows(kind, tuple(shape), op.size, op.strides, op.dilation, tuple(x_strides), tuple(y_strides), *offsets)
    return _merged(made)


def _merged(w: Windows) -> Windows:
    """Return the same windows with neighbouring leading axes made one where strides allow it."""
    results = w.results
    for axis in range(w.plain - 1):
        x_next, y_next = w.x_strides[axis + 1], w.y_strides[axis + 1]
        if w.x_strides[axis] == x_next * w.shape[axis + 1] and w.y_strides[axis] == y_next * results[axis + 1]:

            def without(values: Sizes, axis: int = axis) -> Sizes:
                return (*values[:axis], *values[axis + 1 :])

            shape = (*w.shape[:axis], w.shape[axis] * w.shape[axis + 1], *w.shape[axis + 2 :])
            return _merged(
                replace(
                    w,
                    shape=shape,
                    size=without(w.size),
                    steps=without(w.steps),
                    dilation=without(w.dilation),
                    x_strides=without(w.x_strides),
                    y_strides=without(w.y_strides),
                )
            )
    return w


class Rows:
    """The loops over rows of results: some leading axes are shared between threads, the others looped over."""

    def __init__(self, w: Windows, results: Sizes, shared: int | None = None) -> None:
        self.w = w
        self.results = results
        outer = results[:-1]
        if shared is None:
            shared = next((k for k in range(len(outer)) if math.prod(outer[:k]) >= SHARES), len(outer))
        self.shared = shared
        self.extent = math.prod(outer[:shared])
        self.pitches = [math.prod(w.shape[axis + 1 :]) for axis in range(len(w.shape))]

    def write(
        self, code: Code, row: Callable[[list[str]], None], plane: Callable[[list[str]], None] | None = None
    ) -> None:
        """Write the loops; `plane` is told the shared indices, `row` all of them."""
        with code.loop("%begin", "%end") as unit:
            index: list[str] = []
            rest = unit
            for n in reversed(self.results[: self.shared]):
                rest, k = split(code, rest, n) if n else (rest, "0")
                index.insert(0, k)
            if plane is not None:
                plane(index)
            self._inner(code, row, index)
        code.line("ret void")

    def _inner(self, code: Code, row: Callable[[list[str]], None], index: list[str]) -> None:
        if len(index) == len(self.results) - 1:
            row(index)
            return
        with counted(code, self.results[len(index)]) as k:
            self._inner(code, row, [*index, k])

    def start(self, code: Code, x: str, kind: str, index: list[str]) -> str:
        """Return the address of the first element of the first window of a row."""
        w = self.w
        return at(code, kind, x, *(times(code, k, s * p) for k, s, p in zip(index, w.steps, w.x_strides, strict=False)))

    def result(self, code: Code, y: str, kind: str, index: list[str]) -> str:
        """Return the address of the first result of a row."""
        return at(code, kind, y, *(times(code, k, p) for k, p in zip(index, self.w.y_strides, strict=False)))

    def position(self, code: Code, index: list[str]) -> str:
        """Return the row-major position in x of the first element of the first window of a row."""
        terms = zip(index, self.w.steps, self.pitches, strict=False)
        return plus(code, *(times(code, k, s * p) for k, s, p in terms))


class Reader:
    """Reads and writes the elements of neighbouring windows of a row."""

    def __init__(self, code: Code, w: Windows, lanes: int) -> None:
        self.code, self.w, self.lanes = code, w, lanes
        self.step = w.steps[-1]
        self.shuffled = 1 < self.step <= 4 and w.x_strides[-1] == 1 and w.size[-1] <= UNROLLED
        self.count = w.results[-1]
        # Shuffled vectors are loaded whole and must end inside the row.
        reach = (w.size[-1] - 1) * w.dilation[-1]
        held = w.shape[-1] // self.step - reach // self.step
        self.inside = max(0, min(self.count, held)) if self.shuffled else self.count

    def along(self, body: Callable[[str, int], None]) -> None:
        """Write what computes `lanes` results from result j on, along a row; some results may be computed twice."""
        lanes = self.lanes
        while lanes > 1 and lanes > self.inside:
            lanes //= 2
        if lanes == 1:
            self.once(body)
            return
        done = self._whole(body, 0, lanes, self.inside)
        if done < self.inside:
            body(str(self.inside - lanes), lanes)
        self._whole(body, self.inside, 1, self.count)

    def once(self, body: Callable[[str, int], None]) -> None:
        """Write what computes `lanes` results from result j on, along a row, each once: wide vectors first."""
        done, lanes = 0, self.lanes
        while lanes >= 1:
            done = self._whole(body, done, lanes, self.inside if lanes > 1 else self.count)
            lanes //= 2

    def _whole(self, body: Callable[[str, int], None], done: int, lanes: int, end: int) -> int:
        """Write whole vectors of results, and return where they end."""
        whole = max(0, end - done) // lanes
        if whole > 2:
            with self.code.loop(str(done), str(done + whole * lanes), lanes) as j:
                body(j, lanes)
        else:
            for k in range(whole):
                body(str(done + k * lanes), lanes)
        return done + whole * lanes

    def read(self, base: str, j: str, k: str | int, lanes: int) -> Lanes:
        """Return element k, along the last axis, of the windows j, j + 1, ... whose row begins at base."""
        code, w = self.code, self.w
        stride = w.x_strides[-1]
        if self.shuffled and lanes > 1:
            assert isinstance(k, int)
            blocks, phase = divmod(k * w.dilation[-1], self.step)
            start = at(code, w.kind, base, times(code, j, self.step), blocks * self.step)
            wide = load(code, w.kind, start, lanes * self.step)
            return wide.shuffle(range(phase, lanes * self.step, self.step))
        start = at(code, w.kind, base, times(code, j, self.step * stride), times(code, k, w.dilation[-1] * stride))
        if self.step * stride == 1:
            return load(code, w.kind, start, lanes)
        singles = [load(code, w.kind, at(code, w.kind, start, i * self.step * stride)) for i in range(lanes)]
        return gathered(singles)

    def write(self, value: Lanes, base: str, j: str, stride: int) -> None:
        """Store results j, j + 1, ... of a row."""
        if stride == 1:
            store(value, at(self.code, value.kind, base, j))
            return
        for i in range(value.count):
            store(value.lane(i), at(self.code, value.kind, base, times(self.code, j, stride), i * stride))
