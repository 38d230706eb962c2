"""Products of vectors and matrices: matmul, dot, inner, outer, tensordot, kron, ... (einsum has a file of its own)."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import equal, product, static
from graphad.ir.op import add_all
from graphad.ir.types import is_complex
from graphad.numpy.arguments import axis_of, no_out, refuse
from graphad.numpy.reductions import sum
from graphad.tracing.coerce import as_tensor, common_shape, promoted
from graphad.tracing.protocols import implements, implements_newer
from graphad.tracing.tensor import Tensor


@implements(np.matmul)
def matmul(x1: Any, x2: Any, /, *, dtype: Any = None) -> Tensor:
    """y[..., i, j] = sum over k of x1[..., i, k] x2[..., k, j]; leading axes broadcast.

    A vector on the left is a row, on the right a column, and its axis goes from the result.
    """
    a, b = promoted(as_tensor(x1), as_tensor(x2))
    if dtype is not None:
        a, b = a.astype(dtype), b.astype(dtype)
    if a.ndim == 0 or b.ndim == 0:
        refuse(f"np.matmul needs arrays with axes, got {a.type} and {b.type}; use x * y for scalars")
    if a.ndim == 1 or b.ndim == 1:
        return _vector_matmul(a, b)
    if not equal(a.shape[-1], b.shape[-2]):
        refuse(f"np.matmul of {a.type} and {b.type}: the contracted sizes {a.shape[-1]} and {b.shape[-2]} differ")
    if b.ndim == 2:  # one matrix for the whole stack: a single large product
        rows = ops.reshape(a, (product(a.shape[:-1]), a.shape[-1])) if a.ndim > 2 else a
        return ops.reshape(ops.matmul(rows, b), (*a.shape[:-1], b.shape[-1]))
    stack = common_shape([a.shape[:-2], b.shape[:-2]])
    return ops.matmul(ops.broadcast_to(a, (*stack, *a.shape[-2:])), ops.broadcast_to(b, (*stack, *b.shape[-2:])))


def _vector_matmul(a: Tensor, b: Tensor) -> Tensor:
    row = ops.reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    column = ops.reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    y = matmul(row, column)
    shape = y.shape[:-1] if b.ndim == 1 else y.shape
    return ops.reshape(y, (*shape[:-2], shape[-1]) if a.ndim == 1 and b.ndim > 1 else shape[a.ndim == 1 :])


@implements(np.dot)
def dot(a: Any, b: Any, out: None = None) -> Tensor:
    """y = a * b for scalars, else the sum over the last axis of a and the last but one (or only) of b."""
    no_out(out, "dot")
    x, y = promoted(as_tensor(a), as_tensor(b))
    if x.ndim == 0 or y.ndim == 0:
        scaled: Tensor = x * y
        return scaled
    if x.ndim <= 2 and y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, ([-1], [-2 if y.ndim > 1 else -1]))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Tensor:
    """y = sum of the products conj(a) * b of all elements."""
    x, y = ops.conj(as_tensor(a)), as_tensor(b)
    return dot(ops.reshape(x, (x.size,)), ops.reshape(y, (y.size,)))


@implements_newer("vecdot")
def vecdot(x1: Any, x2: Any, /, axis: Any = -1) -> Tensor:
    """y = sum of conj(x1) * x2 over `axis`."""
    x, y = promoted(as_tensor(x1), as_tensor(x2))
    return sum(ops.conj(x) * y, axis, x.dtype)


@implements_newer("matvec")
def matvec(x1: Any, x2: Any, /) -> Tensor:
    """y[..., i] = sum over k of x1[..., i, k] x2[..., k]; leading axes broadcast."""
    matrix, vector = as_tensor(x1), as_tensor(x2)
    if matrix.ndim < 2 or vector.ndim < 1:
        refuse(f"np.matvec takes matrices and vectors, got {matrix.type} and {vector.type}")
    product_ = matmul(matrix, ops.reshape(vector, (*vector.shape, 1)))
    return ops.reshape(product_, product_.shape[:-1])


@implements_newer("vecmat")
def vecmat(x1: Any, x2: Any, /) -> Tensor:
    """y[..., j] = sum over k of conj(x1)[..., k] x2[..., k, j]; leading axes broadcast."""
    vector, matrix = as_tensor(x1), as_tensor(x2)
    if matrix.ndim < 2 or vector.ndim < 1:
        refuse(f"np.vecmat takes vectors and matrices, got {vector.type} and {matrix.type}")
    row: Any = np.conjugate(vector) if is_complex(vector.dtype) else vector
    product_ = matmul(ops.reshape(row, (*row.shape[:-1], 1, row.shape[-1])), matrix)
    return ops.reshape(product_, (*product_.shape[:-2], product_.shape[-1]))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Tensor:
    """y = a * b for scalars, else the sum over the last axes of both."""
    x, y = promoted(as_tensor(a), as_tensor(b))
    if x.ndim == 0 or y.ndim == 0:
        scaled: Tensor = x * y
        return scaled
    return tensordot(x, y, ([-1], [-1]))


@implements(np.outer)
def outer(a: Any, b: Any, out: None = None) -> Tensor:
    """y[i, j] = a[i] b[j], both flattened."""
    no_out(out, "outer")
    x, y = as_tensor(a), as_tensor(b)
    result: Tensor = ops.reshape(x, (x.size, 1)) * ops.reshape(y, (1, y.size))
    return result


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """y = sum over pairs of axes of the products: the last n of a with the first n of b, or a pair of lists of axes."""
    x, y = promoted(as_tensor(a), as_tensor(b))
    left, right = _contracted(x, y, axes)
    for i, j in zip(left, right, strict=True):
        if not equal(x.shape[i], y.shape[j]):
            refuse(f"np.tensordot of {x.type} and {y.type}: axis {i} of size {x.shape[i]} meets {y.shape[j]}")
    x_labels = [("a", k) for k in range(x.ndim)]
    y_labels = [("b", k) for k in range(y.ndim)]
    for i, j in zip(left, right, strict=True):
        y_labels[j] = x_labels[i]
    keep = [label for label in (*x_labels, *y_labels) if not (label in x_labels and label in y_labels)]
    from graphad.numpy.contraction import Term, contract  # most products need it not

    return contract(Term(x, tuple(x_labels)), Term(y, tuple(y_labels)), keep).arranged(keep)


def _contracted(x: Tensor, y: Tensor, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, (tuple, list)):
        first, second = axes
        left = [axis_of(k, x.ndim) for k in (first if isinstance(first, (tuple, list)) else (first,))]
        right = [axis_of(k, y.ndim) for k in (second if isinstance(second, (tuple, list)) else (second,))]
    else:
        count = operator.index(axes)
        if not 0 <= count <= min(x.ndim, y.ndim):
            refuse(f"np.tensordot over {count} axes does not fit {x.type} and {y.type}")
        left, right = list(range(x.ndim - count, x.ndim)), list(range(count))
    if len(left) != len(right) or len(set(left)) != len(left) or len(set(right)) != len(right):
        refuse(f"np.tensordot needs equally many, distinct axes of both, got {left} and {right}")
    return left, right


@implements(np.kron)
def kron(a: Any, b: Any) -> Tensor:
    """y = every element of a times the whole of b, as blocks."""
    x, y = promoted(as_tensor(a), as_tensor(b))
    count = max(x.ndim, y.ndim)
    outer_, inner_ = (1,) * (count - x.ndim) + x.shape, (1,) * (count - y.ndim) + y.shape
    left = ops.reshape(x, [size for n in outer_ for size in (n, 1)])
    right = ops.reshape(y, [size for n in inner_ for size in (1, n)])
    return ops.reshape(left * right, [m * n for m, n in zip(outer_, inner_, strict=True)])


@implements(np.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Tensor:
    """y = vector product of vectors of three elements along `axisa` and `axisb`, put along `axisc`; others broadcast.

    `axis` stands for all three. A vector of two elements has a third one of 0; of two such the third of y is given.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promoted(as_tensor(a), as_tensor(b))
    from graphad.numpy.shaping import moveaxis

    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    for vectors in (x, y):
        if vectors.shape[-1] not in (2, 3):
            refuse(f"np.cross takes vectors of 3 elements (or 2), got {x.type} and {y.type}")
    (x0, x1, *x2), (y0, y1, *y2) = ([v[..., k] for k in range(static(v.shape[-1]))] for v in (x, y))
    third = x0 * y1 - x1 * y0
    if not x2 and not y2:
        return third
    first = _added([x1 * y2[0] if y2 else None, -(x2[0] * y1) if x2 else None])
    second = _added([x2[0] * y0 if x2 else None, -(x0 * y2[0]) if y2 else None])
    return moveaxis(ops.stack([first, second, third], third.ndim), -1, axisc)


def _added(terms: list[Tensor | None]) -> Tensor:
    total = add_all(terms)
    assert total is not None, "one of two vectors has a third element"
    return total
