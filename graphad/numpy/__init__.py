"""The array namespace: NumPy's functions on tensors, composites written with ops.

Each function is also the meaning of the NumPy function of its name on traced arrays (`@implements`).
"""

from __future__ import annotations

from graphad.numpy.basics import matmul, mean, reshape, sum, transpose

__all__ = ["matmul", "mean", "reshape", "sum", "transpose"]
