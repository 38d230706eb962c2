"""Python's operators on tensors, installed from the ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.tracing.coerce import binary, op_of_ufunc, power, reflected
from graphad.tracing.protocols import call_ufunc
from graphad.tracing.tensor import Tensor

BINARY: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
UNARY: dict[str, np.ufunc] = {"neg": np.negative, "invert": np.invert, "abs": np.absolute}
_COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}


def _unary(ufunc: np.ufunc) -> Any:
    def operator_(self: Tensor) -> Any:
        return call_ufunc(ufunc, "__call__", (self,), {})

    return operator_


def install() -> None:
    """Give `Tensor` the operators whose ops exist."""
    for name, ufunc in BINARY.items():
        op = op_of_ufunc(ufunc)
        if op is None:
            continue
        setattr(Tensor, f"__{name}__", power if name == "pow" else binary(op))
        if name not in _COMPARISONS:
            setattr(Tensor, f"__r{name}__", reflected(op))
    for name, ufunc in UNARY.items():
        setattr(Tensor, f"__{name}__", _unary(ufunc))


install()
