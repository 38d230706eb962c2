"""The ops without operands that a graph cannot do without: inputs, constants, and sizes as values."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.dims import Dim, static
from graphad.ir.frozen import frozen
from graphad.ir.op import Op
from graphad.ir.samples import sample
from graphad.ir.types import DType, TensorType, type_of

Array = np.ndarray[Any, Any]


@frozen
class Input(Op):
    """An argument of the graph. Two inputs are two values even if all attributes agree.

    `kind` is "input" for what a call passes, "parameter" for what is trained and has an initial value.
    """

    label: str
    type: TensorType
    kind: str = "input"

    no_gradient = "has no operands"

    def infer(self, *operands: TensorType) -> TensorType:
        """The declared type."""
        return self.type


@frozen(eq=False)
class Constant(Op):
    """A read-only array, equal by content (the same bits, dtype and shape)."""

    array: Array

    no_gradient = "has no operands"
    samples = (sample(array=np.array([1.5, -0.0, np.nan])), sample(array=np.array(7, np.int32)))

    def __post_init__(self) -> None:
        array = self.array
        if array.flags.writeable or array.base is not None or not array.flags.c_contiguous:
            array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
            array.flags.writeable = False
            object.__setattr__(self, "array", array)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Constant):
            return False
        a, b = self.array, other.array
        return a is b or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())

    def __hash__(self) -> int:
        # The head of the content is enough to spread constants; equality compares all of it.
        return hash((self.array.dtype, self.array.shape, self.array.ravel()[:64].tobytes()))

    def infer(self, *operands: TensorType) -> TensorType:
        """The array's type."""
        return type_of(self.array)

    def evaluate(self, *operands: Array) -> Array:
        """The array."""
        return self.array


@frozen
class SizeValue(Op):
    """A size as a scalar value: what ``x.shape[0]`` means inside arithmetic. Binding makes it a number."""

    size: Dim
    dtype: DType

    no_gradient = "has no operands"
    samples = (sample(size=3, dtype=np.dtype(np.float64)), sample(size=4, dtype=np.dtype(np.int64)))

    def infer(self, *operands: TensorType) -> TensorType:
        """A scalar of `dtype`."""
        return TensorType(self.dtype, ())

    def evaluate(self, *operands: Array) -> Array:
        """The number."""
        return np.asarray(static(self.size), self.dtype)
