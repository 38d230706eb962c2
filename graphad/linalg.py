"""Linear algebra under SciPy's names, for what NumPy has no name for: lu, triangular and Cholesky solves, expm.

`scipy.linalg` does not dispatch to traced arrays, so these are called by this name: ``ga.linalg.expm(x)``. All take
stacks of matrices. (NumPy's names stand in `graphad.numpy.linalg`.)
"""

from __future__ import annotations

from typing import Any

import graphad.ops as ops
from graphad.ir.dims import equal
from graphad.numpy.arguments import refuse
from graphad.numpy.decompositions import cholesky, is_tall, matrices
from graphad.numpy.systems import apply_solver, together
from graphad.ops import factorization, matrix_functions, solving
from graphad.ops.factorization import permutation_matrix
from graphad.ops.matrices import adjoint, lower
from graphad.tracing.tensor import Tensor


def expm(A: Any) -> Tensor:
    """y = 1 + A + A^2 / 2 + A^3 / 6 + ...: the exponential of square matrices."""
    return matrix_functions.expm(matrices(A, "expm"))


def lu(a: Any, permute_l: bool = False, p_indices: bool = False) -> tuple[Tensor, ...]:
    """p, l, u with p l u = a: a permutation, a unit lower and an upper triangle (trapezes where a is not square).

    `permute_l` gives (p l, u); `p_indices` gives p as indices with ``a = l[p] @ u``. Differentiable where the leading
    columns are linearly independent. Needs SciPy when run (`pip install "graphad[scipy]"`).
    """
    p, l, u = _lu(matrices(a, "lu"))  # noqa: E741  # the factor's name
    if permute_l:
        return ops.matmul(permutation_matrix(p, l), l), u
    if p_indices:
        return p, l, u
    return permutation_matrix(p, l), l, u


def _lu(x: Tensor) -> tuple[Tensor, ...]:
    if is_tall(x):
        return factorization.lu(x)
    # Elimination is that of the leading square; the other columns are only solved for.
    rows, columns = x.shape[-2:]
    leading = [0] * (x.ndim - 1)
    p, l, u = factorization.lu(ops.slice_(x, [*leading, 0], (*x.shape[:-1], rows)))  # noqa: E741  # the factor's name
    rest = ops.slice_(x, [*leading, rows], (*x.shape[:-1], columns))
    rest = ops.matmul(adjoint(permutation_matrix(p, rest)), rest)
    return p, l, ops.concatenate([u, solving.triangular_solve(l, rest, lower=True, unit=True)], x.ndim - 1)


def lu_factor(a: Any) -> tuple[Tensor, Tensor]:
    """(lu, p): both triangles of square matrices in one (the unit diagonal left out), and the permutation.

    p holds indices with ``a = l[p] @ u``, as `lu` gives them with `p_indices`; SciPy's is LAPACK's list of exchanges.
    """
    x = matrices(a, "lu_factor")
    if not equal(x.shape[-2], x.shape[-1]):
        refuse(f"lu_factor takes square matrices, got {x.type}")
    p, l, u = factorization.lu(x)  # noqa: E741  # the factor's name
    return lower(l, -1) + u, p


def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0) -> Tensor:
    """x with a x = b (a^T x = b where `trans` is not 0), from ``lu_factor(a)``."""
    packed, p = lu_and_piv
    factors, right = together(packed, b)
    permutation = permutation_matrix(p, factors)

    def solver(both: Tensor, columns: Tensor) -> Tensor:
        order = ops.broadcast_to(permutation, both.shape)
        if trans:
            turned = adjoint(both)
            y = solving.triangular_solve(turned, columns, lower=True)
            return ops.matmul(order, solving.triangular_solve(turned, y, lower=False, unit=True))
        y = solving.triangular_solve(both, ops.matmul(adjoint(order), columns), lower=True, unit=True)
        return solving.triangular_solve(both, y, lower=False)

    return apply_solver(solver, factors, right)


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False) -> Tensor:
    """x with t x = b, t the upper (`lower`: the lower) triangle of a; with t^T where `trans` is 1, "T", 2 or "C".

    Only that triangle is read, and its diagonal not where `unit_diagonal`. `b` of one axis is a vector.
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    x, y = together(matrices(a, "solve_triangular"), b)
    turned = trans not in (0, "N")
    x = adjoint(x) if turned else x
    return apply_solver(lambda t, columns: solving.triangular_solve(t, columns, lower != turned, unit_diagonal), x, y)


def cho_factor(a: Any, lower: bool = False) -> tuple[Tensor, bool]:
    """(c, lower): the Cholesky factor of a, to be given to `cho_solve`."""
    return cholesky(a, upper=not lower), lower


def cho_solve(c_and_lower: Any, b: Any) -> Tensor:
    """x with a x = b, from ``(c, lower)``: a's Cholesky factor and whether it is the lower one."""
    factor, is_lower = c_and_lower
    x, y = together(matrices(factor, "cho_solve"), b)
    low = x if is_lower else adjoint(x)

    def solver(c: Tensor, columns: Tensor) -> Tensor:
        half = solving.triangular_solve(c, columns, lower=True)
        return solving.triangular_solve(adjoint(c), half, lower=False)

    return apply_solver(solver, low, y)
