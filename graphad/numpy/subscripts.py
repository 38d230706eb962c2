"""Einstein summation: subscripts read as NumPy reads them, and carried out by matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, equal, is_one, static
from graphad.ir.types import as_dtype
from graphad.numpy.arguments import dtype_of, no_out, refuse
from graphad.numpy.contraction import Label, Term, contract_all
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)
_DOTS = "..."

Subscripts = list[Any]
"""The labels of one operand: letters or numbers, and "..." at most once."""


@implements(np.einsum)
def einsum(
    *operands: Any,
    out: None = None,
    dtype: Any = None,
    order: str = "K",
    casting: str = "safe",
    optimize: Any = False,
) -> Tensor:
    """y[output labels] = sum over all other labels of the product of the operands.

    ``einsum("ij,jk->ik", a, b)`` or ``einsum(a, [0, 1], b, [1, 2], [0, 2])``; without "->" the output has the labels
    that occur once, in order. "..." stands for axes that broadcast. A label twice in an operand takes the diagonal;
    sizes of 1 broadcast. More than two operands are contracted in the order of fewest multiplications (`optimize` is
    ignored).
    """
    no_out(out, "einsum")
    tensors, inputs, output = _parsed(operands)
    common = dtype_of(dtype, as_dtype(np.result_type(*(t.dtype for t in tensors))))
    labels = [_labelled(t, subscripts) for t, subscripts in zip(tensors, inputs, strict=True)]
    result = _output_labels(output, inputs, labels)
    sizes = _sizes(tensors, labels)
    unknown = [label for label in result if label not in sizes]
    if unknown or len(set(result)) != len(result):
        refuse(f"einsum: the output labels {_text(result)} must be distinct labels of the operands")
    terms = [_narrowed(*_diagonals(ops.cast(t, common), own), sizes) for t, own in zip(tensors, labels, strict=True)]
    total = contract_all(terms, result)
    return ops.broadcast_to(total.aligned(result), [sizes[label] for label in result])


# Reading subscripts


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """Return NumPy's order of contraction and its description, which depend on the shapes alone."""
    examples: list[Any] = [
        np.broadcast_to(np.float64(0), tuple(map(static, item.shape))) if isinstance(item, Tensor) else item
        for item in operands
    ]
    path_of: Any = np.einsum_path
    return path_of(*examples, optimize=optimize, einsum_call=einsum_call)


def _parsed(operands: Sequence[Any]) -> tuple[list[Tensor], list[Subscripts], Subscripts | None]:
    """Return the operands, the labels of each, and those of the output (None where they are implicit)."""
    if not operands:
        refuse("einsum needs subscripts and at least one operand")
    if isinstance(operands[0], str):
        text = operands[0].replace(" ", "")
        left, arrow, right = text.partition("->")
        tensors = [as_tensor(x) for x in operands[1:]]
        inputs = [_letters(part) for part in left.split(",")]
        output = _letters(right) if arrow else None
    else:
        pairs = len(operands) // 2
        tensors = [as_tensor(x) for x in operands[: 2 * pairs : 2]]
        inputs = [_numbers(part) for part in operands[1 : 2 * pairs : 2]]
        output = _numbers(operands[-1]) if len(operands) % 2 else None
    if len(tensors) != len(inputs):
        refuse(f"einsum: {len(inputs)} subscripts were given for {len(tensors)} operands")
    return tensors, inputs, output


def _letters(text: str) -> Subscripts:
    head, dots, tail = text.partition(_DOTS)
    found = [*head, *([_DOTS] if dots else []), *tail]
    wrong = [c for c in (*head, *tail) if not (c.isascii() and c.isalpha())]
    if wrong:
        refuse(f"einsum: {wrong[0]!r} in the subscripts {text!r} is neither a letter nor '...'")
    return found


def _numbers(items: Any) -> Subscripts:
    found: Subscripts = [_DOTS if item is Ellipsis else int(item) for item in items]
    if found.count(_DOTS) > 1:
        refuse("einsum: an operand may have '...' only once")
    return found


def _labelled(x: Tensor, subscripts: Subscripts) -> tuple[Label, ...]:
    """Return a label for each axis; those under "..." are ("...", how far from the end)."""
    dots = subscripts.count(_DOTS)
    extra = x.ndim - (len(subscripts) - dots)
    if extra < 0 or (extra and not dots):
        refuse(f"einsum: the subscripts {_text(subscripts)} do not fit {x.type}")
    at = subscripts.index(_DOTS) if dots else 0
    covered = tuple((_DOTS, extra - k) for k in range(extra))
    return (*subscripts[:at], *covered, *subscripts[at + dots :])


def _output_labels(
    output: Subscripts | None, inputs: Sequence[Subscripts], labels: Sequence[tuple[Label, ...]]
) -> tuple[Label, ...]:
    covered = tuple(
        sorted({label for own in labels for label in own if isinstance(label, tuple)}, key=lambda label: -int(label[1]))
    )
    if output is None:
        flat = [item for subscripts in inputs for item in subscripts if item != _DOTS]
        return (*covered, *sorted(item for item in set(flat) if flat.count(item) == 1))
    if _DOTS not in output:
        if covered:
            refuse(f"einsum: the output {_text(output)} needs '...' for the axes that '...' stands for in the operands")
        return tuple(output)
    at = output.index(_DOTS)
    return (*output[:at], *covered, *output[at + 1 :])


def _text(labels: Sequence[Any]) -> str:
    return repr("".join(label if isinstance(label, str) else f"[{label}]" for label in labels))


# Preparing operands


def _sizes(tensors: Sequence[Tensor], labels: Sequence[tuple[Label, ...]]) -> dict[Label, Dim]:
    """Return the size of each label: the sizes of its axes agree, or are 1."""
    sizes: dict[Label, Dim] = {}
    for x, own in zip(tensors, labels, strict=True):
        for label, n in zip(own, x.shape, strict=True):
            known = sizes.setdefault(label, n)
            if known is n or equal(known, n):
                continue
            if is_one(known):
                sizes[label] = n
            elif not is_one(n):
                refuse(f"einsum: the label {_text([label])} has sizes {known} and {n}")
    return sizes


def _diagonals(x: Tensor, labels: tuple[Label, ...]) -> tuple[Tensor, tuple[Label, ...]]:
    """Take the diagonal over axes with one label, until all labels are distinct."""
    for label in dict.fromkeys(labels):
        axes = [k for k, own in enumerate(labels) if own == label]
        if len(axes) == 1:
            continue
        if not all(equal(x.shape[k], x.shape[axes[0]]) for k in axes):
            refuse(f"einsum: the axes of {x.type} with the label {_text([label])} have no diagonal: their sizes differ")
        rest = [k for k in range(x.ndim) if k not in axes]
        along = ops.iota((x.shape[axes[0]],), 0, _INDEX)
        x = ops.gather(ops.transpose(x, (*axes, *rest)), [along] * len(axes))
        labels = (label, *(labels[k] for k in rest))
    return x, labels


def _narrowed(x: Tensor, labels: tuple[Label, ...], sizes: dict[Label, Dim]) -> Term:
    """Drop axes of size 1 that broadcast against a larger size."""
    dropped = [
        k
        for k, (label, n) in enumerate(zip(labels, x.shape, strict=True))
        if n is not sizes[label] and not equal(n, sizes[label])
    ]
    return Term(
        ops.reshape(x, [n for k, n in enumerate(x.shape) if k not in dropped]),
        tuple(label for k, label in enumerate(labels) if k not in dropped),
    )
