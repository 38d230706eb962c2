"""Samples: operands and attributes on which the op table tests every rule of an op.

`sample(real(3, 4), axis=1)` reads: one f64 operand of shape [3,4], attribute axis=1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphad.ir.frozen import frozen


@frozen
class Operand:
    """A random operand: `shape`, `dtype`, and the open interval its elements lie in."""

    shape: tuple[int, ...]
    dtype: str = "float64"
    low: float = -2.0
    high: float = 2.0
    distinct: bool = False
    """No two elements are closer than the numeric derivative's step (for max, sort, ...)."""
    spectrum: str = ""
    """"general": a matrix with singular values 1, 2, 3, ...; "symmetric": one with eigenvalues 1, 2, 3, ...
    (Hermitian where it is complex)"""

    def draw(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Make an array of this description."""
        dtype = np.dtype(self.dtype)
        if dtype.kind == "b":
            return np.asarray(rng.integers(0, 2, self.shape)).astype(bool)
        if dtype.kind in "iu":
            return np.asarray(rng.integers(int(self.low), int(self.high), self.shape)).astype(dtype)
        if self.spectrum:
            return self._with_spectrum(rng).astype(dtype)
        if self.distinct:
            count = int(np.prod(self.shape))
            steps = (rng.permutation(count) + 0.5) / max(count, 1)
            return (self.low + (self.high - self.low) * steps).reshape(self.shape).astype(dtype)
        return np.asarray(self._uniform(rng)).astype(dtype)

    def _uniform(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        drawn = np.asarray(rng.uniform(self.low, self.high, self.shape))
        if np.dtype(self.dtype).kind != "c":
            return drawn
        return drawn + 1j * np.asarray(rng.uniform(self.low, self.high, self.shape))

    def _with_spectrum(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Return left times diag(1, 2, 3, ...) times right, with random orthonormal columns and rows."""
        *stack, rows, columns = self.shape
        rank = min(rows, columns)
        left = np.linalg.qr(self._normal(rng, (*stack, rows, rank)))[0]
        symmetric = self.spectrum == "symmetric"
        right = left if symmetric else np.linalg.qr(self._normal(rng, (*stack, columns, rank)))[0]
        matrix = np.matmul(left * np.arange(1, rank + 1), np.swapaxes(right, -1, -2).conj())
        return np.asarray((matrix + np.swapaxes(matrix, -1, -2).conj()) / 2 if symmetric else matrix)

    def _normal(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        drawn = np.asarray(rng.normal(size=shape))
        return np.asarray(drawn + 1j * rng.normal(size=shape)) if np.dtype(self.dtype).kind == "c" else drawn


def real(*shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "float64", distinct: bool = False) -> Operand:
    """Describe a floating-point operand with elements in (low, high)."""
    return Operand(shape, dtype, low, high, distinct)


def well_conditioned(*shape: int, dtype: str = "float64") -> Operand:
    """Describe a matrix, or a stack of them, whose singular values are 1, 2, 3, ..."""
    return Operand(shape, dtype, spectrum="general")


def positive_definite(*shape: int, dtype: str = "float64") -> Operand:
    """Describe a symmetric matrix, or a stack of them, whose eigenvalues are 1, 2, 3, ..."""
    return Operand(shape, dtype, spectrum="symmetric")


def integers(*shape: int, low: int = -5, high: int = 6, dtype: str = "int64") -> Operand:
    """Describe an integer operand with elements in [low, high)."""
    return Operand(shape, dtype, low, high)


def complex_(*shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "complex128") -> Operand:
    """Describe a complex operand whose real and imaginary parts lie in (low, high)."""
    return Operand(shape, dtype, low, high)


def booleans(*shape: int) -> Operand:
    """Describe a boolean operand."""
    return Operand(shape, "bool")


@frozen
class Sample:
    """Operands and attributes of one application of an op.

    `symbolic` gives attributes for the same sample with every operand size n >= 2 replaced by the named size ``dn``
    (3 by `d3`), as text that `parse_dim` reads, where the attributes themselves depend on the sizes. `smooth` is False
    where derivatives exist but numeric ones cannot show them (custom rules, stop_gradient).
    """

    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    symbolic: Mapping[str, Any]
    smooth: bool


def sample(
    *operands: Operand, symbolic: Mapping[str, Any] | None = None, smooth: bool = True, **attributes: Any
) -> Sample:
    """Describe one application of an op: operands, then attributes by keyword."""
    return Sample(operands, attributes, symbolic or {}, smooth)


class _Late:
    def __init__(self, make: Callable[[], tuple[Sample, ...]]) -> None:
        self._make = make
        self._made: tuple[Sample, ...] | None = None

    def __get__(self, instance: object, owner: type) -> tuple[Sample, ...]:
        if self._made is None:
            self._made = self._make()
        return self._made


def late(make: Callable[[], tuple[Sample, ...]]) -> Any:
    """Return an op's `samples` that are made when they are first asked for: those that take graphs cost something."""
    return _Late(make)
