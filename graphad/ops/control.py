"""Control of derivatives: ops that are the identity on values and say what gradients may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.frozen import frozen
from graphad.ir.op import General
from graphad.ir.samples import integers, real, sample
from graphad.ir.types import TensorType

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class StopGradient(General):
    """y = x, as a constant to every derivative."""

    may_raise = False

    view, allocates = True, False
    no_gradient = "stops it on purpose"
    samples = (
        sample(real(3, 4), smooth=False),
        sample(real(0), smooth=False),
        sample(integers(3), smooth=False),
    )

    def infer(self, x: TensorType) -> TensorType:
        return x

    def evaluate(self, x: Array) -> Array:
        return x.view()

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return stop_gradient(x)


def stop_gradient(x: Tensor) -> Tensor:
    """Return x, through which no gradient flows."""
    return apply(StopGradient(), x)
