"""Strides of views: which view ops read their operand's buffer as it stands, and which must copy.

`Op.view` says that an op is a view "wherever the strides allow". The plan must know where they do, before anything
runs. What may enter: one function an op, from the operand's strides to the result's. A view op without such a function
is planned as a copy, which is always right. Strides count elements, not bytes; None stands for the dense row-major
layout of a whole buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphad.ir.op import Op
from graphad.ir.types import TensorType

Strides = tuple[int, ...]


def dense_strides(shape: Sequence[int]) -> Strides:
    """Return the row-major strides of a dense array."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def reshape_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> Strides | None:
    """Return the strides of an array seen under another shape; None where NumPy would have to copy it.

    Groups of axes of equal product are matched from the left; inside a group the old axes must lie as one axis would.
    """
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result = [1] * len(target)
    i = j = 0
    while i < len(old) and j < len(target):
        i_end, j_end = i + 1, j + 1
        size, target_size = old[i][0], target[j]
        while size != target_size:
            if target_size < size:
                target_size *= target[j_end]
                j_end += 1
            else:
                size *= old[i_end][0]
                i_end += 1
        for (_, outer), (n, inner) in zip(old[i : i_end - 1], old[i + 1 : i_end], strict=True):
            if outer != n * inner:
                return None
        step = old[i_end - 1][1]
        for k in range(j_end - 1, j - 1, -1):
            result[k] = step
            step *= target[k]
        i, j = i_end, j_end
    return tuple(result)


def _reshape(op: Any, x: TensorType, strides: Strides) -> Strides | None:
    if x.size == 0:
        return dense_strides(op.shape)  # no element is ever read
    return reshape_strides(x.shape, strides, op.shape)  # type: ignore[arg-type]  # planned graphs are static


def _transpose(op: Any, x: TensorType, strides: Strides) -> Strides:
    return tuple([strides[axis] for axis in op.permutation])


def _broadcast_to(op: Any, x: TensorType, strides: Strides) -> Strides:
    extra = len(op.shape) - x.ndim
    kept = [s if n == m else 0 for n, m, s in zip(x.shape, op.shape[extra:], strides, strict=True)]
    return (*(0,) * extra, *kept)


def _flip(op: Any, x: TensorType, strides: Strides) -> Strides:
    return tuple([-s if axis in op.axes else s for axis, s in enumerate(strides)])


def _slice(op: Any, x: TensorType, strides: Strides) -> Strides:
    return tuple([s * step for s, step in zip(strides, op.steps, strict=True)])


def _identity(op: Any, x: TensorType, strides: Strides) -> Strides:
    return strides


STRIDES: dict[str, Callable[[Any, TensorType, Strides], Strides | None]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "flip": _flip,
    "slice": _slice,
    "stop_gradient": _identity,
}
"""By the printed name of a view op: the result's strides, None where it must copy."""


DENSE = frozenset({"reshape", "stop_gradient"})
"""Views that cover a buffer densely where their operand does."""


def view_strides(op: Op, x: TensorType, strides: Strides) -> Strides | None:
    """Return the strides of what a view op gives for an operand with these strides; None where it must copy."""
    rule = STRIDES.get(op.name)
    return None if rule is None else rule(op, x, strides)
