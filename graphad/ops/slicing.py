"""Slicing: regular parts of a tensor read (Slice), written (UpdateSlice), and laid out among zeros (Pad).

Bounds are resolved, ``0 <= start <= stop <= size``, and may be symbolic; steps are positive (a negative one is a flip).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, Size, at_least, divides, names, static, substitute
from graphad.ir.emit import apply
from graphad.ir.errors import SymbolicSizeError, fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Linear
from graphad.ir.samples import booleans, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.shape import batch_size, same_shape, spread

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def strided_size(span: Dim, step: int) -> Dim:
    """Return ceil(span / step), the number of elements that a slice over `span` elements takes.

    Of a symbolic span, its part without names decides how far it is from a multiple of `step`; that the rest is a
    multiple is assumed (and noted) where it does not follow.
    """
    if not isinstance(span, Size):
        return -(-span // step)
    if step == 1:
        return span
    try:
        rest = static(substitute(span, dict.fromkeys(names((span,)), 0)))
    except SymbolicSizeError:  # a quotient that is not whole where the sizes are 0
        rest = 0
    rounded = span + (-rest) % step
    if not divides(step, rounded):
        fail(f"the number of elements in {span} elements with step {step} is not a whole number")
    return rounded // step


def sliced_shape(x: TensorType, starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int]) -> tuple[Dim, ...]:
    """Return the shape of a slice of x; fails unless ``0 <= start <= stop <= size`` and ``step >= 1`` on every axis."""
    if not len(starts) == len(stops) == len(steps) == x.ndim:
        fail(f"needs one start, stop and step for each of the {x.ndim} axes of {x}")
    for axis, (n, start, stop, step) in enumerate(zip(x.shape, starts, stops, steps, strict=True)):
        if step < 1:
            fail(f"step {step} of axis {axis} is not positive")
        if not (at_least(start, 0) and at_least(stop, start) and at_least(n, stop)):
            fail(f"slice {start}:{stop} is outside axis {axis} of {x}")
    return tuple(strided_size(stop - start, step) for start, stop, step in zip(starts, stops, steps, strict=True))


def _index(starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int]) -> tuple[Any, ...]:
    """Return the NumPy index of a slice; it gives a view even of an array without axes."""
    return (
        ...,
        *(slice(static(a), static(b), step) for a, b, step in zip(starts, stops, steps, strict=True)),
    )


@frozen
class Slice(Linear):
    """y = x[start:stop:step] on every axis."""

    starts: tuple[Dim, ...]
    stops: tuple[Dim, ...]
    steps: tuple[int, ...]

    view, allocates = True, False
    samples = (
        sample(real(5, 4), starts=(1, 0), stops=(4, 4), steps=(1, 2), symbolic={"stops": ("4", "d4")}),
        sample(real(7), starts=(1,), stops=(7,), steps=(3,)),
        sample(real(6), starts=(0,), stops=(6,), steps=(2,), symbolic={"stops": ("d6",)}),
        sample(real(6), starts=(1,), stops=(5,), steps=(2,), symbolic={"stops": ("d6-1",)}),
        sample(real(3), starts=(2,), stops=(2,), steps=(1,)),
        sample(real(0, 1), starts=(0, 0), stops=(0, 1), steps=(1, 5)),
        sample(real(), starts=(), stops=(), steps=()),
        sample(integers(4), starts=(3,), stops=(4,), steps=(1,)),
    )

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape(sliced_shape(x, self.starts, self.stops, self.steps))

    def evaluate(self, x: Array) -> Array:
        view: Array = x[_index(self.starts, self.stops, self.steps)]
        return view

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        low: list[Dim] = []
        high: list[Dim] = []
        interior: list[int] = []
        for n, m, start, step in zip(x.shape, g.shape, self.starts, self.steps, strict=True):
            gap = 0 if m == 0 else step - 1
            low.append(start)
            high.append(n - start - padded_size(m, 0, 0, gap))
            interior.append(gap)
        return pad(g, low, high, interior)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return slice_(x, (0, *self.starts), (x.shape[0], *self.stops), (1, *self.steps))


def padded_size(n: Dim, low: Dim, high: Dim, interior: int) -> Dim:
    """Return the size of n elements with `interior` zeros between neighbours, and `low` and `high` zeros around."""
    return low + high + n + (0 if n == 0 else (n - 1) * interior)


@frozen
class Pad(Linear):
    """x among zeros: `low` before, `high` after it and `interior` between neighbours, on every axis."""

    low: tuple[Dim, ...]
    high: tuple[Dim, ...]
    interior: tuple[int, ...]

    allocates = False
    samples = (
        sample(real(2, 3), low=(1, 0), high=(0, 2), interior=(0, 1)),
        sample(real(3), low=(2,), high=(1,), interior=(2,)),
        sample(real(0), low=(2,), high=(1,), interior=(2,)),
        sample(real(1), low=(0,), high=(0,), interior=(3,)),
        sample(real(3, 2), low=(0, 2), high=(3, 0), interior=(0, 0), symbolic={"high": ("d3", "0")}),
        sample(real(), low=(), high=(), interior=()),
        sample(booleans(2), low=(1,), high=(1,), interior=(0,)),
    )

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.low) == len(self.high) == len(self.interior) == x.ndim:
            fail(f"needs low, high and interior for each of the {x.ndim} axes of {x}")
        for n, low, high, interior in zip(x.shape, self.low, self.high, self.interior, strict=True):
            if interior < 0 or not at_least(low, 0) or not at_least(high, 0):
                fail("cannot pad by a negative number of zeros")
            if interior and n != 0:
                at_least(n, 1)  # an empty symbolic axis would have no neighbours to keep apart
        return x.with_shape(
            [padded_size(*axis) for axis in zip(x.shape, self.low, self.high, self.interior, strict=True)]
        )

    def evaluate(self, x: Array) -> Array:
        shape = [padded_size(*axis) for axis in zip(x.shape, self.low, self.high, self.interior, strict=True)]
        y = np.zeros([static(n) for n in shape], x.dtype)
        y[self._inside(x.shape)] = x
        return y

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        out[0].fill(0)
        out[0][self._inside(x.shape)] = x

    def _inside(self, shape: Sequence[Dim]) -> tuple[Any, ...]:
        return _index(*self._window(shape))

    def _window(self, shape: Sequence[Dim]) -> tuple[list[Dim], list[Dim], list[int]]:
        """Return starts, stops and steps of where x lies in the result."""
        stops = [padded_size(n, low, 0, gap) for n, low, gap in zip(shape, self.low, self.interior, strict=True)]
        return list(self.low), stops, [gap + 1 for gap in self.interior]

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return slice_(g, *self._window(x.shape))

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return pad(x, (0, *self.low), (0, *self.high), (0, *self.interior))


@frozen
class UpdateSlice(Linear):
    """y = x, with v in place of x[start:stop:step]."""

    starts: tuple[Dim, ...]
    stops: tuple[Dim, ...]
    steps: tuple[int, ...]

    in_place, allocates = True, False
    samples = (
        sample(
            real(5, 4), real(3, 2), starts=(1, 0), stops=(4, 3), steps=(1, 2), symbolic={"stops": ("d3+1", "2*d2-1")}
        ),
        sample(real(4), real(4), starts=(0,), stops=(4,), steps=(1,), symbolic={"stops": ("d4",)}),
        sample(real(3), real(0), starts=(1,), stops=(1,), steps=(1,)),
        sample(real(), real(), starts=(), stops=(), steps=()),
        sample(integers(3), integers(1), starts=(2,), stops=(3,), steps=(1,)),
    )

    def infer(self, x: TensorType, v: TensorType) -> TensorType:
        if x.dtype != v.dtype:
            fail("operands must have one dtype")
        expected = x.with_shape(sliced_shape(x, self.starts, self.stops, self.steps))
        if not same_shape(expected.shape, v.shape):
            fail(f"the slice is {expected}, not {v}")
        return x

    def evaluate(self, x: Array, v: Array) -> Array:
        y = np.array(x)
        y[_index(self.starts, self.stops, self.steps)] = v
        return y

    def evaluate_into(self, out: tuple[Array, ...], x: Array, v: Array) -> None:
        y = out[0]
        if v.shape != y.shape:  # else v replaces all of x, and `out` may be v itself
            np.copyto(y, x)
        y[_index(self.starts, self.stops, self.steps)] = v

    def transpose(self, g: Tensor, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        window = (self.starts, self.stops, self.steps)
        return update_slice(g, v.zeros_like(), *window), slice_(g, *window)

    def batch(self, batched: tuple[bool, ...], x: Tensor, v: Tensor) -> Tensor:
        size = batch_size(batched, (x, v))
        x, v = spread(size, batched, (x, v))
        return update_slice(x, v, (0, *self.starts), (size, *self.stops), (1, *self.steps))


def slice_(x: Tensor, starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int] | None = None) -> Tensor:
    """Return x[start:stop:step] on every axis (step 1 if not given); x itself where that is all of it."""
    steps = (1,) * x.ndim if steps is None else tuple(steps)
    if tuple(stops) == x.shape and all(a == 0 for a in starts) and all(step == 1 for step in steps):
        return x
    return apply(Slice(tuple(starts), tuple(stops), steps), x)


def pad(x: Tensor, low: Sequence[Dim], high: Sequence[Dim], interior: Sequence[int] | None = None) -> Tensor:
    """Return x among zeros, none between neighbours if `interior` is not given; x itself where there are none."""
    interior = (0,) * x.ndim if interior is None else tuple(interior)
    if all(n == 0 for n in (*low, *high, *interior)):
        return x
    return apply(Pad(tuple(low), tuple(high), interior), x)


def update_slice(
    x: Tensor, v: Tensor, starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int] | None = None
) -> Tensor:
    """Return x with v in place of x[start:stop:step] (step 1 if not given)."""
    steps = (1,) * x.ndim if steps is None else tuple(steps)
    return apply(UpdateSlice(tuple(starts), tuple(stops), steps), x, v)
