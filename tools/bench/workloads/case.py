"""What one library's side of a workload is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Problem = dict[str, Any]
"""The inputs of a workload, by name: arrays, and sizes."""


@dataclass(frozen=True)
class Checksum:
    """What all libraries must agree on: the value, and the norm of the derivatives."""

    value: float
    norm: float

    def distance(self, other: Checksum) -> float:
        """Return the larger relative difference of the two numbers, nan where one is nan."""
        pairs = ((self.value, other.value), (self.norm, other.norm))
        # NumPy's maximum is nan where one of them is.
        return float(np.max([abs(a - b) / max(abs(b), 1e-30) for a, b in pairs]))


@dataclass(frozen=True)
class Case:
    """A library's side, built: `step` does one complete, synchronised step.

    `checksum` takes the result of the first step, right after it. `keep` holds what must outlive the steps; graphad's
    side puts its Executable there.
    """

    step: Callable[[], Any]
    checksum: Callable[[Any], Checksum]
    keep: Any = field(default=None, repr=False)


Build = Callable[[], Case]
"""Traces and compiles; its time and that of the first step together are the time until a library is ready."""


def norm(arrays: Sequence[Any]) -> float:
    """Return the Euclidean norm of all elements of all arrays, summed in float64."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(a, np.float64))) for a in arrays)))


def value_and_gradients(result: Any) -> Checksum:
    """Return the checksum of ``(value, gradients)``, the gradients one array or several."""
    value, gradients = result
    several = isinstance(gradients, (tuple, list))
    return Checksum(float(value), norm(gradients if several else [gradients]))


def stepped(before: Sequence[Array], after: Sequence[Any], rate: float) -> float:
    """Return the norm of the gradients, from the parameters before and after one step of gradient descent."""
    pairs = zip(before, after, strict=True)
    return norm([(p.astype(np.float64) - np.asarray(q, np.float64)) / rate for p, q in pairs])


def ready(executable: Any) -> Any:
    """Return graphad's Executable once its native code runs."""
    wait = getattr(executable, "wait", None)
    if wait is not None:
        wait()
    return executable


def multiplied(pairs: Sequence[tuple[Array, Array]]) -> Build:
    """Multiply every pair into a kept buffer; what a step of a model cannot do without."""

    def build() -> Case:
        jobs = [(a, b, np.matmul(a, b)) for a, b in pairs]

        def step() -> None:
            for a, b, out in jobs:
                np.matmul(a, b, out=out)

        return Case(step, lambda _: Checksum(0.0, 0.0))

    return build


def buffered(function: Any, argument: Array) -> Case:
    """Return the case of a CasADi function from one vector to value and gradient, called through fixed buffers."""
    value, gradient = np.zeros(1), np.zeros(argument.size)
    buffers, run = function.buffer()
    buffers.set_res(0, value.data)
    buffers.set_res(1, gradient.data)

    def step() -> Any:
        buffers.set_arg(0, argument.data)
        run()
        return value[0], gradient.copy()

    # CasADi crashes where `run` outlives the function and its buffers.
    return Case(step, value_and_gradients, keep=(function, buffers))
