"""`stop_gradient` on arrays and containers of them."""

from __future__ import annotations

from typing import Any

import graphad.ops as ops
from graphad.ir.containers import flatten, unflatten
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import is_leaf


def stop_gradient(x: Any) -> Any:
    """y = x, as a constant to every derivative; x may be an array or a container of arrays."""
    leaves, container = flatten(x, is_leaf)
    return unflatten(container, [ops.stop_gradient(t) if isinstance(t, Tensor) else t for t in leaves])
