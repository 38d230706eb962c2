"""Every primitive op, one class each, by family; lower-case functions apply them to tensors.

The functions here take tensors of the right types; NumPy's promotion and broadcasting stand in `graphad.tracing`.
"""

from graphad.ops.cast import cast
from graphad.ops.product import matmul, matrix_transpose
from graphad.ops.reduction import reduce_sum
from graphad.ops.shape import broadcast_shapes, broadcast_to, reshape, transpose

import graphad.ops.elementwise  # isort: skip

__all__ = [
    "broadcast_shapes",
    "broadcast_to",
    "cast",
    "matmul",
    "matrix_transpose",
    "reduce_sum",
    "reshape",
    "transpose",
]
