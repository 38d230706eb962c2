"""The error function and its complement."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import function_of
from graphad.ir.samples import real, sample
from graphad.ops.scipy_functions import Blockwise
from graphad.ops.transcendental import exp

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


class Erf(Blockwise):
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x (the C library's erf, computed in double)."""

    cost = 20
    samples = (sample(real(3, 4)), sample(real(3, dtype="float32")))

    def evaluate(self, *operands: Array) -> Array:
        (x,) = operands
        return np.asarray(_erf(x)).astype(x.dtype)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (2 / math.sqrt(math.pi) * exp(-x * x),)


class Erfc(Blockwise):
    """y = 1 - erf(x), accurate for large x (the C library's erfc, computed in double)."""

    cost = 20
    samples = (sample(real(3, 4)), sample(real(3, dtype="float32")))

    def evaluate(self, *operands: Array) -> Array:
        (x,) = operands
        return np.asarray(_erfc(x)).astype(x.dtype)

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-2 / math.sqrt(math.pi) * exp(-x * x),)


erf = function_of(Erf)
erfc = function_of(Erfc)
