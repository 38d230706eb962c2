"""What the rules of linear algebra share: adjoints, triangles and diagonals of (stacks of) matrices.

Functions of the last two axes that are a line or two of existing ops may enter here; ops may not. `adjoint` is the one
place that conjugates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, equal
from graphad.ir.errors import fail
from graphad.ir.types import TensorType
from graphad.ops.cast import cast
from graphad.ops.comparison import equal as same
from graphad.ops.comparison import greater_equal
from graphad.ops.complex_parts import conj, real_part
from graphad.ops.creation import POSITION, iota, ones
from graphad.ops.product import matrix_transpose
from graphad.ops.reduction import reduce_sum
from graphad.ops.selection import where
from graphad.ops.shape import broadcast_to, reshape

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

DTYPES = tuple(map(np.dtype, (np.float32, np.float64, np.complex64, np.complex128)))
"""The dtypes that LAPACK computes in."""


def adjoint(x: Tensor) -> Tensor:
    """Return the transpose of the last two axes, conjugate where x is complex."""
    return conj(matrix_transpose(x))


def check_matrix(a: TensorType) -> tuple[Dim, Dim]:
    """Return rows and columns; fails unless `a` is a matrix, or a stack of them, that LAPACK takes."""
    if a.ndim < 2 or a.dtype not in DTYPES:
        fail("needs a matrix in single or double precision, real or complex, or a stack of them")
    return a.shape[-2], a.shape[-1]


def check_square(a: TensorType) -> Dim:
    """Return the number of rows; fails unless `a` is a square matrix or a stack of them."""
    rows, columns = check_matrix(a)
    if not equal(rows, columns):
        fail(f"needs square matrices, not {rows} rows and {columns} columns")
    return rows


def lower(x: Tensor, k: int = 0) -> Tensor:
    """Return x with zeros above diagonal `k`."""
    return where(broadcast_to(_below(x, k), x.shape), x, x.zeros_like())


def upper(x: Tensor, k: int = 0) -> Tensor:
    """Return x with zeros below diagonal `k`."""
    return where(broadcast_to(_below(x, k - 1), x.shape), x.zeros_like(), x)


def _below(x: Tensor, k: int) -> Tensor:
    matrix = x.shape[-2:]
    return greater_equal(iota(matrix, 0, POSITION) + k, iota(matrix, 1, POSITION))


def on_diagonal(x: Tensor) -> Tensor:
    """Return the mask of x's diagonal."""
    matrix = x.shape[-2:]
    return broadcast_to(same(iota(matrix, 0, POSITION), iota(matrix, 1, POSITION)), x.shape)


def identity_like(x: Tensor) -> Tensor:
    """Return identity matrices of x's type."""
    return where(on_diagonal(x), ones(x.shape, x.dtype), x.zeros_like())


def diagonal(x: Tensor) -> Tensor:
    """Return the diagonals of square matrices, as vectors; other elements may be anything."""
    return reduce_sum(where(on_diagonal(x), x, x.zeros_like()), (x.ndim - 1,))


def off_diagonal(x: Tensor) -> Tensor:
    """Return x with zeros on the diagonal."""
    return where(on_diagonal(x), x.zeros_like(), x)


def diagonal_matrix(d: Tensor) -> Tensor:
    """Return the square matrices with these diagonals."""
    full = broadcast_to(column(d), (*d.shape, d.shape[-1]))
    return where(on_diagonal(full), full, full.zeros_like())


def column(d: Tensor) -> Tensor:
    """Return vectors as matrices of one column: ``column(d) * x`` scales rows."""
    return reshape(d, (*d.shape, 1))


def row(d: Tensor) -> Tensor:
    """Return vectors as matrices of one row: ``row(d) * x`` scales columns."""
    return reshape(d, (*d.shape[:-1], 1, d.shape[-1]))


def lower_half(x: Tensor) -> Tensor:
    """Return the lower triangle with half of the diagonal: what solves ``Y + adjoint(Y) = x`` for Hermitian x."""
    return lower(x) - 0.5 * where(on_diagonal(x), x, x.zeros_like())


def from_lower(x: Tensor) -> Tensor:
    """Return the Hermitian matrix whose lower triangle is x's: what LAPACK makes of x."""
    below = lower(x, -1)
    whole: Tensor = below + adjoint(below) + real_diagonal(x)
    return whole


def real_diagonal(x: Tensor) -> Tensor:
    """Return x with zeros off the diagonal and the real part of it."""
    return where(on_diagonal(x), cast(real_part(x), x.dtype), x.zeros_like())


def to_lower(g: Tensor) -> Tensor:
    """Return the transpose of `from_lower`: the cotangent of the lower triangle that alone was read."""
    return lower(g + adjoint(g)) - real_diagonal(g)


def reciprocal_gaps(x: Tensor) -> Tensor:
    """Return ``f[i, j] = 1 / (x[j] - x[i])`` of real x; 0 where two agree to within rounding, and so on the diagonal.

    Agreeing means: a difference of at most the dtype's epsilon times the sum of all magnitudes. Below that the
    difference is rounding and its reciprocal is noise.
    """
    pairs = (*x.shape, x.shape[-1])
    gap = broadcast_to(row(x), pairs) - broadcast_to(column(x), pairs)
    total = reduce_sum(abs(x), (x.ndim - 1,))
    noise = float(np.finfo(x.dtype).eps) * total
    close = broadcast_to(column(column(noise)), pairs) >= abs(gap)
    safe = where(close, ones(pairs, x.dtype), gap)
    return where(close, gap.zeros_like(), 1 / safe)
