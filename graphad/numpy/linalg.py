"""The namespace of linear algebra, ``graphad.numpy.linalg``: NumPy's `np.linalg` on tensors.

The functions stand in `decompositions`, `systems` and `norms`; here are their names, and those functions of
`np.linalg` that differ from NumPy's main ones only in which axes they mean. What needs SciPy's names (lu, expm,
solve_triangular, ...) stands in `graphad.linalg`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError as LinAlgError

from graphad.ir.dims import equal
from graphad.numpy import diagonals, products, shaping
from graphad.numpy.arguments import refuse
from graphad.numpy.contraction import Term, contract_all
from graphad.numpy.decompositions import (
    EighResult as EighResult,
)
from graphad.numpy.decompositions import (
    EigResult as EigResult,
)
from graphad.numpy.decompositions import (
    QRResult as QRResult,
)
from graphad.numpy.decompositions import (
    SVDResult as SVDResult,
)
from graphad.numpy.decompositions import (
    cholesky as cholesky,
)
from graphad.numpy.decompositions import (
    eig as eig,
)
from graphad.numpy.decompositions import (
    eigh as eigh,
)
from graphad.numpy.decompositions import (
    eigvals as eigvals,
)
from graphad.numpy.decompositions import (
    eigvalsh as eigvalsh,
)
from graphad.numpy.decompositions import (
    qr as qr,
)
from graphad.numpy.decompositions import (
    svd as svd,
)
from graphad.numpy.decompositions import (
    svdvals as svdvals,
)
from graphad.numpy.norms import (
    cond as cond,
)
from graphad.numpy.norms import (
    matrix_norm as matrix_norm,
)
from graphad.numpy.norms import (
    norm as norm,
)
from graphad.numpy.norms import (
    vector_norm as vector_norm,
)
from graphad.numpy.systems import (
    SlogdetResult as SlogdetResult,
)
from graphad.numpy.systems import (
    det as det,
)
from graphad.numpy.systems import (
    inv as inv,
)
from graphad.numpy.systems import (
    lstsq as lstsq,
)
from graphad.numpy.systems import (
    matrix_power as matrix_power,
)
from graphad.numpy.systems import (
    matrix_rank as matrix_rank,
)
from graphad.numpy.systems import (
    pinv as pinv,
)
from graphad.numpy.systems import (
    slogdet as slogdet,
)
from graphad.numpy.systems import (
    solve as solve,
)
from graphad.numpy.systems import (
    tensorinv as tensorinv,
)
from graphad.numpy.systems import (
    tensorsolve as tensorsolve,
)
from graphad.tracing.coerce import as_tensor, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Tensor:
    """y[..., i, j] = sum over k of x1[..., i, k] x2[..., k, j]."""
    return products.matmul(x1, x2)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Tensor:
    """y = sum over pairs of axes of the products."""
    return products.tensordot(x1, x2, axes)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: Any = -1) -> Tensor:
    """y = sum of x1 * x2 over `axis`."""
    return products.vecdot(x1, x2, axis=axis)


@implements(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Tensor:
    """y[i, j] = x1[i] x2[j] of two vectors."""
    a, b = as_tensor(x1), as_tensor(x2)
    if a.ndim != 1 or b.ndim != 1:
        refuse(f"np.linalg.outer takes two vectors, got {a.type} and {b.type}; np.outer flattens")
    return products.outer(a, b)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Tensor:
    """y = vector product of vectors of three elements along `axis`."""
    return products.cross(x1, x2, axis=axis)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Tensor:
    """Swap the last two axes."""
    return shaping.matrix_transpose(x)


@implements(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """y[..., i] = x[..., i, i + offset]."""
    return diagonals.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """y = sum of the diagonal of the last two axes."""
    return diagonals.trace(x, offset, -2, -1, dtype)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: None = None) -> Tensor:
    """y = product of matrices, in the order that multiplies least; the first and the last may be vectors."""
    factors = promoted(*arrays)
    if len(factors) < 2:
        raise ValueError("Expecting at least two arrays.")
    for k, x in enumerate(factors):
        if x.ndim != 2 and not (x.ndim == 1 and k in (0, len(factors) - 1)):
            refuse(f"np.linalg.multi_dot takes matrices, and vectors at its ends; number {k} is {x.type}")
    labels = [(k, k + 1) for k in range(len(factors))]
    terms = [
        Term(x, pair[1:] if x.ndim == 1 and pair[0] == 0 else pair[: x.ndim])
        for x, pair in zip(factors, labels, strict=True)
    ]
    keep = [k for k, x in ((0, factors[0]), (len(factors), factors[-1])) if x.ndim == 2]
    for (k, left), right in zip(enumerate(factors), factors[1:], strict=False):
        if not equal(left.shape[-1], right.shape[0]):
            refuse(f"np.linalg.multi_dot: {left.type} (number {k}) and {right.type} do not fit")
    return contract_all(terms, keep).arranged(keep)
