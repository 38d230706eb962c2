"""Python's operators on tensors, installed from the ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.errors import TraceError
from graphad.ir.leaf import Constant, Input
from graphad.ir.location import user_location
from graphad.ir.node import Node
from graphad.ops import cast
from graphad.ops.shape import BroadcastTo
from graphad.tracing.coerce import binary, is_operand, number_if_weak, power, reflected
from graphad.tracing.protocols import call_ufunc
from graphad.tracing.tensor import Number, Tensor

BINARY: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
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
        result = call_ufunc(ufunc, "__call__", (self,), {})
        return Number(result.value) if type(self) is Number else result

    return operator_


def _power(self: Tensor, exponent: Any) -> Tensor:
    return number_if_weak(power(self, exponent), self, exponent) if is_operand(exponent) else NotImplemented


def _reflected_power(self: Tensor, base: Any) -> Tensor:
    return number_if_weak(power(base, self), self, base) if is_operand(base) else NotImplemented


def _divmod(self: Tensor, other: Any) -> Any:
    return call_ufunc(np.divmod, "__call__", (self, other), {}) if is_operand(other) else NotImplemented


def _reflected_divmod(self: Tensor, other: Any) -> Any:
    return call_ufunc(np.divmod, "__call__", (other, self), {}) if is_operand(other) else NotImplemented


def _in_place(name: str) -> Any:
    """Return ``self op= other``: the handle takes the new value, so that its other names see it, as in NumPy.

    What NumPy would also change and a graph cannot is refused: the caller's array, and the array behind a view. A
    tensor without axes is rebound instead, as NumPy's scalars are.
    """
    plain = getattr(Tensor, f"__{name}__")

    def operator(self: Tensor, other: Any) -> Any:
        result = plain(self, other)
        if result is NotImplemented or not self.shape:
            return result
        op = self.value.node.op
        if type(op) is Input or (op.view and not _is_filled(self.value.node)):
            what = "an argument, whose array the caller keeps" if type(op) is Input else "a view of another array"
            raise TraceError(
                f"in-place write (x {_SYMBOLS[name]}= ...) to {what} ({self.type}): values of a graph do not change. "
                f"Write x = x {_SYMBOLS[name]} ... instead",
                location=user_location(),
            )
        if result.shape != self.shape or not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise TraceError(
                f"an in-place operation cannot turn {self.type} into {result.type}; write x = x {_SYMBOLS[name]} ...",
                location=user_location(),
            )
        self.value = cast(result, self.dtype).value
        return self

    return operator


def _is_filled(node: Node) -> bool:
    """Tell whether a node is one number everywhere, as `zeros` and `full` give it: nobody holds another array then."""
    source = node.inputs[0].node.op if type(node.op) is BroadcastTo else None
    return isinstance(source, Constant) and source.array.ndim == 0


_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
}

SPECIAL: dict[str, Any] = {
    "pow": _power,
    "rpow": _reflected_power,
    "divmod": _divmod,
    "rdivmod": _reflected_divmod,
}


def install() -> None:
    """Give `Tensor` the operators."""
    for name, ufunc in BINARY.items():
        setattr(Tensor, f"__{name}__", binary(ufunc))
        if name not in _COMPARISONS:
            setattr(Tensor, f"__r{name}__", reflected(ufunc))
    for name, ufunc in UNARY.items():
        setattr(Tensor, f"__{name}__", _unary(ufunc))
    for name, operator in SPECIAL.items():
        setattr(Tensor, f"__{name}__", operator)
    for name in _SYMBOLS:
        setattr(Tensor, f"__i{name}__", _in_place(name))


install()
