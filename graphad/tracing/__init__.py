"""Tracing: from NumPy code to graphs. Tensors, NumPy's protocols, nested containers, `trace` and `build`."""

from graphad.tracing import operators as _operators
from graphad.tracing.tensor import Tensor

__all__ = ["Tensor"]
del _operators
