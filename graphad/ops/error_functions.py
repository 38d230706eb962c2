"""The error function and its complement."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.op import function_of
from graphad.ir.samples import real, sample
from graphad.ops.scipy_functions import Computed
from graphad.ops.transcendental import exp

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor


class Erf(Computed):
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x (the C library's erf, computed in double)."""

    ufunc, cost = np.frompyfunc(math.erf, 1, 1), 20
    samples = (sample(real(3, 4)), sample(real(3, dtype="float32")))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (2 / math.sqrt(math.pi) * exp(-x * x),)


class Erfc(Computed):
    """y = 1 - erf(x), accurate for large x (the C library's erfc, computed in double)."""

    ufunc, cost = np.frompyfunc(math.erfc, 1, 1), 20
    samples = (sample(real(3, 4)), sample(real(3, dtype="float32")))

    def partials(self, x: Tensor, y: Tensor) -> tuple[Any]:
        return (-2 / math.sqrt(math.pi) * exp(-x * x),)


erf = function_of(Erf)
erfc = function_of(Erfc)
